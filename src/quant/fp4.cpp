// Four-bit floats (E2M1) under small float scales. The levels table holds doubled values, so scales are halved here;
// both are exact. Byte j of a run of 2n weights holds weight j in its low nibble and weight j + n in its high one.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"
#include "quant/fit_blocks.h"

namespace wallaby::quant {

namespace {

void decode_run(const uint8_t* pairs, size_t n_bytes, float half_scale, float* out) {
    for (size_t j = 0; j < n_bytes; j++) {
        out[j] = half_scale * float(e2m1_doubled[pairs[j] & 15]);
        out[j + n_bytes] = half_scale * float(e2m1_doubled[pairs[j] >> 4]);
    }
}

// 2^(e - 128): half of what E8M0 stands for. The code that the OCP standard reserves for NaN, 255, counts as a power
// of two like the others, as in ggml.
float half_e8m0(uint8_t e) {
    if (e < 2) { return std::bit_cast<float>(0x00200000u << e); }  // denormals
    return std::bit_cast<float>(uint32_t(e - 1) << 23);
}

// Half of an unsigned E4M3 (bias 7, no infinity). Bit 7 is not looked at, save that only 0x7f, not 0xff, is NaN, which
// counts as 0; as in ggml.
float half_ue4m3(uint8_t code) {
    if (code == 0x7f) { return 0.0f; }
    const uint32_t exponent = code >> 3 & 15u;
    const uint32_t mantissa = code & 7u;
    if (exponent == 0) { return float(mantissa) * 0x1p-10f; }
    // (1 + mantissa / 8) * 2^(exponent - 7) / 2, whose binary32 exponent is biased by 127
    return std::bit_cast<float>((exponent - 8 + 127) << 23 | mantissa << 20);
}

constexpr int ue4m3_largest = 0x7e;  // 448

// The code of the largest value up to s, which is 0 or more.
int ue4m3_below(float s) {
    if (s < 0x1p-6f) { return int(s * 0x1p9f); }
    const auto code = int(std::bit_cast<uint32_t>(s) >> 20) - ((127 - 7) << 3);
    return std::min(code, ue4m3_largest);
}

// The doubled levels as fits see them: 1 apart up to 4, 2 up to 8, 4 up to 12.
struct E2m1 {
    static Lanes nearest(Lanes x) {
        const Lanes size = abs(x);
        const Lanes unit_ulps = select(size < 4, 0x1.8p23f, select(size < 8, 0x1.8p24f, 0x1.8p25f));
        const Lanes level = min((size + unit_ulps) - unit_ulps, 12);
        return select(x < 0, -level, level);
    }
};

int code_of(float level) {
    constexpr std::array<uint8_t, 13> codes = {0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7};  // by size
    return codes[size_t(std::fabs(level))] | (level < 0 ? 8 : 0);
}

// The codes of each lane's group.
template <size_t len>
struct Codes {
    uint8_t of[n_lanes][len];

    Codes(const ScaledLanes<len, E2m1>& groups, Lanes half_scales) {
        for (size_t i = 0; i < len; i++) {
            const Lanes levels = groups.level(i, inverse(half_scales));
            for (size_t l = 0; l < n_lanes; l++) { of[l][i] = uint8_t(code_of(levels[l])); }
        }
    }

    void put(size_t l, uint8_t* pairs) const {
        for (size_t j = 0; j < len / 2; j++) { pairs[j] = uint8_t(of[l][j] | of[l][j + len / 2] << 4); }
    }
};

//  0       1                 17
//  | e u8  | pairs: 16 x u8  |
//  w = 2^(e - 127) * e2m1(code)
struct MXFP4 {
    static constexpr size_t len = 32;
    uint8_t e;
    uint8_t pairs[16];

    void decode(float* out) const { decode_run(pairs, 16, half_e8m0(e), out); }

    // The largest level is 6, so a weight from 1 to 2 calls for a scale of 1/4, or of 1/2 where it lies above 1.5
    // alone; 1/8 cuts it off.
    static constexpr int exponents[] = {-2, -1, -3};

    // Of the largest weight, not so small that a block's scale would be too small for e.
    static int exponent_of(const float* in) {
        uint32_t largest = 0;
        for (size_t i = 0; i < len; i++) { largest = std::max(largest, std::bit_cast<uint32_t>(in[i]) & 0x7fffffffu); }
        return std::clamp(int(largest >> 23) - 127, -124, 127);
    }

    static void encode(const float* in, const float* importance, size_t n, MXFP4* blocks) {
        float x[n_lanes * len] = {};  // as multiples of a power of two, which makes squares of any weights possible
        int exponent[n_lanes] = {};
        for (size_t b = 0; b < n; b++) {
            exponent[b] = exponent_of(in + b * len);
            const float factor = std::ldexp(1.0f, -exponent[b]);
            for (size_t i = b * len; i < (b + 1) * len; i++) { x[i] = in[i] * factor; }
        }
        const BlockLanes<len> lanes(x, importance, n);
        const ScaledLanes<len, E2m1> groups{lanes.groups};
        Least least{std::numeric_limits<float>::infinity()};
        for (const int of_scale : exponents) {
            const float half_scale = std::ldexp(0.5f, of_scale);
            least.offer(half_scale, groups.error(half_scale));
        }
        const Codes<len> codes(groups, least.chosen);
        for (size_t b = 0; b < n; b++) {
            if (lanes.kinds[b] == FitKind::not_finite) {
                std::memset(&blocks[b], 0xff, sizeof(MXFP4));  // -6 * 2^128
                continue;
            }
            blocks[b].e = uint8_t(std::ilogb(2 * least.chosen[b]) + exponent[b] + 127);
            codes.put(b, blocks[b].pairs);
        }
    }
};
static_assert(sizeof(MXFP4) == 17);

//  0                4                 36
//  | scales: 4 x u8 | pairs: 4 x 8 x u8 |    run g of 8 bytes: weights 16g..16g+15
//  w = ue4m3(scales[g]) * e2m1(code)
//  A file may scale the whole tensor by a further factor, kept in a tensor of its own.
struct NVFP4 {
    static constexpr size_t len = 64;
    uint8_t scales[4];
    uint8_t pairs[32];

    void decode(float* out) const {
        for (size_t g = 0; g < 4; g++) { decode_run(pairs + 8 * g, 8, half_ue4m3(scales[g]), out + 16 * g); }
    }

    static constexpr size_t group_len = 16, n_groups = len / group_len, at_once = n_lanes / n_groups;

    // Weights beyond 6 * 448 are held there, and what is not finite counts as zeros: no scale stands for either.
    static void encode(const float* in, const float* importance, size_t n, NVFP4* blocks) {
        float x[at_once * len] = {};
        for (size_t i = 0; i < n * len; i++) { x[i] = std::clamp(in[i], -0x1p20f, 0x1p20f); }
        const BlockLanes<len, group_len> lanes(x, importance, n);
        const ScaledLanes<group_len, E2m1> groups{lanes.groups};
        const auto half_scales = [](Lanes of_codes) {
            return of_each(of_codes, [](float code) { return half_ue4m3(uint8_t(code)); });
        };
        // Scales that put the farthest weight between 3.5 and 9.
        const Lanes reach = of_each(abs(groups.groups.farthest()) / 6, [](float s) { return float(ue4m3_below(s)); });
        Least least{groups.error(0)};
        for (int step = -4; step <= 6; step++) {
            const Lanes code = max(min(reach + float(step), ue4m3_largest), 0);
            least.offer(code, groups.error(half_scales(code)));
        }
        const Codes<group_len> codes(groups, half_scales(least.chosen));
        for (size_t g = 0; g < n * n_groups; g++) {
            NVFP4& block = blocks[g / n_groups];
            block.scales[g % n_groups] = uint8_t(least.chosen[g]);
            codes.put(g, block.pairs + g % n_groups * (group_len / 2));
        }
    }
};
static_assert(sizeof(NVFP4) == 36);

}  // namespace

void decode_mxfp4(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<MXFP4>(blocks, out, n_blocks); }
void decode_nvfp4(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<NVFP4>(blocks, out, n_blocks); }

void encode_mxfp4(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_together<MXFP4, n_lanes>(in, blocks, n_blocks, importance, MXFP4::encode);
}
void encode_nvfp4(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_together<NVFP4, NVFP4::at_once>(in, blocks, n_blocks, importance, NVFP4::encode);
}

}  // namespace wallaby::quant
