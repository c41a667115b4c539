// GGUF records written piece by piece, so that a test can lie about any count, length, type or offset. For honest files
// there is support/gguf_bytes.h.
#pragma once
#include <gtest/gtest.h>

#include <concepts>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "gguf/reader.h"

namespace wallaby::testing {

class Raw {
  public:
    // "GGUF", version, counts.
    static Raw header(uint64_t n_tensors, uint64_t n_kv, uint32_t version = 3) {
        return Raw().bytes("GGUF").put(version).put(n_tensors).put(n_kv);
    }

    template <std::integral T>
    Raw& put(T value) {
        const size_t at = bytes_.size();
        bytes_.resize(at + sizeof(T));
        std::memcpy(bytes_.data() + at, &value, sizeof(T));
        return *this;
    }
    Raw& bytes(std::string_view text) {
        bytes_.insert(bytes_.end(), text.begin(), text.end());
        return *this;
    }
    // A string as GGUF has it: its length (u64), then its bytes.
    Raw& text(std::string_view text) { return put(uint64_t(text.size())).bytes(text); }
    // A key and the type of its value; the value is still to be written.
    Raw& key(std::string_view name, gguf::ValueType type) { return text(name).put(uint32_t(type)); }
    Raw& key_u32(std::string_view name, uint32_t value) { return key(name, gguf::ValueType::u32).put(value); }
    Raw& array(std::string_view name, gguf::ValueType element, uint64_t count) {
        return key(name, gguf::ValueType::array).put(uint32_t(element)).put(count);
    }
    Raw& tensor(std::string_view name, std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset) {
        text(name).put(uint32_t(dims.size()));
        for (const uint64_t dim : dims) { put(dim); }
        return put(type).put(offset);
    }
    Raw& pad(size_t alignment) {
        while (bytes_.size() % alignment != 0) { bytes_.push_back(0); }
        return *this;
    }
    Raw& zeros(size_t n) {
        bytes_.resize(bytes_.size() + n);
        return *this;
    }
    // Appends so many bytes that what follows a tensor's record is its padding and n bytes of data.
    Raw& data(size_t n, size_t alignment = 32) { return pad(alignment).zeros(n); }

    uint64_t size() const { return bytes_.size(); }
    const std::vector<uint8_t>& done() const { return bytes_; }

  private:
    std::vector<uint8_t> bytes_;
};

inline Result<gguf::File> read(const std::vector<uint8_t>& bytes, const gguf::Limits& limits = {}) {
    return gguf::read_file(base::MemorySource(bytes, "memory"), limits);
}

// The error that reading the bytes gives; fails the test when they are accepted.
inline Error refusal(const std::vector<uint8_t>& bytes, const gguf::Limits& limits = {}) {
    const auto file = read(bytes, limits);
    if (file.ok()) {
        ADD_FAILURE() << "the file was accepted";
        return {};
    }
    return file.error();
}

}  // namespace wallaby::testing
