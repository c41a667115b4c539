#include "quant/format.h"

#include <algorithm>
#include <array>
#include <functional>

#include "quant/codecs.h"

namespace wallaby::quant {

namespace {

constexpr F16Scales at(uint16_t place) { return {true, place, place}; }
constexpr F16Scales at(uint16_t first, uint16_t second) { return {true, first, second}; }

constexpr std::array<Format, 33> table = {{
    // type, name, weights in a block, bytes in a block, decoder, encoder, f16 scales
    {Type::f32, "F32", 1, 4, decode_f32, encode_f32},
    {Type::f16, "F16", 1, 2, decode_f16, encode_f16, at(0)},
    {Type::q4_0, "Q4_0", 32, 18, decode_q4_0, encode_q4_0, at(0)},
    {Type::q4_1, "Q4_1", 32, 20, decode_q4_1, encode_q4_1, at(0, 2)},
    {Type::q5_0, "Q5_0", 32, 22, decode_q5_0, encode_q5_0, at(0)},
    {Type::q5_1, "Q5_1", 32, 24, decode_q5_1, encode_q5_1, at(0, 2)},
    {Type::q8_0, "Q8_0", 32, 34, decode_q8_0, encode_q8_0, at(0)},
    {Type::q2_k, "Q2_K", 256, 84, decode_q2_k, encode_q2_k, at(80, 82)},
    {Type::q3_k, "Q3_K", 256, 110, decode_q3_k, encode_q3_k, at(108)},
    {Type::q4_k, "Q4_K", 256, 144, decode_q4_k, encode_q4_k, at(0, 2)},
    {Type::q5_k, "Q5_K", 256, 176, decode_q5_k, encode_q5_k, at(0, 2)},
    {Type::q6_k, "Q6_K", 256, 210, decode_q6_k, encode_q6_k, at(208)},
    {Type::iq2_xxs, "IQ2_XXS", 256, 66, decode_iq2_xxs, encode_iq2_xxs, at(0)},
    {Type::iq2_xs, "IQ2_XS", 256, 74, decode_iq2_xs, encode_iq2_xs, at(0)},
    {Type::iq3_xxs, "IQ3_XXS", 256, 98, decode_iq3_xxs, encode_iq3_xxs, at(0)},
    {Type::iq1_s, "IQ1_S", 256, 50, decode_iq1_s, encode_iq1_s, at(0)},
    {Type::iq4_nl, "IQ4_NL", 32, 18, decode_iq4_nl, encode_iq4_nl, at(0)},
    {Type::iq3_s, "IQ3_S", 256, 110, decode_iq3_s, encode_iq3_s, at(0)},
    {Type::iq2_s, "IQ2_S", 256, 82, decode_iq2_s, encode_iq2_s, at(0)},
    {Type::iq4_xs, "IQ4_XS", 256, 136, decode_iq4_xs, encode_iq4_xs, at(0)},
    {Type::i8, "I8", 1, 1, decode_i8, nullptr},
    {Type::i16, "I16", 1, 2, decode_i16, nullptr},
    {Type::i32, "I32", 1, 4, decode_i32, nullptr},
    {Type::i64, "I64", 1, 8, decode_i64, nullptr},
    {Type::f64, "F64", 1, 8, decode_f64, nullptr},
    {Type::iq1_m, "IQ1_M", 256, 56, decode_iq1_m, encode_iq1_m},
    {Type::bf16, "BF16", 1, 2, decode_bf16, encode_bf16},
    {Type::tq1_0, "TQ1_0", 256, 54, decode_tq1_0, encode_tq1_0, at(52)},
    {Type::tq2_0, "TQ2_0", 256, 66, decode_tq2_0, encode_tq2_0, at(64)},
    {Type::mxfp4, "MXFP4", 32, 17, decode_mxfp4, encode_mxfp4},
    {Type::nvfp4, "NVFP4", 64, 36, decode_nvfp4, encode_nvfp4},
    {Type::q1_0, "Q1_0", 128, 18, decode_q1_0, encode_q1_0, at(0)},
    {Type::q2_0, "Q2_0", 64, 18, decode_q2_0, encode_q2_0, at(0)},
}};

static_assert(std::ranges::adjacent_find(table, std::ranges::greater_equal(), &Format::type) == table.end(),
              "find_format searches by halves");

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; }

}  // namespace

std::span<const Format> formats() { return table; }

const Format* find_format(uint32_t type_id) {
    const auto found = std::ranges::lower_bound(table, Type(type_id), {}, &Format::type);
    return found != table.end() && found->type == Type(type_id) ? &*found : nullptr;
}

const Format* find_format(std::string_view name) {
    const auto same = [name](const Format& format) {
        return std::ranges::equal(format.name, name, {}, {}, upper);  // the table's names are upper case
    };
    const auto found = std::ranges::find_if(table, same);
    return found != table.end() ? &*found : nullptr;
}

}  // namespace wallaby::quant
