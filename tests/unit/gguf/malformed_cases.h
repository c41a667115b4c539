// One file for each known way of breaking the format, with the place that the refusal must name.
#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "unit/gguf/raw.h"

namespace wallaby::testing::malformed {

using gguf::ValueType;

constexpr uint64_t max64 = UINT64_MAX;
constexpr uint32_t f32 = 0, q4_k = 12, i8 = 24, i64 = 27;
constexpr uint64_t first_record = 24;  // the header's fixed part ends here

struct Case {
    std::string name;
    std::vector<uint8_t> bytes;
    std::string field;
    uint64_t offset;
    std::string says;  // part of the message
    ErrorCode code = ErrorCode::format;
};

inline void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// A file of one tensor record and 64 bytes of data. The record starts at first_record, its dimension count 9 bytes on.
inline Raw one_tensor(std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset = 0) {
    return Raw::header(1, 0).tensor("t", dims, type, offset).data(64);
}
constexpr uint64_t dims_at = first_record + 8 + 1;

inline std::vector<Case> header_cases() {
    std::vector<uint8_t> big_endian = Raw().bytes("GGUF").bytes(std::string_view("\0\0\0\3", 4)).zeros(16).done();
    const auto unsupported = ErrorCode::unsupported;
    return {
        {"empty_file", {}, "", 0, "needs 4 bytes"},
        {"bad_magic", Raw().bytes("GGML").zeros(20).done(), "", 0, "not with \"GGUF\""},
        {"version_0", Raw::header(0, 0, 0).done(), "", 4, "version 0"},
        {"version_1", Raw::header(0, 0, 1).done(), "", 4, "version 1; versions 2 and 3 are read", unsupported},
        {"version_4", Raw::header(0, 0, 4).done(), "", 4, "version 4; versions 2 and 3 are read", unsupported},
        {"big_endian", big_endian, "", 4, "big-endian", unsupported},
        {"n_tensors_max", Raw::header(max64, 0).done(), "", 8, "18446744073709551615 tensors"},
        {"n_tensors_2_60", Raw::header(uint64_t(1) << 60, 0).zeros(100).done(), "", 8, "tensors in 124 bytes"},
        {"n_kv_max", Raw::header(0, max64).done(), "", 16, "18446744073709551615 keys"},
        {"n_kv_2_60", Raw::header(0, uint64_t(1) << 60).zeros(100).done(), "", 16, "keys in 124 bytes"},
        {"n_kv_beyond_end", Raw::header(0, 3).zeros(2 * 14).done(), "", 16, "claims 3 keys"},
        {"n_tensors_beyond_end", Raw::header(3, 0).zeros(2 * 33).done(), "", 8, "claims 3 tensors"},
    };
}

inline std::vector<Case> key_cases() {
    const auto one_key = [] { return Raw::header(0, 1); };
    const auto u8 = [&](std::string_view key) {
        return one_key().key(key, ValueType::u8).put(uint8_t(1)).zeros(1).done();
    };
    const std::string long_key(65536, 'k');
    const auto twice = Raw::header(0, 2).key_u32("k", 1).key_u32("k", 1);
    return {
        {"key_length_max", one_key().put(max64).bytes("key and more").done(), "", 32, "needs 18446744073709551615"},
        {"key_length_2_63", one_key().put(uint64_t(1) << 63).bytes("key and more").done(), "", 32, "a key needs"},
        {"key_beyond_end", one_key().put(uint64_t(13)).bytes("key and more").done(), "", 32, "only 12 bytes are left"},
        {"key_empty", u8(""), "", 24, "a key of 0 bytes"},
        {"key_too_long", u8(long_key), "", 24, "a key of 65536 bytes"},
        {"key_with_nul", u8(std::string_view("a\0b", 3)), "", 24, "control characters"},
        {"key_with_escape", u8("a\x1b[2Jb"), "", 24, "control characters"},
        {"key_twice", twice.done(), "key 'k'", twice.size() - 4, "stands twice"},
        {"value_type_13", one_key().key("k", ValueType(13)).zeros(8).done(), "key 'k'", 33, "unknown value type 13"},
        {"value_type_negative", one_key().key("k", ValueType(UINT32_MAX)).zeros(8).done(), "key 'k'", 33, "4294967295"},
        {"value_cut", one_key().key("k", ValueType::u64).zeros(7).done(), "key 'k'", 37, "its value needs 8 bytes"},
        {"bool_2", one_key().key("k", ValueType::boolean).put(uint8_t(2)).done(), "key 'k'", 37, "neither 0 nor 1"},
        {"string_length_max", one_key().key("k", ValueType::string).put(max64).bytes("text").done(), "key 'k'", 45,
         "its value needs 18446744073709551615 bytes"},
        {"string_1_gib", one_key().key("k", ValueType::string).put(uint64_t(1) << 30).bytes("text").done(), "key 'k'",
         45, "only 4 bytes are left"},
        {"string_one_beyond", one_key().key("k", ValueType::string).put(uint64_t(5)).bytes("text").done(), "key 'k'",
         45, "only 4 bytes are left"},
    };
}

inline std::vector<Case> array_cases() {
    const auto array = [](ValueType element, uint64_t count) { return Raw::header(0, 1).array("k", element, count); };
    const std::string field = "key 'k'";
    const auto strings = array(ValueType::string, 2).text("a").put(uint64_t(9)).bytes("b");
    return {
        {"array_size_wraps", array(ValueType::u32, uint64_t(1) << 62).zeros(8).done(), field, 37, "claims 46116860"},
        {"array_count_max", array(ValueType::u8, max64).zeros(8).done(), field, 37, "claims 18446744073709551615"},
        {"array_1_gib", array(ValueType::u8, uint64_t(1) << 30).zeros(8).done(), field, 37, "only 8 bytes"},
        {"array_one_beyond", array(ValueType::u16, 5).zeros(9).done(), field, 37, "claims 5 elements of type u16"},
        {"array_of_arrays", array(ValueType::array, 1).put(uint32_t(0)).put(uint64_t(0)).done(), field, 37, "arrays"},
        // Elements of no size would be an endless loop over 2^40 of them.
        {"array_type_unknown", array(ValueType(13), uint64_t(1) << 40).zeros(8).done(), field, 37, "unknown type 13"},
        {"array_type_negative", array(ValueType(UINT32_MAX), 1).zeros(8).done(), field, 37, "unknown type"},
        {"array_strings_claimed", array(ValueType::string, 1000000000).zeros(80).done(), field, 37,
         "claims 1000000000"},
        {"array_string_beyond", strings.done(), field, strings.size() - 1, "one of its strings needs 9 bytes"},
        {"array_string_length_max", array(ValueType::string, 1).put(max64).done(), field, 57, "one of its strings"},
        {"array_strings_too_few", array(ValueType::string, 3).text("long enough").text("").done(), field, 76,
         "needs 8 bytes"},
        {"array_bool_2", array(ValueType::boolean, 3).bytes(std::string_view("\0\1\2", 3)).done(), field, 37, "bool"},
        {"array_cut_in_head", Raw::header(0, 1).key("k", ValueType::array).put(uint32_t(4)).zeros(7).done(), field, 41,
         "its length needs 8 bytes"},
    };
}

inline std::vector<Case> alignment_cases() {
    const auto with = [](uint32_t n) { return Raw::header(0, 1).key_u32("general.alignment", n).done(); };
    const auto typed = [](ValueType type) {
        return Raw::header(0, 1).key("general.alignment", type).put(uint64_t(32)).zeros(32).done();
    };
    const std::string field = "key 'general.alignment'";
    const uint64_t at = first_record + 8 + 17 + 4;
    return {
        {"alignment_0", with(0), field, at, "is 0: a power of two"},
        {"alignment_3", with(3), field, at, "is 3"},
        {"alignment_13", with(13), field, at, "is 13"},
        {"alignment_2_17", with(1u << 17), field, at, "is 131072"},
        {"alignment_2_30", with(1u << 30), field, at, "is 1073741824"},
        {"alignment_2_31", with(1u << 31), field, at, "is 2147483648"},
        {"alignment_max", with(UINT32_MAX), field, at, "is 4294967295"},
        {"alignment_i32", typed(ValueType::i32), field, at, "is of type i32, but must be a u32"},
        {"alignment_u64", typed(ValueType::u64), field, at, "is of type u64"},
        {"alignment_string", typed(ValueType::string), field, at, "is of type string"},
        {"alignment_f32", typed(ValueType::f32), field, at, "is of type f32"},
    };
}

inline std::vector<Case> tensor_cases() {
    const std::string field = "tensor 't'";
    const uint64_t type_at = dims_at + 4 + 8;  // after one dimension
    const auto n_dims = [](uint32_t n) { return Raw::header(1, 0).text("t").put(n).zeros(200).done(); };
    const auto named = [](std::string_view name) {
        return Raw::header(1, 0).tensor(name, {4}, f32, 0).data(64).done();
    };
    const auto name_of_length = [](uint64_t n) { return Raw::header(1, 0).put(n).zeros(100).done(); };
    const auto twice = Raw::header(2, 0).tensor("t", {8}, f32, 0).tensor("t", {8}, f32, 32).data(64);
    const uint64_t half = uint64_t(1) << 63, quarter = uint64_t(1) << 62;
    return {
        {"name_64", named(std::string(64, 'n')), "", 24, "a tensor's name of 64 bytes: 1 to 63"},
        {"name_empty", named(""), "", 24, "name of 0 bytes"},
        {"name_with_nul", named(std::string_view("t\0u", 3)), "", 24, "control characters"},
        {"name_length_max", name_of_length(max64), "", 32, "a tensor's name needs"},
        {"name_twice", twice.done(), field, first_record + 33, "stands twice"},
        {"n_dims_0", n_dims(0), field, dims_at, "has 0 dimensions"},
        {"n_dims_5", n_dims(5), field, dims_at, "has 5 dimensions"},
        {"n_dims_max", n_dims(UINT32_MAX), field, dims_at, "has 4294967295 dimensions"},
        {"dim_0", one_tensor({0}, f32).done(), field, dims_at, "dimension 0 is 0"},
        {"dim_0_later", one_tensor({4, 1, 0}, f32).done(), field, dims_at, "dimension 2 is 0"},
        {"dim_negative", one_tensor({half}, f32).done(), field, dims_at, "overflows"},
        {"dim_minus_one", one_tensor({max64}, i8).done(), field, dims_at, "overflows"},
        // (2^42 + 1) * 2^22 elements of 4 bytes are 2^24 bytes modulo 2^64.
        {"dims_wrap", one_tensor({(uint64_t(1) << 42) + 1, uint64_t(1) << 22}, f32).done(), field, dims_at,
         "overflows"},
        {"elements_wrap_to_0", one_tensor({uint64_t(1) << 32, uint64_t(1) << 32}, f32).done(), field, dims_at,
         "overflows"},
        {"bytes_wrap", one_tensor({quarter}, i64).done(), field, dims_at, "its size in bytes overflows"},
        {"bytes_wrap_small", one_tensor({quarter}, f32).done(), field, dims_at, "its size in bytes overflows"},
        {"type_removed_4", one_tensor({32}, 4).done(), field, type_at, "unknown type 4"},
        {"type_removed_5", one_tensor({32}, 5).done(), field, type_at, "unknown type 5"},
        {"type_count", one_tensor({32}, 43).done(), field, type_at, "unknown type 43"},
        {"type_negative", one_tensor({32}, UINT32_MAX).done(), field, type_at, "unknown type 4294967295"},
        {"type_2_31", one_tensor({32}, 1u << 31).done(), field, type_at, "unknown type 2147483648"},
        // The product, 256, is a whole block; a row is not.
        {"row_of_half_a_block", one_tensor({128, 2}, q4_k).zeros(200).done(), field, dims_at, "rows of 128"},
        {"record_cut", Raw::header(1, 0).text("a.name").put(uint32_t(2)).put(uint64_t(4)).zeros(7).done(),
         "tensor 'a.name'", dims_at + 5 + 12, "a dimension needs 8 bytes"},
    };
}

inline std::vector<Case> data_cases() {
    const std::string field = "tensor 't'";
    const uint64_t record = first_record, second = first_record + 33;
    const auto two = [](uint64_t n_a, uint64_t at_a, uint64_t n_t, uint64_t at_t) {
        return Raw::header(2, 0).tensor("a", {n_a}, f32, at_a).tensor("t", {n_t}, f32, at_t).data(128).done();
    };
    const uint64_t huge = 0x7FFFFFFFFFFFFFC0;  // both together wrap
    const auto wrapping = Raw::header(2, 0).tensor("t", {huge}, i8, 0).tensor("u", {huge}, i8, huge).data(64).done();
    const auto aligned_64 = Raw::header(1, 1).key_u32("general.alignment", 64).tensor("t", {4}, f32, 32).data(64, 64);
    return {
        {"offset_unaligned", one_tensor({4}, f32, 1).done(), field, record, "offset 1 is not a multiple"},
        {"offset_unaligned_for_file", aligned_64.done(), field, record + 33, "not a multiple of the alignment 64"},
        {"offset_beyond_end", one_tensor({4}, f32, 64).done(), field, record, "end beyond the file's 128 bytes"},
        {"offset_wraps", one_tensor({4}, f32, max64 - 31).done(), field, record, "end beyond"},
        {"offset_and_size_wrap", one_tensor({16}, f32, max64 - 127).done(), field, record, "end beyond"},
        {"data_one_byte_short", Raw::header(1, 0).tensor("t", {8}, f32, 0).data(31).done(), field, record,
         "its 32 bytes from data offset 0 end beyond the file's 95 bytes"},
        {"data_missing", Raw::header(1, 0).tensor("t", {8}, f32, 0).done(), field, record, "end beyond"},
        {"dims_larger_than_data", one_tensor({uint64_t(1) << 40}, f32).done(), field, record, "end beyond"},
        {"sizes_sum_wraps", wrapping, field, dims_at, "overflows"},
        {"overlap_equal", two(8, 0, 8, 0), field, second, "overlaps that of tensor 'a'"},
        {"overlap_inside", two(32, 0, 8, 64), field, second, "overlaps that of tensor 'a'"},
        {"overlap_by_one", two(9, 0, 8, 32), field, second, "overlaps that of tensor 'a'"},
    };
}

inline std::vector<Case> all_cases() {
    std::vector<Case> all;
    for (const auto& cases :
         {header_cases(), key_cases(), array_cases(), alignment_cases(), tensor_cases(), data_cases()}) {
        all.insert(all.end(), cases.begin(), cases.end());
    }
    return all;
}

}  // namespace wallaby::testing::malformed
