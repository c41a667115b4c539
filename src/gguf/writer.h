// Writes GGUF files, version 3: first what the file is to hold (Draft), from which its size and every offset are known,
// then the tensors' bytes in order, in pieces of any size (Writer). The file appears whole or not at all.
//
//     Draft draft;
//     draft.set("general.architecture", "llama").set("llama.block_count", uint32_t(2));
//     draft.set_array<float>("tokenizer.ggml.scores", scores).copy(other.metadata());
//     draft.tensor("output_norm.weight", quant::Type::f32, {n_embd});
//     WALLABY_TRY(Writer writer, Writer::create("model.gguf", draft));
//     WALLABY_OK(writer.write("output_norm.weight", bytes));
//     WALLABY_OK(writer.commit());
//
// What the reader would refuse is refused here, before anything is written. Layout: no gaps but the padding to
// general.alignment after each tensor, the last included; no padding in a file without tensors.
#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "gguf/weight_source.h"

namespace wallaby::gguf {

// C++ types of GGUF's scalars; the type given is the type in the file.
template <class T>
concept Scalar = std::same_as<T, uint8_t> || std::same_as<T, int8_t> || std::same_as<T, uint16_t> ||
    std::same_as<T, int16_t> || std::same_as<T, uint32_t> || std::same_as<T, int32_t> || std::same_as<T, uint64_t> ||
    std::same_as<T, int64_t> || std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bool>;

template <Scalar T>
constexpr ValueType value_type() {
    if constexpr (std::same_as<T, bool>) { return ValueType::boolean; }
    if constexpr (std::same_as<T, float>) { return ValueType::f32; }
    if constexpr (std::same_as<T, double>) { return ValueType::f64; }
    if constexpr (std::same_as<T, uint8_t>) { return ValueType::u8; }
    if constexpr (std::same_as<T, int8_t>) { return ValueType::i8; }
    if constexpr (std::same_as<T, uint16_t>) { return ValueType::u16; }
    if constexpr (std::same_as<T, int16_t>) { return ValueType::i16; }
    if constexpr (std::same_as<T, uint32_t>) { return ValueType::u32; }
    if constexpr (std::same_as<T, int32_t>) { return ValueType::i32; }
    if constexpr (std::same_as<T, uint64_t>) { return ValueType::u64; }
    if constexpr (std::same_as<T, int64_t>) { return ValueType::i64; }
}

// Where everything in a file stands; `tensors` in file order, offsets from the start of the file.
struct Layout {
    uint64_t header_bytes = 0;  // up to the last tensor's record
    uint64_t data_offset = 0;
    uint64_t alignment = 32;
    uint64_t file_bytes = 0;
    std::vector<Tensor> tensors;
};

// What a file is to hold. Problems are kept, not returned call by call: layout() and Writer::create report the first.
class Draft {
  public:
    // --- Metadata, in the order of first setting. A key that is set already has its value replaced in its place.
    template <Scalar T>
    Draft& set(std::string_view key, T value) {
        return put(key, {value_type<T>(), ValueType::u8, 1, bytes_of(std::span<const T>(&value, 1)), 0});
    }
    Draft& set(std::string_view key, std::string_view text);
    Draft& set(std::string_view key, const char* text) { return set(key, std::string_view(text)); }
    template <Scalar T>
    Draft& set_array(std::string_view key, std::span<const T> values) {
        return put(key, {ValueType::array, value_type<T>(), values.size(), bytes_of(values), 0});
    }
    Draft& set_array(std::string_view key, std::span<const std::string> texts);
    // The value as it is, whatever its type.
    Draft& set(std::string_view key, const Value& value);
    // All keys of a file that was read, bytes and order as they are.
    Draft& copy(const Metadata& metadata);
    Draft& remove(std::string_view key);

    // --- Tensors, in the order of their data. dims[0] is the length of a row.
    Draft& tensor(std::string_view name, quant::Type type, std::span<const uint64_t> dims);
    Draft& tensor(std::string_view name, quant::Type type, std::initializer_list<uint64_t> dims) {
        return tensor(name, type, std::span(dims.begin(), dims.size()));
    }

    // The same metadata, and no tensors yet.
    Draft without_tensors() const;

    // The file's size and places; `file` names it in errors.
    Result<Layout> layout(const std::string& file) const;

  private:
    friend class Writer;
    friend Result<Metadata> metadata_of(const Draft& draft, const std::string& name);
    struct Entry {
        std::string key;
        std::vector<uint8_t> bytes;  // type and value, as they stand in the file
    };

    template <Scalar T>
    static std::span<const uint8_t> bytes_of(std::span<const T> values) {
        return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
    }
    Draft& put(std::string_view key, const Value& value);
    void problem(std::string field, std::string what);

    std::vector<std::optional<Entry>> entries_;  // nothing: removed
    std::map<std::string, size_t, std::less<>> by_key_;
    std::vector<Tensor> tensors_;
    std::optional<Error> problem_;
};

// Streams a file. Bytes come tensor by tensor in the draft's order, each tensor in full; the name given with each piece
// says whose they are, so that a tensor cut short or too long is an error that names it. After an error the writer only
// repeats it. Destroyed before commit() it leaves nothing behind, and an existing file stays as it was.
class Writer {
  public:
    // A file at `path`: base::AtomicFile. Room for all of it is reserved first, where the file system can.
    static Result<Writer> create(const std::string& path, const Draft& draft, const Limits& limits = {});
    // Any sink.
    static Result<Writer> create(std::unique_ptr<base::ByteSink> sink, const Draft& draft, const Limits& limits = {});

    const Layout& layout() const { return layout_; }
    // The next bytes of the tensor whose turn it is.
    Result<void> write(std::string_view tensor, std::span<const uint8_t> bytes);
    // All of a tensor, read from a source piece by piece; its name, type and shape must be those declared.
    Result<void> copy(const WeightSource& source, const Tensor& tensor);
    // Whether every tensor is.
    bool is_complete() const { return turn_ == layout_.tensors.size(); }
    // Every tensor is complete: what is gathered is written, and its memory given back. Before commit(),
    // where other files are written in between.
    Result<void> finish();
    // Every tensor is complete: the file takes its name. Nothing can be written afterwards.
    Result<void> commit();

  private:
    Writer(std::unique_ptr<base::ByteSink> sink, Layout layout) : sink_(std::move(sink)), layout_(std::move(layout)) {}

    Result<void> put_header(const Draft& draft);
    Result<void> put(std::span<const uint8_t> bytes);  // through buffer_
    Result<void> flush();
    Result<void> pad_to(uint64_t position);
    Result<void> keep(Result<void> result);
    Error about(std::string_view tensor, std::string what) const;
    Result<void> write_piece(std::string_view name, std::span<const uint8_t> bytes);

    std::unique_ptr<base::ByteSink> sink_;
    Layout layout_;
    std::vector<uint8_t> buffer_;
    uint64_t position_ = 0;  // bytes taken so far, those in buffer_ included
    size_t turn_ = 0;        // index of the tensor that is being written
    uint64_t n_done_ = 0;    // bytes of it
    bool committed_ = false;
    std::optional<Error> error_;
};

// The keys of a draft, as a reader of the file sees them.
Result<Metadata> metadata_of(const Draft& draft, const std::string& name);

}  // namespace wallaby::gguf
