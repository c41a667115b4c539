// Four-bit floats (E2M1) under small float scales. The levels table holds doubled values, so scales are halved here;
// both are exact. Byte j of a run of 2n weights holds weight j in its low nibble and weight j + n in its high one.
#include <bit>

#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"

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

//  0       1                 17
//  | e u8  | pairs: 16 x u8  |
//  w = 2^(e - 127) * e2m1(code)
struct MXFP4 {
    static constexpr size_t len = 32;
    uint8_t e;
    uint8_t pairs[16];

    void decode(float* out) const { decode_run(pairs, 16, half_e8m0(e), out); }
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
};
static_assert(sizeof(NVFP4) == 36);

}  // namespace

void decode_mxfp4(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<MXFP4>(blocks, out, n_blocks); }
void decode_nvfp4(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<NVFP4>(blocks, out, n_blocks); }

}  // namespace wallaby::quant
