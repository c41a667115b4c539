// Formats without blocks: one number after another, little-endian. Conversions that cannot be exact (f64, i32, i64;
// f32 to f16 and bf16) round to nearest even; what exceeds the target's range becomes an infinity.
#include "base/bytes.h"
#include "base/float16.h"
#include "quant/codecs.h"

namespace wallaby::quant {

namespace {

template <class Number>
void decode_numbers(const uint8_t* bytes, float* out, size_t n) {
    for (size_t i = 0; i < n; i++) { out[i] = float(base::load_le<Number>(bytes + i * sizeof(Number))); }
}

template <uint16_t (*convert)(float)>
void encode_halves(const float* in, uint8_t* bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = convert(in[i]);
        std::memcpy(bytes + i * sizeof(half), &half, sizeof(half));
    }
}

}  // namespace

void decode_f32(const uint8_t* blocks, float* out, size_t n_blocks) {
    if (n_blocks != 0) { std::memcpy(out, blocks, n_blocks * sizeof(float)); }
}

void encode_f32(const float* in, uint8_t* blocks, size_t n_blocks, const float* /*importance*/) {
    if (n_blocks != 0) { std::memcpy(blocks, in, n_blocks * sizeof(float)); }
}

void decode_f16(const uint8_t* blocks, float* out, size_t n_blocks) {
    for (size_t i = 0; i < n_blocks; i++) { out[i] = base::f32_from_f16(base::load_le<uint16_t>(blocks + 2 * i)); }
}

void decode_bf16(const uint8_t* blocks, float* out, size_t n_blocks) {
    for (size_t i = 0; i < n_blocks; i++) { out[i] = base::f32_from_bf16(base::load_le<uint16_t>(blocks + 2 * i)); }
}

void encode_f16(const float* in, uint8_t* blocks, size_t n_blocks, const float* /*importance*/) {
    encode_halves<base::f16_from_f32>(in, blocks, n_blocks);
}

void encode_bf16(const float* in, uint8_t* blocks, size_t n_blocks, const float* /*importance*/) {
    encode_halves<base::bf16_from_f32>(in, blocks, n_blocks);
}

void decode_f64(const uint8_t* blocks, float* out, size_t n_blocks) { decode_numbers<double>(blocks, out, n_blocks); }
void decode_i8(const uint8_t* blocks, float* out, size_t n_blocks) { decode_numbers<int8_t>(blocks, out, n_blocks); }
void decode_i16(const uint8_t* blocks, float* out, size_t n_blocks) { decode_numbers<int16_t>(blocks, out, n_blocks); }
void decode_i32(const uint8_t* blocks, float* out, size_t n_blocks) { decode_numbers<int32_t>(blocks, out, n_blocks); }
void decode_i64(const uint8_t* blocks, float* out, size_t n_blocks) { decode_numbers<int64_t>(blocks, out, n_blocks); }

}  // namespace wallaby::quant
