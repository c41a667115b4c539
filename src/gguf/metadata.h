// The key/value part of a GGUF file: a validated view over the header's bytes. Nothing is copied but the index, so its
// memory is the header's size plus a fixed amount per key, whatever the file says.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace wallaby::gguf {

// GGUF's value types, by their number in the file.
enum class ValueType : uint32_t {
    u8 = 0,
    i8 = 1,
    u16 = 2,
    i16 = 3,
    u32 = 4,
    i32 = 5,
    f32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    u64 = 10,
    i64 = 11,
    f64 = 12,
};

// "u32", "array" …; "unknown" for a number that GGUF does not define.
std::string_view name_of(ValueType type);
// Bytes of a scalar; 0 for strings, arrays and unknown types.
uint64_t scalar_size(ValueType type);

// Strings of an array in order: length (u64) and bytes, already checked by the reader.
class StringArray {
  public:
    StringArray(const uint8_t* first, uint64_t count) : first_(first), count_(count) {}
    uint64_t size() const { return count_; }
    class Iterator {
      public:
        Iterator(const uint8_t* at, uint64_t left) : at_(at), left_(left) {}
        std::string_view operator*() const {
            return {reinterpret_cast<const char*>(at_ + 8), base::load_le<uint64_t>(at_)};
        }
        Iterator& operator++() {
            at_ += 8 + base::load_le<uint64_t>(at_);
            left_--;
            return *this;
        }
        bool operator!=(const Iterator& other) const { return left_ != other.left_; }

      private:
        const uint8_t* at_;
        uint64_t left_;
    };
    Iterator begin() const { return {first_, count_}; }
    Iterator end() const { return {nullptr, 0}; }

  private:
    const uint8_t* first_;
    uint64_t count_;
};

// One value as the file holds it. `bytes` is its payload inside the header: a scalar's bytes, a string's text, or an
// array's elements end to end (strings with their lengths).
struct Value {
    ValueType type = ValueType::u8;
    ValueType element = ValueType::u8;  // of an array
    uint64_t count = 1;                 // elements of an array
    std::span<const uint8_t> bytes;
    uint64_t offset = 0;  // of the value in the file

    bool is_array_of(ValueType wanted) const { return type == ValueType::array && element == wanted; }
    std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
    StringArray strings() const { return {bytes.data(), count}; }
    // Element i of a scalar array (or the scalar itself, i = 0), widened. Integers and booleans only for integer().
    std::optional<int64_t> integer(uint64_t i = 0) const;  // nothing for u64 values above 2^63 - 1
    std::optional<double> number(uint64_t i = 0) const;    // floats, and integers converted
};

struct FreeBytes {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
};
// From malloc, not a vector: realloc moves a large block by remapping its pages, so that a growing header never stands
// in memory twice.
using HeaderBytes = std::unique_ptr<uint8_t[], FreeBytes>;

class Metadata {
  public:
    struct Entry {
        std::string_view key;
        Value value;
    };

    Metadata() = default;
    Metadata(Metadata&&) = default;  // entries point into `bytes_`, whose storage moves along; a copy would not
    Metadata& operator=(Metadata&&) = default;
    // `bytes` holds what the entries point into; `file` names it in errors. Keys are unique.
    Metadata(HeaderBytes bytes, std::vector<Entry> entries, std::string file);

    std::span<const Entry> entries() const { return entries_; }  // in file order
    const std::string& file() const { return file_; }
    uint64_t n_bytes() const;                       // of all values: most of the header, where there is a vocabulary
    const Value* find(std::string_view key) const;  // the first of that key
    bool has(std::string_view key) const { return find(key) != nullptr; }

    // Typed access. A missing key is an error that names it; so is a value of another type or outside the target's
    // range. Integers may be stored in any integer type; floats as f32, f64 or an integer.
    Result<uint32_t> u32(std::string_view key) const;
    Result<double> number(std::string_view key) const;
    Result<bool> boolean(std::string_view key) const;
    Result<std::string_view> string(std::string_view key) const;
    Result<StringArray> strings(std::string_view key) const;
    Result<std::vector<float>> floats(std::string_view key) const;      // an array of f32 or f64
    Result<std::vector<int32_t>> integers(std::string_view key) const;  // an array of any integer type
    // The same, with a value for a missing key; a wrong type stays an error.
    Result<uint32_t> u32_or(std::string_view key, uint32_t otherwise) const;
    Result<double> number_or(std::string_view key, double otherwise) const;
    Result<bool> boolean_or(std::string_view key, bool otherwise) const;
    Result<std::string_view> string_or(std::string_view key, std::string_view otherwise) const;

    // An error about `key`, at its place in the file when it is there.
    Error error(ErrorCode code, std::string_view key, std::string what, std::string remedy = "") const;

  private:
    Result<const Value*> require(std::string_view key) const;
    HeaderBytes bytes_;  // moving keeps the heap block, so the views stay valid
    std::vector<Entry> entries_;
    // Places in entries_, sorted: a crafted set of keys cannot make it slow, as it can a hash table.
    std::vector<uint32_t> by_key_;
    std::string file_;
};

}  // namespace wallaby::gguf
