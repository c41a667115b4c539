#include "gguf/writer.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "gguf/rules.h"

namespace wallaby::gguf {
namespace {

constexpr uint64_t fixed_header_bytes = 24;
// Pieces below this are gathered into writes of this size; larger ones pass through as they are.
constexpr uint64_t buffer_bytes = uint64_t(1) << 20;
constexpr uint64_t copy_bytes = uint64_t(4) << 20;
constexpr uint64_t max_file_bytes = uint64_t(1) << 62;  // below what off_t can count

void append_bytes(std::vector<uint8_t>& out, std::span<const uint8_t> bytes) {
    const size_t at = out.size();
    out.resize(at + bytes.size());
    if (!bytes.empty()) { std::memcpy(out.data() + at, bytes.data(), bytes.size()); }
}

template <class T>
void append(std::vector<uint8_t>& out, T value) {
    append_bytes(out, {reinterpret_cast<const uint8_t*>(&value), sizeof(T)});
}

void append_text(std::vector<uint8_t>& out, std::string_view text) {
    append(out, uint64_t(text.size()));
    append_bytes(out, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string key_field(std::string_view key) { return fmt::format("key '{}'", key); }
std::string tensor_field(std::string_view name) { return fmt::format("tensor '{}'", name); }

// What keeps a value's bytes from being what its type, element and count say. A value that was read has none.
Problem value_problem(const Value& value) {
    const bool is_array = value.type == ValueType::array;
    const ValueType kind = is_array ? value.element : value.type;
    if (!is_array && kind == ValueType::string) { return std::nullopt; }
    if (kind == ValueType::string) {
        uint64_t at = 0;
        for (uint64_t i = 0; i < value.count; i++) {
            const uint64_t left = value.bytes.size() - at;
            const uint64_t length = left < 8 ? 0 : base::load_le<uint64_t>(value.bytes.data() + at);
            if (left < 8 || length > left - 8) { return fmt::format("string {} ends beyond the value", i); }
            at += 8 + length;
        }
        if (at != value.bytes.size()) { return "its strings are not all of the value"; }
        return std::nullopt;
    }
    const uint64_t size = scalar_size(kind);
    if (size == 0) { return fmt::format("is of a type that cannot be written: {}", uint32_t(kind)); }
    const auto n_bytes = base::checked_mul(is_array ? value.count : 1, size);
    if (!n_bytes || *n_bytes != value.bytes.size()) {
        return fmt::format("is {} bytes, which is not {} of type {}", value.bytes.size(), is_array ? value.count : 1,
                           name_of(kind));
    }
    if (kind == ValueType::boolean && std::ranges::any_of(value.bytes, [](uint8_t b) { return b > 1; })) {
        return "holds a bool that is neither 0 nor 1";
    }
    return std::nullopt;
}

std::vector<uint8_t> record_of(const Value& value) {
    std::vector<uint8_t> out;
    out.reserve(value.bytes.size() + 20);
    append(out, uint32_t(value.type));
    if (value.type == ValueType::array) {
        append(out, uint32_t(value.element));
        append(out, value.count);
    } else if (value.type == ValueType::string) {
        append(out, uint64_t(value.bytes.size()));
    }
    append_bytes(out, value.bytes);
    return out;
}

uint64_t record_bytes(const Tensor& tensor) { return 8 + tensor.name.size() + 4 + 8 * uint64_t(tensor.n_dims) + 4 + 8; }

class MemorySink final : public base::ByteSink {
  public:
    MemorySink(std::vector<uint8_t>& bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}
    const std::string& name() const override { return name_; }
    Result<void> reserve(uint64_t n_bytes) override {
        bytes_.reserve(n_bytes);
        return {};
    }
    Result<void> write(std::span<const uint8_t> bytes) override {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return {};
    }
    Result<void> commit() override { return {}; }

  private:
    std::vector<uint8_t>& bytes_;
    std::string name_;
};

}  // namespace

// --- Draft

void Draft::problem(std::string field, std::string what) {
    if (!problem_) { problem_ = Error{ErrorCode::argument, std::move(what), {"", std::move(field), {}}, ""}; }
}

Draft& Draft::put(std::string_view key, const Value& value) {
    if (auto wrong = name_problem("a key", key, Limits().max_key_bytes)) { problem(key_field(key), *std::move(wrong)); }
    if (auto wrong = value_problem(value)) { problem(key_field(key), *std::move(wrong)); }
    if (key == alignment_key) {
        if (auto wrong = alignment_problem(value)) { problem(key_field(key), *std::move(wrong)); }
    }
    const auto [at, is_new] = by_key_.try_emplace(std::string(key), entries_.size());
    if (is_new) { entries_.emplace_back(); }
    entries_[at->second] = Entry{std::string(key), record_of(value)};
    return *this;
}

Draft& Draft::set(std::string_view key, std::string_view text) {
    const auto* first = reinterpret_cast<const uint8_t*>(text.data());
    return put(key, {ValueType::string, ValueType::u8, 1, {first, text.size()}, 0});
}

Draft& Draft::set_array(std::string_view key, std::span<const std::string> texts) {
    std::vector<uint8_t> bytes;
    for (const std::string& text : texts) { append_text(bytes, text); }
    return put(key, {ValueType::array, ValueType::string, texts.size(), bytes, 0});
}

Draft& Draft::set(std::string_view key, const Value& value) { return put(key, value); }

Draft& Draft::copy(const Metadata& metadata) {
    for (const Metadata::Entry& entry : metadata.entries()) { put(entry.key, entry.value); }
    return *this;
}

Draft& Draft::remove(std::string_view key) {
    const auto at = by_key_.find(key);
    if (at != by_key_.end()) {
        entries_[at->second].reset();
        by_key_.erase(at);
    }
    return *this;
}

Draft& Draft::tensor(std::string_view name, quant::Type type, std::span<const uint64_t> dims) {
    Tensor tensor;
    tensor.name = name;
    tensor.type = type;
    tensor.n_dims = uint32_t(std::min<size_t>(dims.size(), UINT32_MAX));
    std::copy_n(dims.begin(), std::min(dims.size(), tensor.dims.size()), tensor.dims.begin());
    Problem wrong = name_problem("a tensor's name", name, Limits().max_tensor_name_bytes);
    if (!wrong) { wrong = shape_problem(tensor); }
    if (!wrong && quant::find_format(uint32_t(type)) == nullptr) {
        wrong = fmt::format("has the unknown type {}", uint32_t(type));
    }
    if (!wrong) { wrong = size_problem(tensor); }
    if (wrong) {
        problem(tensor_field(name), *std::move(wrong));
    } else {
        tensors_.push_back(std::move(tensor));
    }
    return *this;
}

Draft Draft::without_tensors() const {
    Draft out = *this;
    out.tensors_.clear();
    return out;
}

Result<Layout> Draft::layout(const std::string& file) const {
    if (problem_) {
        Error error = *problem_;
        error.where.file = file;
        return error;
    }
    const auto refuse = [&](std::string field, std::string what) {
        return Error{ErrorCode::argument, std::move(what), {file, std::move(field), {}}, ""};
    };
    std::vector<std::string_view> names;
    for (const Tensor& tensor : tensors_) { names.push_back(tensor.name); }
    std::ranges::sort(names);
    if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
        return refuse(tensor_field(*twice), "stands twice");
    }
    Layout layout;
    layout.header_bytes = fixed_header_bytes;
    for (const auto& entry : entries_) {
        if (!entry) { continue; }
        layout.header_bytes += 8 + entry->key.size() + entry->bytes.size();
        if (entry->key == alignment_key) { layout.alignment = base::load_le<uint32_t>(entry->bytes.data() + 4); }
    }
    for (const Tensor& tensor : tensors_) { layout.header_bytes += record_bytes(tensor); }
    layout.data_offset = *base::checked_align(layout.header_bytes, layout.alignment);
    uint64_t end = layout.data_offset;
    layout.tensors = tensors_;
    for (Tensor& tensor : layout.tensors) {
        tensor.offset = end;
        const auto tensor_end = base::checked_add(end, tensor.n_bytes);
        if (!tensor_end || *tensor_end > max_file_bytes) {
            return refuse(tensor_field(tensor.name), "the file's size overflows with it");
        }
        end = *base::checked_align(*tensor_end, layout.alignment);
    }
    layout.file_bytes = tensors_.empty() ? layout.header_bytes : end;
    return layout;
}

// --- Writer

Result<Writer> Writer::create(const std::string& path, const Draft& draft, const Limits& limits) {
    WALLABY_OK(draft.layout(path));  // a draft that cannot be written touches no file
    WALLABY_TRY(base::AtomicFile file, base::AtomicFile::create(path));
    return create(std::make_unique<base::AtomicFile>(std::move(file)), draft, limits);
}

Result<Writer> Writer::create(std::unique_ptr<base::ByteSink> sink, const Draft& draft, const Limits& limits) {
    WALLABY_TRY(Layout layout, draft.layout(sink->name()));
    const auto refuse = [&](std::string what) {
        return Error{ErrorCode::argument, std::move(what), {sink->name(), "", {}}, ""};
    };
    if (draft.by_key_.size() > limits.max_kv) {
        return refuse(fmt::format("{} keys: at most {} are read back", draft.by_key_.size(), limits.max_kv));
    }
    if (layout.tensors.size() > limits.max_tensors) {
        return refuse(fmt::format("{} tensors: at most {} are read back", layout.tensors.size(), limits.max_tensors));
    }
    if (layout.header_bytes > limits.max_header_bytes) {
        return refuse(fmt::format("a header of {} bytes: at most {} are read back", layout.header_bytes,
                                  limits.max_header_bytes));
    }
    WALLABY_OK(sink->reserve(layout.file_bytes));
    Writer writer(std::move(sink), std::move(layout));
    WALLABY_OK(writer.put_header(draft));
    return writer;
}

Result<void> Writer::put_header(const Draft& draft) {
    std::vector<uint8_t> record{'G', 'G', 'U', 'F'};
    append(record, uint32_t(3));
    append(record, uint64_t(layout_.tensors.size()));
    append(record, uint64_t(draft.by_key_.size()));
    WALLABY_OK(put(record));
    for (const auto& entry : draft.entries_) {
        if (!entry) { continue; }
        record.clear();
        append_text(record, entry->key);
        WALLABY_OK(put(record));
        WALLABY_OK(put(entry->bytes));
    }
    for (const Tensor& tensor : layout_.tensors) {
        record.clear();
        append_text(record, tensor.name);
        append(record, tensor.n_dims);
        for (uint32_t i = 0; i < tensor.n_dims; i++) { append(record, tensor.dims[i]); }
        append(record, uint32_t(tensor.type));
        append(record, tensor.offset - layout_.data_offset);
        WALLABY_OK(put(record));
    }
    return layout_.tensors.empty() ? Result<void>() : pad_to(layout_.data_offset);
}

Result<void> Writer::put(std::span<const uint8_t> bytes) {
    position_ += bytes.size();
    if (buffer_.size() + bytes.size() < buffer_bytes) {
        append_bytes(buffer_, bytes);
        return {};
    }
    WALLABY_OK(flush());
    if (bytes.size() >= buffer_bytes) { return sink_->write(bytes); }
    buffer_.assign(bytes.begin(), bytes.end());
    return {};
}

Result<void> Writer::flush() {
    WALLABY_OK(sink_->write(buffer_));
    buffer_.clear();
    return {};
}

Result<void> Writer::pad_to(uint64_t position) {
    static constexpr std::array<uint8_t, 4096> zeros{};
    while (position_ < position) {
        WALLABY_OK(put(std::span(zeros).first(std::min<uint64_t>(zeros.size(), position - position_))));
    }
    return {};
}

Error Writer::about(std::string_view tensor, std::string what) const {
    return Error{ErrorCode::argument, std::move(what), {sink_->name(), tensor_field(tensor), {}}, ""};
}

Result<void> Writer::keep(Result<void> result) {
    if (!result.ok()) { error_ = result.error(); }
    return result;
}

Result<void> Writer::write(std::string_view tensor, std::span<const uint8_t> bytes) {
    if (error_) { return *error_; }
    return keep(write_piece(tensor, bytes));
}

Result<void> Writer::write_piece(std::string_view name, std::span<const uint8_t> bytes) {
    if (committed_) { return about(name, "is written after the file was committed"); }
    if (turn_ < layout_.tensors.size() && layout_.tensors[turn_].name != name && n_done_ > 0) {
        const Tensor& cut = layout_.tensors[turn_];
        return about(cut.name,
                     fmt::format("has {} of its {} bytes where tensor '{}' begins", n_done_, cut.n_bytes, name));
    }
    if (turn_ == layout_.tensors.size() || layout_.tensors[turn_].name != name) {
        const bool is_done = turn_ > 0 && layout_.tensors[turn_ - 1].name == name;
        if (is_done && bytes.empty()) { return {}; }
        if (is_done) {
            return about(
                name, fmt::format("is given {} bytes beyond its {}", bytes.size(), layout_.tensors[turn_ - 1].n_bytes));
        }
        return about(name, turn_ == layout_.tensors.size()
                               ? std::string("is written after the last tensor")
                               : fmt::format("is written where tensor '{}' is due", layout_.tensors[turn_].name));
    }
    const Tensor& tensor = layout_.tensors[turn_];
    if (bytes.size() > tensor.n_bytes - n_done_) {
        return about(name, fmt::format("is given {} bytes beyond its {}", bytes.size() - (tensor.n_bytes - n_done_),
                                       tensor.n_bytes));
    }
    WALLABY_OK(put(bytes));
    n_done_ += bytes.size();
    if (n_done_ < tensor.n_bytes) { return {}; }
    turn_++;
    n_done_ = 0;
    return pad_to(turn_ < layout_.tensors.size() ? layout_.tensors[turn_].offset : layout_.file_bytes);
}

Result<void> Writer::copy(const WeightSource& source, const Tensor& tensor) {
    if (error_) { return *error_; }
    if (turn_ < layout_.tensors.size()) {
        const Tensor& due = layout_.tensors[turn_];
        if (due.name == tensor.name && (due.type != tensor.type || due.dims != tensor.dims)) {
            return keep(about(tensor.name, "is not of the type and shape that were declared"));
        }
    }
    std::vector<uint8_t> piece(std::min(copy_bytes, tensor.n_bytes));
    for (uint64_t offset = 0; offset < tensor.n_bytes; offset += piece.size()) {
        const auto now = std::span(piece).first(std::min<uint64_t>(piece.size(), tensor.n_bytes - offset));
        WALLABY_OK(keep(source.read(tensor, offset, now)));
        WALLABY_OK(write(tensor.name, now));
    }
    return {};
}

Result<void> Writer::finish() {
    if (error_) { return *error_; }
    if (!is_complete()) {
        const Tensor& cut = layout_.tensors[turn_];
        return keep(about(cut.name, fmt::format("has {} of its {} bytes at the end", n_done_, cut.n_bytes)));
    }
    WALLABY_OK(keep(flush()));
    buffer_ = {};
    return {};
}

Result<void> Writer::commit() {
    if (error_) { return *error_; }
    if (committed_) { return {}; }
    WALLABY_OK(finish());
    WALLABY_OK(keep(sink_->commit()));
    committed_ = true;
    return {};
}

Result<Metadata> metadata_of(const Draft& draft, const std::string& name) {
    Draft keys = draft;
    keys.tensors_.clear();
    std::vector<uint8_t> bytes;
    WALLABY_TRY(Writer writer, Writer::create(std::make_unique<MemorySink>(bytes, name), keys));
    WALLABY_OK(writer.commit());
    WALLABY_TRY(File file, read_file(base::MemorySource(bytes, name)));
    return std::move(file.metadata);
}

}  // namespace wallaby::gguf
