#include "convert/random_blocks.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/float16.h"
#include "base/hash.h"

namespace wallaby::convert {
namespace {

using quant::Type;
using Tables = RandomBlocks::Tables;

constexpr double sqrt_3 = 1.7320508075688772;  // numbers uniform in ±sqrt(3) have the standard deviation 1

// The finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
constexpr uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Word i of a stream.
constexpr uint64_t word(uint64_t key, uint64_t i) { return mix(key + (i + 1) * 0x9e3779b97f4a7c15u); }

template <class T>
void put(uint8_t* out, T value) {
    std::memcpy(out, &value, sizeof(value));
}

// --- Blocks: random bits, then what a format does not leave to chance. `choice` is a random byte of its own.

using Patch = void (*)(const Tables& tables, uint8_t choice, uint8_t* block);

template <Patch patch>
void make_blocks(const Tables& tables, uint64_t key, uint64_t first, size_t n, uint8_t* out) {
    const size_t n_whole = tables.unit_bytes / 8, n_rest = tables.unit_bytes % 8;
    for (size_t u = 0; u < n; u++, out += tables.unit_bytes) {
        const uint64_t at = (first + u) * (n_whole + 1);
        for (size_t i = 0; i < n_whole; i++) { put(out + 8 * i, word(key, at + i)); }
        const uint64_t last = word(key, at + n_whole);
        std::memcpy(out + 8 * n_whole, &last, n_rest);
        patch(tables, uint8_t(last >> 56), out);
    }
}

void put_scale(const Tables& tables, uint8_t choice, uint8_t* block) {
    put(block + tables.scale_at, tables.scales[choice]);
}

void put_scale_and_minimum(const Tables& tables, uint8_t choice, uint8_t* block) {
    put_scale(tables, choice, block);
    put(block + tables.minimum_at, tables.minima[choice]);
}

// Codes are within ±127, as every encoder has them.
void patch_q8_0(const Tables& tables, uint8_t choice, uint8_t* block) {
    put_scale(tables, choice, block);
    for (size_t i = 2; i < 34; i++) { block[i] = uint8_t(block[i] + (block[i] == 0x80 ? 1 : 0)); }
}

// The scale lies in the top nibbles of four words.
void patch_iq1_m(const Tables& tables, uint8_t choice, uint8_t* block) {
    for (size_t q = 0; q < 4; q++) {
        uint8_t& high = block[48 + 2 * q + 1];
        high = uint8_t((high & 15) | (tables.scales[choice] >> (4 * q) & 15) << 4);
    }
}

// Ternary digits 0 … 2, packed as the encoders do: five to a byte (rounded up fractions of 256), or four of two bits.
constexpr auto five_digits = [] {
    std::array<uint8_t, 243> bytes{};
    for (unsigned v = 0; v < 243; v++) { bytes[v] = uint8_t((v * 256 + 242) / 243); }
    return bytes;
}();
constexpr auto four_codes = [] {
    std::array<uint8_t, 81> bytes{};
    for (unsigned v = 0; v < 81; v++) { bytes[v] = uint8_t(v % 3 | v / 3 % 3 << 2 | v / 9 % 3 << 4 | v / 27 << 6); }
    return bytes;
}();

void patch_tq1_0(const Tables& tables, uint8_t choice, uint8_t* block) {
    for (size_t i = 0; i < 48; i++) { block[i] = five_digits[size_t(block[i] * 243 >> 8)]; }
    for (size_t i = 48; i < 52; i++) { block[i] = five_digits[size_t(block[i] * 81 >> 8) * 3]; }
    put_scale(tables, choice, block);
}

void patch_tq2_0(const Tables& tables, uint8_t choice, uint8_t* block) {
    for (size_t i = 0; i < 64; i++) { block[i] = four_codes[size_t(block[i] * 81 >> 8)]; }
    put_scale(tables, choice, block);
}

void patch_mxfp4(const Tables& tables, uint8_t choice, uint8_t* block) { block[0] = uint8_t(tables.scales[choice]); }

void patch_nvfp4(const Tables& tables, uint8_t, uint8_t* block) {
    for (size_t g = 0; g < 4; g++) { block[g] = uint8_t(tables.scales[block[g]]); }
}

// --- Formats without blocks

template <class T>
void make_numbers(const Tables& tables, uint64_t key, uint64_t first, size_t n, uint8_t* out) {
    for (size_t u = 0; u < n; u++) {
        const uint64_t bits = word(key, first + u);
        for (size_t i = 0; i < 8 / sizeof(T); i++, out += sizeof(T)) {
            put(out, T(tables.mean + tables.step * float(int32_t(bits >> (32 * i)))));
        }
    }
}

void make_halves(const Tables& tables, uint64_t key, uint64_t first, size_t n, uint8_t* out) {
    for (size_t u = 0; u < n; u++) {
        const uint64_t bits = word(key, first + u);
        for (size_t i = 0; i < 4; i++, out += 2) { put(out, tables.weights[bits >> (16 * i) & 4095u]); }
    }
}

void make_zeros(const Tables&, uint64_t, uint64_t, size_t n, uint8_t* out) { std::memset(out, 0, 8 * n); }

// --- One row per format

struct Row {
    Type type;
    void (*make)(const Tables& tables, uint64_t key, uint64_t first, size_t n, uint8_t* out);
    // Of blocks: the standard deviation of the weights under scales of 1, as measured (ConvertRandomBlocks.Moments
    // holds the rows to it). Small scales and minima inside the block are as random as the codes.
    double unit_sigma = 0;
    uint16_t scale_at = 0;
    bool has_sign = false;  // the codes' mean is not 0: scales of either sign make it so
    uint16_t minimum_at = 0;
    double minimum = 0;  // per scale: takes the codes' mean away
};

constexpr Row rows[] = {
    {Type::f32, make_numbers<float>},
    {Type::f16, make_halves},
    {Type::q4_0, make_blocks<put_scale>, 4.636, 0, true},
    {Type::q4_1, make_blocks<put_scale_and_minimum>, 4.61, 0, false, 2, -7.5},
    {Type::q5_0, make_blocks<put_scale>, 9.247, 0, true},
    {Type::q5_1, make_blocks<put_scale_and_minimum>, 9.247, 0, false, 2, -15.5},
    {Type::q8_0, make_blocks<patch_q8_0>, 73.91, 0},
    {Type::q2_k, make_blocks<put_scale_and_minimum>, 13.84, 80, false, 82, 1.5},
    {Type::q3_k, make_blocks<put_scale>, 43.24, 108},
    {Type::q4_k, make_blocks<put_scale_and_minimum>, 259.1, 0, false, 2, 7.5},
    {Type::q5_k, make_blocks<put_scale_and_minimum>, 527.7, 0, false, 2, 15.5},
    {Type::q6_k, make_blocks<put_scale>, 1365, 208},
    {Type::iq2_xxs, make_blocks<put_scale>, 53.28, 0},
    {Type::iq2_xs, make_blocks<put_scale>, 56.11, 0},
    {Type::iq3_xxs, make_blocks<put_scale>, 142.9, 0},
    {Type::iq1_s, make_blocks<put_scale>, 7.209, 0},
    {Type::iq4_nl, make_blocks<put_scale>, 67.43, 0, true},
    {Type::iq3_s, make_blocks<put_scale>, 139.4, 0},
    {Type::iq2_s, make_blocks<put_scale>, 56.27, 0},
    {Type::iq4_xs, make_blocks<put_scale>, 1246, 0},
    {Type::f64, make_numbers<double>},
    {Type::iq1_m, make_blocks<patch_iq1_m>, 7.22, 0},
    {Type::bf16, make_halves},
    {Type::tq1_0, make_blocks<patch_tq1_0>, 0.8165, 52},
    {Type::tq2_0, make_blocks<patch_tq2_0>, 0.8165, 64},
    {Type::mxfp4, make_blocks<patch_mxfp4>, 2.926},
    {Type::nvfp4, make_blocks<patch_nvfp4>, 2.926},
    {Type::q1_0, make_blocks<put_scale>, 1, 0},
    {Type::q2_0, make_blocks<put_scale>, 1.2247, 0, true},
};

// --- Scales

// A positive finite f16 near x.
uint16_t positive_f16(double x) { return std::clamp<uint16_t>(base::f16_from_f32(float(x)), 1, 0x7bff); }

// The unsigned E4M3 code above zero whose value is nearest to x.
uint16_t nearest_e4m3(double x) {
    const auto value = [](int code) {
        const int exponent = code >> 3, mantissa = code & 7;
        return exponent == 0 ? mantissa / 512.0 : (8 + mantissa) / 1024.0 * double(1 << exponent);
    };
    int code = 1;
    while (code < 0x7e && value(code + 1) - x < x - value(code)) { code++; }
    return uint16_t(code);
}

// Powers of two, which are too far apart for one: half of x's, x's and twice x's own, in shares whose mean square is
// x².
void choose_powers(double x, std::array<uint16_t, 256>& scales) {
    const uint64_t biased = std::bit_cast<uint64_t>(x) >> 52;  // x = ratio * 2^(biased - 1023), 1 <= ratio < 2
    const double ratio = x / std::bit_cast<double>(biased << 52);
    constexpr double share_of_half = 0.125;
    const double share_of_double = (ratio * ratio - (1 - 0.75 * share_of_half)) / 3;
    const auto code = int(biased) - 1023 + 127;
    for (size_t i = 0; i < scales.size(); i++) {
        const double at = (double(i) + 0.5) / double(scales.size());
        const int step = at < share_of_half ? -1 : at > 1 - share_of_double ? 1 : 0;
        scales[i] = uint16_t(std::clamp(code + step, 1, 254));
    }
}

// Scales from half to one and a half times what sigma asks for, so that one taken for another shows.
void choose_scales(const Row& row, double sigma, Tables& tables) {
    constexpr double rms_of_factors = 1.0408;  // uniform in 0.5 … 1.5
    const double middle = sigma / row.unit_sigma;
    if (row.type == Type::mxfp4) { return choose_powers(middle, tables.scales); }
    for (size_t i = 0; i < tables.scales.size(); i++) {
        const double scale = middle / rms_of_factors * (0.5 + double(i & 127) / 127);
        if (row.type == Type::nvfp4) {
            tables.scales[i] = nearest_e4m3(scale);
            continue;
        }
        const uint16_t d = positive_f16(scale);
        tables.scales[i] = uint16_t(d | (row.has_sign && i >= 128 ? 0x8000u : 0u));
        // From d as it was rounded: the weights' mean is what it has to take away.
        const double minimum = row.minimum * double(base::f32_from_f16(d));
        tables.minima[i] = uint16_t(positive_f16(minimum < 0 ? -minimum : minimum) | (minimum < 0 ? 0x8000u : 0u));
    }
}

}  // namespace

uint64_t stream_key(uint64_t seed, std::string_view tensor_name) {
    return mix(base::fnv1a(tensor_name) ^ mix(seed + 0x9e3779b97f4a7c15u));
}

RandomBlocks::RandomBlocks(Type type, double mean, double sigma) : make_(make_zeros) {
    sigma = std::clamp(sigma, 1e-6, 1e4);
    const auto* const row = std::ranges::find(rows, type, &Row::type);
    if (row == std::end(rows)) { return; }
    make_ = row->make;
    tables_.mean = float(mean);
    tables_.step = float(sigma * sqrt_3 * 0x1p-31);
    tables_.scale_at = row->scale_at;
    tables_.minimum_at = row->minimum_at;
    for (size_t i = 0; i < tables_.weights.size(); i++) {
        const auto weight = float(mean + sigma * sqrt_3 * ((2 * double(i) + 1) / 4096 - 1));
        tables_.weights[i] = type == Type::bf16 ? base::bf16_from_f32(weight) : base::f16_from_f32(weight);
    }
    if (quant::format_of(type).block_len == 1) { return; }
    tables_.unit_bytes = quant::format_of(type).block_bytes;
    choose_scales(*row, sigma, tables_);
}

void RandomBlocks::fill(uint64_t key, uint64_t offset, std::span<uint8_t> out) const {
    std::array<uint8_t, 256> one{};
    while (!out.empty()) {
        const uint64_t unit = offset / tables_.unit_bytes, skip = offset % tables_.unit_bytes;
        size_t n_bytes = out.size() - out.size() % tables_.unit_bytes;
        if (skip == 0 && n_bytes != 0) {
            make_(tables_, key, unit, n_bytes / tables_.unit_bytes, out.data());
        } else {
            make_(tables_, key, unit, 1, one.data());
            n_bytes = std::min<uint64_t>(out.size(), tables_.unit_bytes - skip);
            std::memcpy(out.data(), one.data() + skip, n_bytes);
        }
        out = out.subspan(n_bytes);
        offset += n_bytes;
    }
}

}  // namespace wallaby::convert
