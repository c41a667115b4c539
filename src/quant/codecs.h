// The scalar codecs behind the table in format.cpp; what each does is written where it is defined.
#pragma once
#include <cstddef>
#include <cstdint>

namespace wallaby::quant {

// plain.cpp
void decode_f32(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_f64(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_f16(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_bf16(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_i8(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_i16(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_i32(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_i64(const uint8_t* blocks, float* out, size_t n_blocks);
void encode_f32(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_f16(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_bf16(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);

// legacy.cpp
void decode_q4_0(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q4_1(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q5_0(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q5_1(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q8_0(const uint8_t* blocks, float* out, size_t n_blocks);
void encode_q4_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q4_1(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q5_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q5_1(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q8_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);

// k_quants.cpp
void decode_q2_k(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q3_k(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q4_k(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q5_k(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q6_k(const uint8_t* blocks, float* out, size_t n_blocks);
void encode_q2_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q3_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q4_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q5_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q6_k(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);

// iq1.cpp, iq2.cpp, iq3.cpp, iq4.cpp
void decode_iq1_s(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq1_m(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq2_xxs(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq2_xs(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq2_s(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq3_xxs(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq3_s(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq4_nl(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_iq4_xs(const uint8_t* blocks, float* out, size_t n_blocks);
void encode_iq1_s(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq1_m(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq2_xxs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq2_xs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq2_s(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq3_xxs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq3_s(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq4_nl(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_iq4_xs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);

// ternary.cpp
void decode_tq1_0(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_tq2_0(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q1_0(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_q2_0(const uint8_t* blocks, float* out, size_t n_blocks);
void encode_tq1_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_tq2_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q1_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_q2_0(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);

// fp4.cpp
void decode_mxfp4(const uint8_t* blocks, float* out, size_t n_blocks);
void decode_nvfp4(const uint8_t* blocks, float* out, size_t n_blocks);
void encode_mxfp4(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);
void encode_nvfp4(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance);

}  // namespace wallaby::quant
