// Matmul kernels against two truths: the same sum in double over weights decoded by the format's codec and activations
// quantised as docs/numerics.md says, and the bits of the portable kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/float16.h"
#include "convert/random_blocks.h"
#include "kernels/kernels.h"
#include "kernels/tiles.h"
#include "sampling/random.h"

namespace {

using namespace wallaby;
using kernels::Activations;
using kernels::Isa;
using kernels::Table;

const quant::Type with_kernels[] = {quant::Type::f32,  quant::Type::f16,  quant::Type::bf16, quant::Type::q4_0,
                                    quant::Type::q8_0, quant::Type::q4_k, quant::Type::q6_k};

std::vector<Isa> usable() {
    std::vector<Isa> out;
    for (const Isa isa : {Isa::portable, Isa::avx512vnni}) {
        if (kernels::lacking(isa, base::cpu_features()).empty()) { out.push_back(isa); }
    }
    return out;
}

struct Aligned {
    explicit Aligned(uint64_t n) : bytes(n + 64) {}
    uint8_t* data() { return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64; }
    std::vector<uint8_t> bytes;
};

// Weights of a format, their tiles, and inputs.
struct Case {
    quant::Type type;
    uint32_t n_in, n_rows, n_columns;
    std::vector<uint8_t> rows;
    std::vector<float> x;
    std::vector<float> bias;

    Case(quant::Type t, uint32_t in, uint32_t out, uint32_t columns, uint64_t seed)
        : type(t), n_in(in), n_rows(out), n_columns(columns) {
        const quant::Format& format = quant::format_of(t);
        rows.resize(uint64_t(in) / format.block_len * format.block_bytes * out);
        sampling::Random random(seed);
        std::vector<float> w(uint64_t(in) * out);
        for (float& v : w) { v = float(random.uniform() * 2 - 1); }
        format.encode(w.data(), rows.data(), w.size() / format.block_len, nullptr);
        x.resize(uint64_t(in) * columns);
        for (float& v : x) { v = float(random.uniform() * 6 - 3); }
        bias.resize(out);
        for (float& v : bias) { v = float(random.uniform()); }
    }
    std::vector<float> decoded() const {
        const quant::Format& format = quant::format_of(type);
        std::vector<float> w(uint64_t(n_in) * n_rows);
        format.decode(rows.data(), w.data(), w.size() / format.block_len);
        return w;
    }
    // [column][row]
    std::vector<float> run(const Table& table, float scale = 1, bool with_bias = false, bool scale_bias = false) const {
        const uint64_t row_bytes = rows.size() / n_rows, tile_bytes = kernels::tile_bytes(type, n_in);
        const uint32_t n_tiles = (n_rows + 15) / 16;
        Aligned tiles(n_tiles * tile_bytes);
        for (uint32_t t = 0; t < n_tiles; t++) {
            kernels::pack_tile(type, n_in, rows.data() + uint64_t(t) * 16 * row_bytes, std::min(16u, n_rows - 16 * t),
                               tiles.data() + t * tile_bytes);
        }
        const kernels::Matmul m = table.matmul(type);
        Aligned acts(table.activation_bytes(m.activations, n_in, n_columns));
        for (uint32_t c = 0; c < n_columns; c++) {
            table.write_activations(m.activations, x.data() + uint64_t(c) * n_in, n_in, n_columns, c, acts.data());
        }
        Aligned scratch(m.scratch_bytes(n_in, n_rows));
        // A guard after each column: nothing beyond the rows is written.
        std::vector<float> out(uint64_t(n_rows + 1) * n_columns, 77);
        std::vector<float*> columns;
        for (uint32_t c = 0; c < n_columns; c++) { columns.push_back(out.data() + uint64_t(c) * (n_rows + 1)); }
        kernels::MatmulArgs args;
        args.tiles = tiles.data();
        args.n_in = n_in;
        args.n_rows = n_rows;
        args.activations = acts.data();
        args.n_columns = n_columns;
        args.out = columns.data();
        args.bias = with_bias ? bias.data() : nullptr;
        args.scale = scale;
        args.scale_bias = scale_bias;
        args.scratch = n_columns <= table.narrow_columns && n_in % 2 == 0 ? nullptr : scratch.data();
        m.run(args);
        std::vector<float> result;
        for (const float* c : columns) {
            EXPECT_EQ(c[n_rows], 77);
            result.insert(result.end(), c, c + n_rows);
        }
        return result;
    }
};

// The inputs as the kernel sees them: code * scale, or rounded.
std::vector<double> rounded(const Case& c, Activations kind) {
    std::vector<double> out(c.x.begin(), c.x.end());
    if (kind == Activations::bf16) {
        for (double& x : out) { x = base::f32_from_bf16(base::bf16_from_f32(float(x))); }
    }
    const uint32_t block = kind == Activations::per_32 ? 32 : (kind == Activations::per_256 ? 256 : 0);
    for (uint64_t first = 0; block != 0 && first < out.size(); first += block) {
        float amax = 0;
        for (uint64_t i = first; i < first + block; i++) { amax = std::max(amax, std::fabs(c.x[i])); }
        for (uint64_t i = first; i < first + block; i++) {
            out[i] = amax < 0x1p-120f ? 0 : double(std::nearbyint(c.x[i] * (127 / amax))) * double(amax / 127);
        }
    }
    return out;
}

// ‖out − ref‖ / ‖ref‖ with every product and sum of the reference in double.
double error_of(const Case& c, const std::vector<float>& out, const Table& table) {
    const std::vector<float> w = c.decoded();
    const std::vector<double> x = rounded(c, table.matmul(c.type).activations);
    double difference = 0, norm = 0;
    for (uint32_t column = 0; column < c.n_columns; column++) {
        for (uint32_t r = 0; r < c.n_rows; r++) {
            double y = 0;
            for (uint32_t k = 0; k < c.n_in; k++) {
                y += double(w[uint64_t(r) * c.n_in + k]) * x[uint64_t(column) * c.n_in + k];
            }
            const double d = y - out[uint64_t(column) * c.n_rows + r];
            difference += d * d;
            norm += y * y;
        }
    }
    if (norm == 0) { return difference == 0 ? 0 : INFINITY; }
    const double e = std::sqrt(difference / norm);
    return e == e ? e : INFINITY;
}

// The longest have ranges that a wide kernel takes in pieces.
std::vector<uint32_t> widths_of(quant::Type type) {
    const uint32_t block = quant::format_of(type).block_len;
    if (block == 1) { return {1, 2, 7, 63, 64, 65, 100, 256, 257, 512, 1000, 2048, 4999}; }
    if (block == 32) { return {32, 64, 96, 224, 256, 288, 512, 2048, 2080, 5664}; }
    return {256, 512, 768, 2048, 2304, 6400};
}

TEST(KernelsMatmul, AgreesWithDouble) {
    double worst = 0;
    for (const Isa isa : usable()) {
        for (const quant::Type type : with_kernels) {
            for (const uint32_t n_in : widths_of(type)) {
                for (const auto& [n_rows, n_columns] : {std::pair{16u, 1u}, {37u, 3u}, {5u, 13u}, {33u, 59u}}) {
                    const Case c(type, n_in, n_rows, n_columns, n_in * 31 + n_columns);
                    const double e = error_of(c, c.run(kernels::table(isa)), kernels::table(isa));
                    worst = std::max(worst, e);
                    // Eight chains of n_in / 8 roundings each, of random sign: they grow by its root. Measured: below
                    // 2.5e-7 at 2048, 6.1e-7 at 4999.
                    EXPECT_LE(e, 6e-7 * std::sqrt(std::max(1.0, n_in / 2048.0)))
                        << kernels::name_of(isa) << " " << quant::format_of(type).name << " " << n_in << " x " << n_rows
                        << " x " << n_columns;
                }
            }
        }
    }
    std::printf("[ measured ] worst %.2g\n", worst);
}

TEST(KernelsMatmul, EveryInstructionSetGivesTheBitsOfThePortableOne) {
    if (usable().size() < 2) { GTEST_SKIP() << "this CPU has no instruction set besides the portable one"; }
    for (const Isa isa : usable()) {
        if (isa == Isa::portable) { continue; }
        for (const quant::Type type : with_kernels) {
            for (const uint32_t n_in : widths_of(type)) {
                for (const auto& [n_rows, n_columns] : {std::pair{16u, 1u},
                                                        {1u, 2u},
                                                        {37u, 3u},
                                                        {17u, 4u},
                                                        {16u, 5u},
                                                        {33u, 7u},
                                                        {16u, 9u},
                                                        {5u, 13u},
                                                        {33u, 59u}}) {
                    const Case c(type, n_in, n_rows, n_columns, n_in * 17 + n_columns);
                    const auto expected = c.run(kernels::table(Isa::portable), 0.7f, true);
                    const auto got = c.run(kernels::table(isa), 0.7f, true);
                    for (size_t i = 0; i < got.size(); i++) {
                        ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(expected[i]))
                            << kernels::name_of(isa) << " " << quant::format_of(type).name << " " << n_in << " x "
                            << n_rows << " x " << n_columns << " at " << i;
                    }
                }
            }
        }
    }
}

// A column's result does not depend on which columns it is computed with. With 2304 inputs no range is empty, and one
// is longer than the others.
TEST(KernelsMatmul, ColumnsAreIndependent) {
    for (const Isa isa : usable()) {
        for (const quant::Type type : with_kernels) {
            for (const uint32_t n_in : {512u, 2304u}) {
                const Case all(type, n_in, 33, 61, 5);
                const auto together = all.run(kernels::table(isa));
                for (const uint32_t n : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 12u, 13u, 24u, 31u, 49u}) {
                    Case some = all;
                    some.n_columns = n;
                    some.x.resize(uint64_t(n) * some.n_in);
                    const auto apart = some.run(kernels::table(isa));
                    for (size_t i = 0; i < apart.size(); i++) {
                        ASSERT_EQ(std::bit_cast<uint32_t>(apart[i]), std::bit_cast<uint32_t>(together[i]))
                            << kernels::name_of(isa) << " " << quant::format_of(type).name << " " << n_in << " x " << n;
                    }
                }
            }
        }
    }
}

// Native products of bf16 numbers: as near to double as float32 sums are, and each column for itself.
TEST(KernelsMatmul, NativeBf16) {
    if (!kernels::lacking(Isa::avx512bf16, base::cpu_features()).empty()) {
        GTEST_SKIP() << "this CPU has no native products of bf16 numbers";
    }
    const Table& table = kernels::table(Isa::avx512bf16);
    EXPECT_EQ(kernels::name_of(table.isa), "avx512bf16");
    for (const uint32_t n_in : widths_of(quant::Type::bf16)) {
        const Case all(quant::Type::bf16, n_in, 37, 59, n_in);
        const auto together = all.run(table);
        EXPECT_LE(error_of(all, together, table), 1.2e-6 * std::sqrt(std::max(1.0, n_in / 2048.0))) << n_in;
        for (const uint32_t n : {1u, 2u, 3u, 5u, 8u, 9u, 13u, 49u}) {
            Case some = all;
            some.n_columns = n;
            some.x.resize(uint64_t(n) * n_in);
            const auto apart = some.run(table);
            for (size_t i = 0; i < apart.size(); i++) {
                ASSERT_EQ(std::bit_cast<uint32_t>(apart[i]), std::bit_cast<uint32_t>(together[i]))
                    << n_in << " x " << n;
            }
        }
    }
    // Other formats are what they are without it.
    const Case c(quant::Type::q4_k, 512, 20, 13, 1);
    EXPECT_EQ(c.run(table), c.run(kernels::table(Isa::portable)));
    Case infinite(quant::Type::bf16, 256, 16, 2, 3);
    infinite.x[100] = INFINITY;
    infinite.x[300] = NAN;
    for (const float y : infinite.run(table)) { EXPECT_FALSE(std::isfinite(y)); }
}

TEST(KernelsMatmul, ScalesAndBiases) {
    const Case c(quant::Type::q8_0, 64, 20, 3, 8);
    const Table& table = kernels::table(Isa::portable);
    const auto plain = c.run(table);
    const auto scaled_then_biased = c.run(table, 0.5f, true, false);
    const auto biased_then_scaled = c.run(table, 0.5f, true, true);
    for (size_t i = 0; i < plain.size(); i++) {
        EXPECT_EQ(scaled_then_biased[i], plain[i] * 0.5f + c.bias[i % 20]);
        EXPECT_EQ(biased_then_scaled[i], (plain[i] + c.bias[i % 20]) * 0.5f);
    }
}

// The largest codes there are, all of one sign: the sums that come nearest to the integers' bounds.
TEST(KernelsMatmul, ExtremeCodes) {
    for (const Isa isa : usable()) {
        for (const quant::Type type : {quant::Type::q4_0, quant::Type::q8_0, quant::Type::q4_k, quant::Type::q6_k}) {
            Case c(type, 2048, 16, 2, 3);
            const quant::Format& format = quant::format_of(type);
            for (const uint8_t fill : {uint8_t(0xff), uint8_t(0x00), uint8_t(0x80), uint8_t(0x7f)}) {
                std::fill(c.rows.begin(), c.rows.end(), fill);
                for (size_t block = 0; block < c.rows.size(); block += format.block_bytes) {  // scales of 1
                    for (const uint16_t at : {format.f16_scales.first, format.f16_scales.second}) {
                        c.rows[block + at] = 0x00;
                        c.rows[block + at + 1] = 0x3c;
                    }
                }
                for (size_t i = 0; i < c.x.size(); i++) { c.x[i] = i < c.n_in ? 3.0f : -3.0f; }
                const auto out = c.run(kernels::table(isa));
                EXPECT_LE(error_of(c, out, kernels::table(isa)), 3e-7)
                    << kernels::name_of(isa) << format.name << int(fill);
                EXPECT_EQ(out, c.run(kernels::table(Isa::portable))) << format.name << int(fill);
            }
        }
    }
}

// Nested formats near the integers' bounds, with low bits that no float32 could drop unnoticed.
TEST(KernelsMatmul, LargeUnevenSums) {
    for (const quant::Type type : {quant::Type::q4_k, quant::Type::q6_k}) {
        const quant::Format& format = quant::format_of(type);
        Case c(type, 1024, 16, 2, 3);
        sampling::Random random(4);
        for (size_t i = 0; i < c.rows.size(); i++) {
            const size_t at = i % format.block_bytes, scales = type == quant::Type::q4_k ? 4 : 192;
            const auto low = uint8_t(random.next());
            if (at == format.f16_scales.first || at == format.f16_scales.second) {
                c.rows[i] = 0;
            } else if (at == format.f16_scales.first + 1u || at == format.f16_scales.second + 1u) {
                c.rows[i] = 0x3c;  // 1
            } else if (type == quant::Type::q4_k) {
                c.rows[i] = at < scales + 12 ? uint8_t(0xfc | low) : uint8_t(0xcc | low);
            } else {
                c.rows[i] = at >= scales ? uint8_t(0x70 | (low & 0x0f)) : uint8_t(0xcc | low);
            }
        }
        for (float& x : c.x) { x = 0.8f + 0.2f * float(random.uniform()); }
        const auto expected = c.run(kernels::table(Isa::portable));
        EXPECT_LE(error_of(c, expected, kernels::table(Isa::portable)), 2e-7) << format.name;
        for (const Isa isa : usable()) { EXPECT_EQ(c.run(kernels::table(isa)), expected) << kernels::name_of(isa); }
    }
}

TEST(KernelsMatmul, ActivationsAtTheEdges) {
    for (const Isa isa : usable()) {
        const Table& table = kernels::table(isa);
        for (const quant::Type type : {quant::Type::q4_0, quant::Type::q4_k}) {
            Case c(type, 256, 16, 1, 3);
            std::fill(c.x.begin(), c.x.end(), 0.0f);
            for (const float y : c.run(table)) { EXPECT_EQ(std::bit_cast<uint32_t>(y), 0u); }
            std::fill(c.x.begin(), c.x.end(), 0x1p-130f);  // so small that they count as nothing
            for (const float y : c.run(table)) { EXPECT_EQ(std::bit_cast<uint32_t>(y), 0u); }
            std::fill(c.x.begin(), c.x.end(), 1e-30f);
            EXPECT_LE(error_of(c, c.run(table), table), 3e-6);  // the sum cancels
            c.x[100] = NAN;
            for (const float y : c.run(table)) { EXPECT_NE(y, y); }
            c.x[100] = -INFINITY;
            for (const float y : c.run(table)) { EXPECT_NE(y, y); }
        }
    }
}

TEST(KernelsIsa, Choices) {
    base::CpuFeatures none;
    EXPECT_EQ(*kernels::choose("", none), Isa::portable);
    EXPECT_EQ(*kernels::choose("auto", none), Isa::portable);
    EXPECT_EQ(*kernels::choose("portable", none), Isa::portable);
    const auto impossible = kernels::choose("avx512vnni", none);
    ASSERT_FALSE(impossible.ok());
    EXPECT_NE(impossible.error().message().find("AVX-512F"), std::string::npos) << impossible.error().message();
    EXPECT_FALSE(kernels::choose("neon", none).ok());
    EXPECT_EQ(kernels::choose("sse9", none).error().code, ErrorCode::argument);
#if defined(__x86_64__)
    base::CpuFeatures all{true, true, true, true, true, true, true, true, true};
    EXPECT_EQ(*kernels::choose("auto", all), Isa::avx512vnni);
    EXPECT_EQ(*kernels::choose("avx512bf16", all), Isa::avx512bf16);
    all.avx512bf16 = false;
    EXPECT_FALSE(kernels::choose("avx512bf16", all).ok());
    all.fma = false;
    EXPECT_EQ(*kernels::choose("auto", all), Isa::portable);
#endif
    for (const Isa isa : usable()) { EXPECT_EQ(kernels::table(isa).isa, isa); }
}

}  // namespace
