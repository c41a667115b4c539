// Writes small GGUF files into memory, for tests: any key of any type, arrays, tensors. It checks nothing, so a hostile
// file is written as easily as a good one; gguf::read_file over a base::MemorySource reads it back.
//
//     GgufBytes file;
//     file.kv("general.architecture", "llama").kv("llama.block_count", uint32_t(2)).array<float>("scores", {0, -1});
//     const std::vector<uint8_t> bytes = file.build();
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace wallaby::testing {

class GgufBytes {
  public:
    explicit GgufBytes(uint32_t version = 3, uint64_t alignment = 32) : version_(version), alignment_(alignment) {}

    // A scalar; its C++ type is the type in the file.
    template <class T>
    requires std::is_arithmetic_v<T> GgufBytes& kv(std::string_view key, T value) {
        begin(key, type_of<T>());
        append(kvs_, value);
        return *this;
    }
    GgufBytes& kv(std::string_view key, std::string_view value) {
        begin(key, 8);
        append_string(kvs_, value);
        return *this;
    }
    GgufBytes& kv(std::string_view key, const char* value) { return kv(key, std::string_view(value)); }
    // An array of scalars; std::vector<bool> gives an array of booleans.
    template <class T>
    requires std::is_arithmetic_v<T> GgufBytes& array(std::string_view key, const std::vector<T>& values) {
        begin_array(key, type_of<T>(), values.size());
        for (const T value : values) { append(kvs_, value); }
        return *this;
    }
    GgufBytes& array(std::string_view key, const std::vector<std::string>& values) {
        begin_array(key, 8, values.size());
        for (const std::string& value : values) { append_string(kvs_, value); }
        return *this;
    }
    // `payload` as the value of a key whose type has the number `type`, whatever either is.
    GgufBytes& raw(std::string_view key, uint32_t type, const std::vector<uint8_t>& payload) {
        begin(key, type);
        kvs_.insert(kvs_.end(), payload.begin(), payload.end());
        return *this;
    }
    // dims[0] is the row length; `type` is GGUF's number of the weight format.
    GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                      const std::vector<uint8_t>& bytes) {
        append_string(tensors_, name);
        append(tensors_, uint32_t(dims.size()));
        for (const uint64_t dim : dims) { append(tensors_, dim); }
        append(tensors_, type);
        append(tensors_, uint64_t(data_.size()));
        data_.insert(data_.end(), bytes.begin(), bytes.end());
        pad(data_);
        n_tensors_++;
        return *this;
    }
    GgufBytes& tensor_f32(std::string_view name, const std::vector<uint64_t>& dims, const std::vector<float>& values) {
        std::vector<uint8_t> bytes(values.size() * sizeof(float));
        if (!values.empty()) { std::memcpy(bytes.data(), values.data(), bytes.size()); }
        return tensor(name, dims, 0, bytes);
    }

    std::vector<uint8_t> build() const {
        std::vector<uint8_t> out{'G', 'G', 'U', 'F'};
        append(out, version_);
        append(out, n_tensors_);
        append(out, n_kv_);
        out.insert(out.end(), kvs_.begin(), kvs_.end());
        out.insert(out.end(), tensors_.begin(), tensors_.end());
        if (n_tensors_ > 0) { pad(out); }
        out.insert(out.end(), data_.begin(), data_.end());
        return out;
    }

  private:
    template <class T>
    static constexpr uint32_t type_of() {
        if constexpr (std::is_same_v<T, bool>) {
            return 7;
        } else if constexpr (std::is_floating_point_v<T>) {
            return sizeof(T) == 4 ? 6 : 12;
        } else {
            const uint32_t is_signed = std::is_signed_v<T> ? 1 : 0;
            switch (sizeof(T)) {
                case 1: return 0 + is_signed;
                case 2: return 2 + is_signed;
                case 4: return 4 + is_signed;
                default: return 10 + is_signed;
            }
        }
    }
    template <class T>
    static void append(std::vector<uint8_t>& out, T value) {
        uint8_t bytes[sizeof(T)];
        std::memcpy(bytes, &value, sizeof(T));
        out.insert(out.end(), bytes, bytes + sizeof(T));
    }
    static void append_string(std::vector<uint8_t>& out, std::string_view text) {
        append(out, uint64_t(text.size()));
        out.insert(out.end(), text.begin(), text.end());
    }
    void begin(std::string_view key, uint32_t type) {
        append_string(kvs_, key);
        append(kvs_, type);
        n_kv_++;
    }
    void begin_array(std::string_view key, uint32_t element, size_t count) {
        begin(key, 9);
        append(kvs_, element);
        append(kvs_, uint64_t(count));
    }
    void pad(std::vector<uint8_t>& out) const {
        while (out.size() % alignment_ != 0) { out.push_back(0); }
    }

    uint32_t version_;
    uint64_t alignment_;
    uint64_t n_kv_ = 0;
    uint64_t n_tensors_ = 0;
    std::vector<uint8_t> kvs_, tensors_, data_;
};

}  // namespace wallaby::testing
