#include "gguf/metadata.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace wallaby::gguf {

std::string_view name_of(ValueType type) {
    switch (type) {
        case ValueType::u8: return "u8";
        case ValueType::i8: return "i8";
        case ValueType::u16: return "u16";
        case ValueType::i16: return "i16";
        case ValueType::u32: return "u32";
        case ValueType::i32: return "i32";
        case ValueType::f32: return "f32";
        case ValueType::boolean: return "bool";
        case ValueType::string: return "string";
        case ValueType::array: return "array";
        case ValueType::u64: return "u64";
        case ValueType::i64: return "i64";
        case ValueType::f64: return "f64";
    }
    return "unknown";
}

uint64_t scalar_size(ValueType type) {
    switch (type) {
        case ValueType::u8:
        case ValueType::i8:
        case ValueType::boolean: return 1;
        case ValueType::u16:
        case ValueType::i16: return 2;
        case ValueType::u32:
        case ValueType::i32:
        case ValueType::f32: return 4;
        case ValueType::u64:
        case ValueType::i64:
        case ValueType::f64: return 8;
        case ValueType::string:
        case ValueType::array: return 0;
    }
    return 0;
}

std::optional<int64_t> Value::integer(uint64_t i) const {
    const ValueType kind = type == ValueType::array ? element : type;
    const uint64_t size = scalar_size(kind);
    if (i >= count || size == 0) { return std::nullopt; }
    const uint8_t* at = bytes.data() + i * size;
    switch (kind) {
        case ValueType::u8:
        case ValueType::boolean: return *at;
        case ValueType::i8: return int8_t(*at);
        case ValueType::u16: return base::load_le<uint16_t>(at);
        case ValueType::i16: return base::load_le<int16_t>(at);
        case ValueType::u32: return base::load_le<uint32_t>(at);
        case ValueType::i32: return base::load_le<int32_t>(at);
        case ValueType::i64: return base::load_le<int64_t>(at);
        case ValueType::u64: {
            const auto v = base::load_le<uint64_t>(at);
            if (v > uint64_t(std::numeric_limits<int64_t>::max())) { return std::nullopt; }
            return int64_t(v);
        }
        default: return std::nullopt;
    }
}

std::optional<double> Value::number(uint64_t i) const {
    const ValueType kind = type == ValueType::array ? element : type;
    if (i >= count) { return std::nullopt; }
    if (kind == ValueType::f32) { return base::load_le<float>(bytes.data() + i * 4); }
    if (kind == ValueType::f64) { return base::load_le<double>(bytes.data() + i * 8); }
    if (kind == ValueType::boolean) { return std::nullopt; }
    if (kind == ValueType::u64) { return double(base::load_le<uint64_t>(bytes.data() + i * 8)); }
    if (const auto n = integer(i)) { return double(*n); }
    return std::nullopt;
}

uint64_t Metadata::n_bytes() const {
    uint64_t n = 0;
    for (const Entry& entry : entries_) { n += entry.value.bytes.size(); }
    return n;
}

Metadata::Metadata(HeaderBytes bytes, std::vector<Entry> entries, std::string file)
    : bytes_(std::move(bytes)), entries_(std::move(entries)), by_key_(entries_.size()), file_(std::move(file)) {
    std::iota(by_key_.begin(), by_key_.end(), 0u);
    std::ranges::sort(by_key_, [this](uint32_t a, uint32_t b) {
        const int order = entries_[a].key.compare(entries_[b].key);
        return order != 0 ? order < 0 : a < b;
    });
}

const Value* Metadata::find(std::string_view key) const {
    const auto key_of = [this](uint32_t i) { return entries_[i].key; };
    const auto it = std::ranges::lower_bound(by_key_, key, {}, key_of);
    return it == by_key_.end() || key_of(*it) != key ? nullptr : &entries_[*it].value;
}

Error Metadata::error(ErrorCode code, std::string_view key, std::string what, std::string remedy) const {
    Where where{file_, fmt::format("key '{}'", key), {}};
    if (const Value* value = find(key)) { where.offset = value->offset; }
    return Error{code, std::move(what), std::move(where), std::move(remedy)};
}

Result<const Value*> Metadata::require(std::string_view key) const {
    if (const Value* value = find(key)) { return value; }
    return error(ErrorCode::model, key, "is missing", "The file does not describe a complete model of its kind");
}

namespace {

std::string describe(const Value& value) {
    if (value.type != ValueType::array) { return std::string(name_of(value.type)); }
    return fmt::format("array of {} {}", value.count, name_of(value.element));
}

}  // namespace

Result<uint32_t> Metadata::u32(std::string_view key) const {
    WALLABY_TRY(const Value* value, require(key));
    const bool of_integers = scalar_size(value->type) != 0 && value->type != ValueType::boolean &&
                             value->type != ValueType::f32 && value->type != ValueType::f64;
    if (!of_integers) {
        return error(ErrorCode::model, key, fmt::format("is of type {}, but an integer is required", describe(*value)));
    }
    const auto n = value->integer();  // nothing above 2^63 - 1
    if (!n || *n < 0 || *n > int64_t(UINT32_MAX)) {
        return error(ErrorCode::model, key,
                     fmt::format("is {}, outside 0 to 2^32 - 1", n ? std::to_string(*n) : "above 2^63 - 1"));
    }
    return uint32_t(*n);
}

Result<double> Metadata::number(std::string_view key) const {
    WALLABY_TRY(const Value* value, require(key));
    const auto n = value->type == ValueType::array ? std::nullopt : value->number();
    if (!n) {
        return error(ErrorCode::model, key, fmt::format("is of type {}, but a number is required", describe(*value)));
    }
    return *n;
}

Result<bool> Metadata::boolean(std::string_view key) const {
    WALLABY_TRY(const Value* value, require(key));
    if (value->type != ValueType::boolean) {
        return error(ErrorCode::model, key, fmt::format("is of type {}, but a bool is required", describe(*value)));
    }
    return *value->integer() != 0;
}

Result<std::string_view> Metadata::string(std::string_view key) const {
    WALLABY_TRY(const Value* value, require(key));
    if (value->type != ValueType::string) {
        return error(ErrorCode::model, key, fmt::format("is of type {}, but a string is required", describe(*value)));
    }
    return value->text();
}

Result<StringArray> Metadata::strings(std::string_view key) const {
    WALLABY_TRY(const Value* value, require(key));
    if (!value->is_array_of(ValueType::string)) {
        return error(ErrorCode::model, key,
                     fmt::format("is of type {}, but an array of strings is required", describe(*value)));
    }
    return value->strings();
}

Result<std::vector<float>> Metadata::floats(std::string_view key) const {
    WALLABY_TRY(const Value* value, require(key));
    if (!value->is_array_of(ValueType::f32) && !value->is_array_of(ValueType::f64)) {
        return error(ErrorCode::model, key,
                     fmt::format("is of type {}, but an array of floats is required", describe(*value)));
    }
    std::vector<float> out(value->count);
    for (uint64_t i = 0; i < value->count; i++) { out[i] = float(*value->number(i)); }
    return out;
}

Result<std::vector<int32_t>> Metadata::integers(std::string_view key) const {
    WALLABY_TRY(const Value* value, require(key));
    const bool scalars = value->type == ValueType::array && scalar_size(value->element) != 0 &&
                         value->element != ValueType::f32 && value->element != ValueType::f64;
    if (!scalars) {
        return error(ErrorCode::model, key,
                     fmt::format("is of type {}, but an array of integers is required", describe(*value)));
    }
    std::vector<int32_t> out(value->count);
    for (uint64_t i = 0; i < value->count; i++) {
        const auto n = value->integer(i);
        if (!n || *n < std::numeric_limits<int32_t>::min() || *n > std::numeric_limits<int32_t>::max()) {
            return error(ErrorCode::model, key, fmt::format("element {} does not fit a 32-bit integer", i));
        }
        out[i] = int32_t(*n);
    }
    return out;
}

Result<uint32_t> Metadata::u32_or(std::string_view key, uint32_t otherwise) const {
    return has(key) ? u32(key) : Result<uint32_t>(otherwise);
}

Result<double> Metadata::number_or(std::string_view key, double otherwise) const {
    return has(key) ? number(key) : Result<double>(otherwise);
}

Result<bool> Metadata::boolean_or(std::string_view key, bool otherwise) const {
    return has(key) ? boolean(key) : Result<bool>(otherwise);
}

Result<std::string_view> Metadata::string_or(std::string_view key, std::string_view otherwise) const {
    return has(key) ? string(key) : Result<std::string_view>(otherwise);
}

}  // namespace wallaby::gguf
