// Weight formats: how many weights a block holds, how many bytes it takes, and the scalar codec that defines it.
// Type ids are GGUF's (ggml's type enumeration); blocks are laid out along a row, first weight first, little-endian.
// Codecs are total: any bit pattern decodes without reading or writing outside the blocks given.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace wallaby::quant {

enum class Type : uint32_t {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q2_k = 10,
    q3_k = 11,
    q4_k = 12,
    q5_k = 13,
    q6_k = 14,
    iq2_xxs = 16,
    iq2_xs = 17,
    iq3_xxs = 18,
    iq1_s = 19,
    iq4_nl = 20,
    iq3_s = 21,
    iq2_s = 22,
    iq4_xs = 23,
    i8 = 24,
    i16 = 25,
    i32 = 26,
    i64 = 27,
    f64 = 28,
    iq1_m = 29,
    bf16 = 30,
    tq1_0 = 34,
    tq2_0 = 35,
    mxfp4 = 39,
    nvfp4 = 40,
    q1_0 = 41,
    q2_0 = 42,
};

// blocks: n_blocks * block_bytes bytes, any alignment. out: n_blocks * block_len floats.
using Decode = void (*)(const uint8_t* blocks, float* out, size_t n_blocks);
// in: n_blocks * block_len finite floats. Encoders that choose (all but Q8_0's and the plain ones) encode a block with
// others to NaN under an f16 scale, to infinities in MXFP4, to zeros in NVFP4; the rest to some bytes or other.
// blocks: n_blocks * block_bytes bytes. Weights too large for a format's f16 scale encode to infinities, as they do in
// F16 itself; NVFP4 holds them at 2688. importance: a factor for the squared error of each weight, of which encoders
// that choose take account, or nullptr.
using Encode = void (*)(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);

// The bytes of a block at which an f16 scale or minimum stands (the same twice where there is one). A block's weights
// are finite exactly when these are, since codes and sub-scales are small integers.
struct F16Scales {
    bool known = false;  // no: only decoding tells whether the weights are finite
    uint16_t first = 0, second = 0;
};

struct Format {
    Type type;
    std::string_view name;  // as GGUF tools print it: "Q4_K", "IQ2_XXS"
    uint32_t block_len;     // weights in a block
    uint32_t block_bytes;
    Decode decode;
    Encode encode;  // nullptr where no encoder exists
    F16Scales f16_scales = {};

    double bits_per_weight() const { return 8.0 * block_bytes / block_len; }
};

// Every known format, ascending by type id.
std::span<const Format> formats();
// nullptr when the id or the name (any case) is not a format this build knows.
const Format* find_format(uint32_t type_id);
const Format* find_format(std::string_view name);
inline const Format& format_of(Type type) { return *find_format(uint32_t(type)); }

}  // namespace wallaby::quant
