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
#include "support/sanitized.h"
#include "support/tables.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using kernels::Activations;
using kernels::Table;

std::vector<quant::Type> all_with_kernels() {
    std::vector<quant::Type> out;
    for (const quant::Format& format : quant::formats()) {
        if (kernels::portable().matmul(format.type).run != nullptr) { out.push_back(format.type); }
    }
    return out;
}
const std::vector<quant::Type> with_kernels = all_with_kernels();

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
        if (format.encode != nullptr) {
            std::vector<float> w(uint64_t(in) * out);
            for (float& v : w) { v = float(random.uniform() * 2 - 1); }
            format.encode(w.data(), rows.data(), w.size() / format.block_len, nullptr);
        } else {
            convert::RandomBlocks(t, 0, 0.5).fill(seed, 0, rows);
        }
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
        args.scratch = n_columns <= m.narrow_columns && n_in % 2 == 0 ? nullptr : scratch.data();
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
    const uint32_t block = kind == Activations::per_16    ? 16
                           : kind == Activations::per_32  ? 32
                           : kind == Activations::per_256 ? 256
                                                          : 0;
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
    if (block < 256) { return {block, 2 * block, 3 * block, 512, 7 * block, 9 * block, 2048, 2048 + block, 5760}; }
    return {256, 512, 768, 2048, 2304, 6400};
}

class KernelsMatmulOf : public ::testing::TestWithParam<quant::Type> {};
INSTANTIATE_TEST_SUITE_P(All, KernelsMatmulOf, ::testing::ValuesIn(with_kernels),
                         [](const auto& test) { return std::string(quant::format_of(test.param).name); });

// The portable kernels; the others have their bits.
TEST_P(KernelsMatmulOf, AgreesWithDouble) {
    const Table& table = kernels::portable();
    for (const uint32_t n_in : widths_of(GetParam())) {
        for (const auto& [n_rows, n_columns] : {std::pair{16u, 1u}, {37u, 3u}, {5u, 13u}, {33u, 59u}}) {
            const Case c(GetParam(), n_in, n_rows, n_columns, n_in * 31 + n_columns);
            // Eight chains of n_in / 8 roundings each, of random sign: they grow by its root. Measured: below 2.5e-7 at
            // 2048, 6.1e-7 at 4999.
            EXPECT_LE(error_of(c, c.run(table), table), 6e-7 * std::sqrt(std::max(1.0, n_in / 2048.0)))
                << n_in << " x " << n_rows << " x " << n_columns;
        }
    }
}

TEST_P(KernelsMatmulOf, EveryInstructionSetGivesTheBitsOfThePortableOne) {
    SKIP_WHERE_ALL_IS_PORTABLE();
    for (const uint32_t n_in : widths_of(GetParam())) {
        for (const auto& [n_rows, n_columns] : {std::pair{16u, 1u},
                                                {1u, 2u},
                                                {37u, 3u},
                                                {17u, 4u},
                                                {16u, 5u},
                                                {33u, 7u},
                                                {16u, 9u},
                                                {5u, 13u},
                                                {33u, 59u}}) {
            const Case c(GetParam(), n_in, n_rows, n_columns, n_in * 17 + n_columns);
            const auto expected = c.run(kernels::portable(), 0.7f, true);
            for (const Table* table : usable_tables()) {
                ASSERT_EQ(first_difference(c.run(*table, 0.7f, true), expected), -1)
                    << table->isa.name << " " << n_in << " x " << n_rows << " x " << n_columns;
            }
        }
    }
}

// A column's result does not depend on which columns it is computed with. With 2304 inputs no range is empty, and one
// is longer than the others.
TEST_P(KernelsMatmulOf, ColumnsAreIndependent) {
    for (const Table* table : usable_tables()) {
        for (const uint32_t n_in : {512u, 2304u}) {
            const Case all(GetParam(), n_in, 33, 61, 5);
            auto together = all.run(*table);
            for (const uint32_t n : {49u, 31u, 24u, 13u, 12u, 9u, 8u, 7u, 6u, 5u, 4u, 3u, 2u, 1u}) {
                Case some = all;
                some.n_columns = n;
                some.x.resize(uint64_t(n) * n_in);
                together.resize(uint64_t(n) * all.n_rows);
                ASSERT_EQ(first_difference(some.run(*table), together), -1)
                    << table->isa.name << " " << n_in << " x " << n;
            }
        }
    }
}

// Native products of bf16 numbers: as near to double as float32 sums are, and each column for itself.
TEST(KernelsMatmul, NativeBf16) {
    const auto native = kernels::choose("avx512bf16", base::cpu_features());
    if (!native.ok()) { GTEST_SKIP() << "this CPU has no native products of bf16 numbers"; }
    const Table& table = **native;
    EXPECT_EQ(table.isa.name, "avx512bf16");
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
    EXPECT_EQ(c.run(table), c.run(kernels::portable()));
    Case infinite(quant::Type::bf16, 256, 16, 2, 3);
    infinite.x[100] = INFINITY;
    infinite.x[300] = NAN;
    for (const float y : infinite.run(table)) { EXPECT_FALSE(std::isfinite(y)); }
}

TEST(KernelsMatmul, ScalesAndBiases) {
    const Case c(quant::Type::q8_0, 64, 20, 3, 8);
    const Table& table = kernels::portable();
    const auto plain = c.run(table);
    const auto scaled_then_biased = c.run(table, 0.5f, true, false);
    const auto biased_then_scaled = c.run(table, 0.5f, true, true);
    for (size_t i = 0; i < plain.size(); i++) {
        EXPECT_EQ(scaled_then_biased[i], plain[i] * 0.5f + c.bias[i % 20]);
        EXPECT_EQ(biased_then_scaled[i], (plain[i] + c.bias[i % 20]) * 0.5f);
    }
}

TEST(KernelsMatmul, EveryFormatOfWeightsHasAKernel) {
    EXPECT_EQ(with_kernels.size(), 28u);  // all but integers and F64
}

// Blocks of any bytes, with super-scales of 1.
void fill(Case& c, const auto& next_byte) {
    const quant::Format& format = quant::format_of(c.type);
    for (uint8_t& b : c.rows) { b = next_byte(); }
    for (size_t at = 0; at < c.rows.size(); at += format.block_bytes) {
        uint8_t* block = c.rows.data() + at;
        if (format.f16_scales.known) {
            for (const uint16_t place : {format.f16_scales.first, format.f16_scales.second}) {
                block[place] = 0x00;
                block[place + 1] = 0x3c;
            }
        } else if (c.type == quant::Type::mxfp4) {
            block[0] = 128;  // half of 2^1
        } else if (c.type == quant::Type::nvfp4) {
            std::fill_n(block, 4, uint8_t(0x40));  // half of 2
        } else if (c.type == quant::Type::iq1_m) {
            constexpr uint8_t one[] = {0x00, 0x00, 0xc0, 0x30};  // the top four bits of words
            for (size_t i = 0; i < 4; i++) { block[49 + 2 * i] = uint8_t((block[49 + 2 * i] & 0x0f) | one[i]); }
        }
    }
}
const std::vector<quant::Type> quantised(with_kernels.begin() + 2, with_kernels.end());

// Codes all alike, the largest and the smallest among them, and inputs of one sign: the sums that come nearest to the
// integers' bounds.
TEST(KernelsMatmul, ExtremeCodes) {
    for (const quant::Type type : quantised) {
        if (type == quant::Type::bf16) { continue; }
        for (const uint32_t n_columns : {2u, 12u}) {
            Case c(type, 2048, 16, n_columns, 3);
            for (const uint8_t byte : {uint8_t(0xff), uint8_t(0x00), uint8_t(0x80), uint8_t(0x7f)}) {
                fill(c, [byte] { return byte; });
                for (size_t i = 0; i < c.x.size(); i++) { c.x[i] = i / c.n_in % 2 == 0 ? 3.0f : -3.0f; }
                const auto expected = c.run(kernels::portable());
                const auto what = std::string(quant::format_of(type).name) + " " + std::to_string(byte);
                // Scales and minima of 2-bit formats cancel: 15 * 3 - 15.
                EXPECT_LE(error_of(c, expected, kernels::portable()), 1e-6) << what;
                for (const Table* table : usable_tables()) {
                    EXPECT_EQ(c.run(*table), expected) << table->isa.name << " " << what;
                }
            }
        }
    }
}

// Any codes and scales, and inputs of one sign near the largest: low bits that no float32 could drop unnoticed.
TEST(KernelsMatmul, LargeUnevenSums) {
    sampling::Random random(4);
    for (const quant::Type type : quantised) {
        if (type == quant::Type::bf16) { continue; }
        Case c(type, 1024, 16, 2, 3);
        // Mostly ones, so that sums of unsigned codes and scales grow.
        for (const int mask : {0x00, 0xcc, 0xf0}) {
            fill(c, [&] { return uint8_t(mask | int(random.next() & 0xff)); });
            for (float& x : c.x) { x = 0.8f + 0.2f * float(random.uniform()); }
            const auto expected = c.run(kernels::portable());
            // Measured: 1.7e-6 where an offset is taken away as a minimum, and magnitudes cancel too.
            EXPECT_LE(error_of(c, expected, kernels::portable()), 2.5e-6) << quant::format_of(type).name << " " << mask;
            for (const Table* table : usable_tables()) {
                EXPECT_EQ(c.run(*table), expected) << table->isa.name << mask;
            }
        }
    }
}

TEST(KernelsMatmul, ActivationsAtTheEdges) {
    for (const Table* table : usable_tables()) {
        for (const quant::Type type : {quant::Type::q4_0, quant::Type::q4_k}) {
            Case c(type, 256, 16, 1, 3);
            std::fill(c.x.begin(), c.x.end(), 0.0f);
            for (const float y : c.run(*table)) { EXPECT_EQ(std::bit_cast<uint32_t>(y), 0u); }
            std::fill(c.x.begin(), c.x.end(), 0x1p-130f);  // so small that they count as nothing
            for (const float y : c.run(*table)) { EXPECT_EQ(std::bit_cast<uint32_t>(y), 0u); }
            std::fill(c.x.begin(), c.x.end(), 1e-30f);
            EXPECT_LE(error_of(c, c.run(*table), *table), 3e-6);  // the sum cancels
            c.x[100] = NAN;
            for (const float y : c.run(*table)) { EXPECT_NE(y, y); }
            c.x[100] = -INFINITY;
            for (const float y : c.run(*table)) { EXPECT_NE(y, y); }
        }
    }
}

TEST(KernelsIsa, Choices) {
    using base::CpuFeature;
    const base::CpuFeatures none;
#if defined(__aarch64__)
    constexpr const char* at_least = "neon";  // part of every such processor
#else
    constexpr const char* at_least = "portable";
#endif
    EXPECT_EQ((*kernels::choose("", none))->isa.name, at_least);
    EXPECT_EQ((*kernels::choose("auto", none))->isa.name, at_least);
    EXPECT_EQ(*kernels::choose("portable", none), &kernels::portable());
    EXPECT_EQ(kernels::portable().isa.name, "portable");
    EXPECT_EQ(kernels::choose("sse9", none).error().code, ErrorCode::argument);
    // Whatever this binary is for, it knows the names of all; but builds with sanitizers leave some out.
    const auto is_left_out = [](std::string_view name) {
        return under_sanitizer && kernels::choose(name, {}).error().code == ErrorCode::argument;
    };
    for (const char* name : {"avx512vnni", "avx512bf16", "avx512", "avxvnni", "avx2", "dotprod", "i8mm"}) {
        if (is_left_out(name)) { continue; }
        const auto impossible = kernels::choose(name, none);
        ASSERT_FALSE(impossible.ok()) << name;
        EXPECT_EQ(impossible.error().code, ErrorCode::unsupported) << name;
    }
    for (const Table& t : kernels::tables()) { EXPECT_EQ(kernels::find_table(t.isa.name), &t); }
#if defined(__x86_64__)
    EXPECT_NE(kernels::choose("avx512vnni", none).error().message().find("avx512f, avx512bw"), std::string::npos);
    base::CpuFeatures all;
    for (int i = 0; i < base::n_cpu_features; i++) { all.set(CpuFeature(i)); }
    const auto best = [&] { return (*kernels::choose("auto", all))->isa.name; };
    EXPECT_EQ(best(), "avx512vnni");
    EXPECT_EQ((*kernels::choose("avx512bf16", all))->isa.name, "avx512bf16");
    all.set(CpuFeature::avx512bf16, false);
    EXPECT_FALSE(kernels::choose("avx512bf16", all).ok());
    all.set(CpuFeature::avx512vnni, false);
    if (!is_left_out("avx512")) { EXPECT_EQ(best(), "avx512"); }
    all.set(CpuFeature::avx512dq, false);
    if (!is_left_out("avxvnni")) { EXPECT_EQ(best(), "avxvnni"); }
    all.set(CpuFeature::avxvnni, false);
    EXPECT_EQ(best(), "avx2");
    all.set(CpuFeature::fma, false);
    EXPECT_EQ(best(), "portable");
#elif defined(__aarch64__)
    base::CpuFeatures some;
    some.set(CpuFeature::dotprod);
    EXPECT_EQ((*kernels::choose("auto", some))->isa.name, "dotprod");
    EXPECT_NE(kernels::choose("i8mm", some).error().message().find("lacks i8mm"), std::string::npos);
    some.set(CpuFeature::i8mm);
    EXPECT_EQ((*kernels::choose("auto", some))->isa.name, "i8mm");
#endif
}

}  // namespace
