#include "gguf/reader.h"

#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "gguf/rules.h"

namespace wallaby::gguf {
namespace {

constexpr std::string_view damaged = "The file is truncated or damaged: fetch it again";
constexpr uint64_t first_read = 256 << 10;
constexpr uint64_t min_kv_bytes = 8 + 1 + 4 + 1;              // key length, one character, type, a one-byte value
constexpr uint64_t min_tensor_bytes = 8 + 1 + 4 + 8 + 4 + 8;  // name, n_dims, one dimension, type, offset

// The header's bytes, fetched from the source as the parse goes on. Positions are file offsets.
class Cursor {
  public:
    Cursor(const base::ByteSource& source, const Limits& limits) : source_(source), limits_(limits) {}

    uint64_t position() const { return position_; }
    uint64_t left() const { return source_.size() - position_; }
    // Whether n more bytes, or n times `size`, are left.
    bool has(uint64_t n, uint64_t size = 1) {
        const auto n_bytes = base::checked_mul(n, size);
        if (n_bytes && *n_bytes <= left()) { return true; }
        ended_early_ = n_bytes && *n_bytes <= limits_.max_header_bytes - std::min(position_, limits_.max_header_bytes);
        return false;
    }
    // Whether the bytes ended where more of them, within the limits, could have gone on.
    bool ended_early() const { return ended_early_; }
    const uint8_t* at(uint64_t position) const { return bytes_.get() + position; }
    // The bytes up to the position, given away.
    Result<HeaderBytes> take() {
        WALLABY_OK(resize(position_));
        return std::move(bytes_);
    }

    // Makes the next n bytes available and moves past them; `what` names them in the error.
    Result<void> skip(uint64_t n, std::string_view what) {
        if (!has(n)) { return too_much(position_, fmt::format("{} needs {} bytes", what, n)); }
        const uint64_t end = position_ + n;
        if (end > limits_.max_header_bytes) {
            return fail_at(position_,
                           fmt::format("{} makes the header longer than {} bytes", what, limits_.max_header_bytes), "");
        }
        if (end > n_bytes_) {
            const uint64_t had = n_bytes_;
            const uint64_t wanted = std::max({end, 2 * had, first_read});
            WALLABY_OK(resize(std::min({wanted, source_.size(), limits_.max_header_bytes})));
            WALLABY_OK(source_.read(had, {bytes_.get() + had, n_bytes_ - had}));
        }
        position_ = end;
        return {};
    }

    template <class T>
    Result<T> number(std::string_view what) {
        const uint64_t start = position_;
        WALLABY_OK(skip(sizeof(T), what));
        return base::load_le<T>(at(start));
    }

    // The position of a string's text and its length; its length is checked against what is left before it is used.
    struct Text {
        uint64_t position, length;
    };
    Result<Text> text(std::string_view what) {
        WALLABY_TRY(const uint64_t length, number<uint64_t>(what));
        const uint64_t start = position_;
        WALLABY_OK(skip(length, what));
        return Text{start, length};
    }
    // Valid until the next bytes are fetched.
    std::string_view view(Text text) const { return {reinterpret_cast<const char*>(at(text.position)), text.length}; }

    Error fail_at(uint64_t offset, std::string what, std::string_view remedy) const {
        return Error{ErrorCode::format, std::move(what), {source_.name(), "", offset}, std::string(remedy)};
    }

    // Of a claim that has() has denied.
    Error too_much(uint64_t offset, std::string_view claim) const {
        if (limits_.data_may_be_missing && !ended_early_) {
            return fail_at(offset,
                           fmt::format("{}, but a header of at most {} bytes is read", claim, limits_.max_header_bytes),
                           "");
        }
        return fail_at(offset, fmt::format("{}, but only {} bytes are left in the file", claim, left()), damaged);
    }

  private:
    Result<void> resize(uint64_t n_bytes) {
        void* resized = std::realloc(bytes_.get(), n_bytes);
        if (resized == nullptr) {
            return Error{ErrorCode::memory,
                         fmt::format("no memory for {} bytes of header", n_bytes),
                         {source_.name(), "", {}},
                         ""};
        }
        (void)bytes_.release();
        bytes_.reset(static_cast<uint8_t*>(resized));
        n_bytes_ = n_bytes;
        return {};
    }

    const base::ByteSource& source_;
    const Limits& limits_;
    HeaderBytes bytes_;
    uint64_t n_bytes_ = 0;
    uint64_t position_ = 0;
    bool ended_early_ = false;
};

// A value's place; its bytes are bound to it when the header has stopped growing.
struct Place {
    Cursor::Text key;
    Value value;
    uint64_t payload, n_bytes;
};

// Puts the key or tensor into the error of the step that read it.
Result<void> named(Result<void> result, std::string_view kind, std::string_view name) {
    if (!result.ok()) { result.error().where.field = fmt::format("{} '{}'", kind, name); }
    return result;
}

Result<void> read_array(Cursor& in, Value& value) {
    const uint64_t start = in.position();
    WALLABY_TRY(const uint32_t element, in.number<uint32_t>("its element type"));
    WALLABY_TRY(value.count, in.number<uint64_t>("its length"));
    value.element = ValueType(element);
    if (value.element == ValueType::array) {
        return in.fail_at(start, "holds an array of arrays, which no GGUF writer makes", "");
    }
    const uint64_t size = scalar_size(value.element);
    if (size == 0 && value.element != ValueType::string) {
        return in.fail_at(start, fmt::format("has elements of unknown type {}", element), "");
    }
    if (!in.has(value.count, size == 0 ? 8 : size)) {
        return in.too_much(start, fmt::format("claims {} elements of type {}", value.count, name_of(value.element)));
    }
    if (size == 0) {
        for (uint64_t i = 0; i < value.count; i++) {
            WALLABY_TRY([[maybe_unused]] auto text, in.text("one of its strings"));
        }
        return {};
    }
    const uint64_t n_bytes = value.count * size;
    WALLABY_OK(in.skip(n_bytes, "its elements"));
    if (value.element == ValueType::boolean) {
        const uint8_t* first = in.at(in.position() - n_bytes);
        if (std::any_of(first, first + n_bytes, [](uint8_t b) { return b > 1; })) {
            return in.fail_at(start, "holds a bool that is neither 0 nor 1", "");
        }
    }
    return {};
}

Result<void> read_value(Cursor& in, Place& place) {
    const uint64_t type_at = in.position();
    WALLABY_TRY(const uint32_t type, in.number<uint32_t>("its type"));
    place.value.type = ValueType(type);
    place.value.offset = in.position();
    if (place.value.type == ValueType::array) {
        WALLABY_OK(read_array(in, place.value));
        place.payload = place.value.offset + 12;
    } else if (place.value.type == ValueType::string) {
        WALLABY_TRY(const Cursor::Text text, in.text("its value"));
        place.payload = text.position;
    } else if (const uint64_t size = scalar_size(place.value.type); size != 0) {
        WALLABY_OK(in.skip(size, "its value"));
        place.payload = place.value.offset;
        if (place.value.type == ValueType::boolean && *in.at(place.payload) > 1) {
            return in.fail_at(place.payload, "is a bool that is neither 0 nor 1", "");
        }
    } else {
        return in.fail_at(type_at, fmt::format("has the unknown value type {}", type),
                          "The file is damaged, or newer than this build");
    }
    place.n_bytes = in.position() - place.payload;
    return {};
}

// A key's or a tensor's name.
Result<Cursor::Text> read_name(Cursor& in, std::string_view what, uint64_t max_bytes) {
    const uint64_t start = in.position();
    WALLABY_TRY(const Cursor::Text name, in.text(what));
    if (auto problem = name_problem(what, in.view(name), max_bytes)) {
        return in.fail_at(start, *std::move(problem), "");
    }
    return name;
}

Result<Place> read_kv(Cursor& in, const Limits& limits) {
    Place place{};
    WALLABY_TRY(place.key, read_name(in, "a key", limits.max_key_bytes));
    auto read = read_value(in, place);
    WALLABY_OK(named(std::move(read), "key", in.view(place.key)));
    return place;
}

Result<void> read_shape(Cursor& in, Tensor& tensor) {
    const uint64_t dims_at = in.position();
    WALLABY_TRY(tensor.n_dims, in.number<uint32_t>("its dimension count"));
    for (uint32_t i = 0; tensor.n_dims <= tensor.dims.size() && i < tensor.n_dims; i++) {
        WALLABY_TRY(tensor.dims[i], in.number<uint64_t>("a dimension"));
    }
    if (auto problem = shape_problem(tensor)) { return in.fail_at(dims_at, *std::move(problem), ""); }
    const uint64_t type_at = in.position();
    WALLABY_TRY(const uint32_t type, in.number<uint32_t>("its type"));
    const quant::Format* format = quant::find_format(type);
    if (format == nullptr) { return in.fail_at(type_at, fmt::format("has the unknown type {}", type), ""); }
    tensor.type = format->type;
    if (auto problem = size_problem(tensor)) { return in.fail_at(dims_at, *std::move(problem), ""); }
    WALLABY_TRY(tensor.offset, in.number<uint64_t>("its data offset"));
    return {};
}

Result<Tensor> read_tensor(Cursor& in, const Limits& limits) {
    WALLABY_TRY(const Cursor::Text name, read_name(in, "a tensor's name", limits.max_tensor_name_bytes));
    Tensor tensor;
    tensor.name = in.view(name);
    auto read = read_shape(in, tensor);
    WALLABY_OK(named(std::move(read), "tensor", tensor.name));
    return tensor;
}

Result<uint64_t> read_alignment(const Metadata& metadata) {
    const Value* value = metadata.find(alignment_key);
    if (value == nullptr) { return uint64_t(32); }
    if (auto problem = alignment_problem(*value)) {
        return metadata.error(ErrorCode::format, alignment_key, *std::move(problem));
    }
    return uint64_t(*value->integer());
}

// Sorts the tensors' names; each must be unique. records[i] is where tensor i stands in the header.
Result<void> index_tensors(File& file, const std::vector<uint64_t>& records, const base::ByteSource& source) {
    file.by_name.resize(file.tensors.size());
    std::iota(file.by_name.begin(), file.by_name.end(), 0u);
    std::ranges::sort(file.by_name, [&](uint32_t a, uint32_t b) {
        const int order = file.tensors[a].name.compare(file.tensors[b].name);
        return order != 0 ? order < 0 : a < b;
    });
    const auto name_of = [&](uint32_t i) -> const std::string& { return file.tensors[i].name; };
    const auto twice = std::ranges::adjacent_find(file.by_name, {}, name_of);
    if (twice == file.by_name.end()) { return {}; }
    const uint32_t second = *(twice + 1);
    return Error{ErrorCode::format,
                 "stands twice",
                 {source.name(), fmt::format("tensor '{}'", name_of(second)), records[second]},
                 ""};
}

// Offsets become file offsets; every tensor must be aligned, inside the file unless its data may lack, and apart from
// the others.
Result<void> place_tensors(File& file, const std::vector<uint64_t>& records, const base::ByteSource& source,
                           const Limits& limits) {
    const auto refuse = [&](size_t i, std::string what, std::string_view remedy = "") {
        return Error{ErrorCode::format,
                     std::move(what),
                     {source.name(), fmt::format("tensor '{}'", file.tensors[i].name), records[i]},
                     std::string(remedy)};
    };
    for (size_t i = 0; i < file.tensors.size(); i++) {
        Tensor& tensor = file.tensors[i];
        if (tensor.offset % file.alignment != 0) {
            return refuse(i, fmt::format("its data offset {} is not a multiple of the alignment {}", tensor.offset,
                                         file.alignment));
        }
        const auto begin = base::checked_add(file.data_offset, tensor.offset);
        const auto end = begin ? base::checked_add(*begin, tensor.n_bytes) : std::nullopt;
        if (!end || (!limits.data_may_be_missing && *end > source.size())) {
            return refuse(i,
                          fmt::format("its {} bytes from data offset {} end beyond the file's {} bytes", tensor.n_bytes,
                                      tensor.offset, source.size()),
                          damaged);
        }
        tensor.offset = *begin;
    }
    std::vector<size_t> order(file.tensors.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return file.tensors[a].offset < file.tensors[b].offset; });
    for (size_t i = 1; i < order.size(); i++) {
        const Tensor& before = file.tensors[order[i - 1]];
        const Tensor& tensor = file.tensors[order[i]];
        if (before.offset + before.n_bytes > tensor.offset) {
            return refuse(order[i], fmt::format("its data overlaps that of tensor '{}'", before.name));
        }
    }
    return {};
}

Result<File> read_header(Cursor& in, const base::ByteSource& source, const Limits& limits) {
    File file;
    WALLABY_TRY(const uint32_t magic, in.number<uint32_t>("the magic number"));
    if (magic != 0x46554747u) {
        return in.fail_at(0, fmt::format("starts with {:#010x}, not with \"GGUF\"", magic), "Name a GGUF model file");
    }
    WALLABY_TRY(file.version, in.number<uint32_t>("the version"));
    const auto unsupported = [&](std::string what, std::string_view remedy) {
        Error error = in.fail_at(4, std::move(what), remedy);
        error.code = ErrorCode::unsupported;
        return error;
    };
    if (file.version == 0) { return in.fail_at(4, "is GGUF version 0, which never was", damaged); }
    if ((file.version & 0xffffu) == 0) {
        return unsupported("is a big-endian GGUF file, which this build does not read", "Convert it to little-endian");
    }
    if (file.version < 2 || file.version > 3) {
        return unsupported(fmt::format("is GGUF version {}; versions 2 and 3 are read", file.version),
                           file.version < 2 ? "Convert it again with a current converter" : "Use a newer build");
    }
    WALLABY_TRY(const uint64_t n_tensors, in.number<uint64_t>("the tensor count"));
    WALLABY_TRY(const uint64_t n_kv, in.number<uint64_t>("the key count"));
    if (n_tensors > limits.max_tensors || !in.has(n_tensors, min_tensor_bytes)) {
        return in.fail_at(8, fmt::format("claims {} tensors in {} bytes", n_tensors, source.size()), damaged);
    }
    if (n_kv > limits.max_kv || !in.has(n_kv, min_kv_bytes)) {
        return in.fail_at(16, fmt::format("claims {} keys in {} bytes", n_kv, source.size()), damaged);
    }
    std::vector<Place> places;
    for (uint64_t i = 0; i < n_kv; i++) {
        WALLABY_TRY(const Place place, read_kv(in, limits));
        places.push_back(place);
    }
    std::vector<uint64_t> records;
    for (uint64_t i = 0; i < n_tensors; i++) {
        records.push_back(in.position());
        WALLABY_TRY(Tensor tensor, read_tensor(in, limits));
        file.tensors.push_back(std::move(tensor));
    }
    const uint64_t header_end = in.position();

    WALLABY_TRY(HeaderBytes bytes, in.take());
    std::vector<Metadata::Entry> entries;
    entries.reserve(places.size());
    for (const Place& place : places) {
        Value value = place.value;
        value.bytes = {bytes.get() + place.payload, place.n_bytes};
        entries.push_back({{reinterpret_cast<const char*>(bytes.get() + place.key.position), place.key.length}, value});
    }
    file.metadata = Metadata(std::move(bytes), std::move(entries), source.name());
    for (const Metadata::Entry& entry : file.metadata.entries()) {
        if (file.metadata.find(entry.key) != &entry.value) {
            return Error{ErrorCode::format,
                         "stands twice",
                         {source.name(), fmt::format("key '{}'", entry.key), entry.value.offset},
                         ""};
        }
    }
    WALLABY_OK(index_tensors(file, records, source));
    WALLABY_TRY(file.alignment, read_alignment(file.metadata));
    const auto data_offset = base::checked_align(header_end, file.alignment);
    if (!data_offset) { return in.fail_at(header_end, "the data's place overflows", ""); }
    file.data_offset = *data_offset;
    WALLABY_OK(place_tensors(file, records, source, limits));
    return file;
}

}  // namespace

std::string Tensor::shape() const {
    std::string out = std::to_string(dims[0]);
    for (uint32_t i = 1; i < n_dims; i++) { out += fmt::format(" x {}", dims[i]); }
    return out;
}

const Tensor* File::find(std::string_view name) const {
    const auto name_of = [this](uint32_t i) -> std::string_view { return tensors[i].name; };
    const auto it = std::ranges::lower_bound(by_name, name, {}, name_of);
    return it == by_name.end() || name_of(*it) != name ? nullptr : &tensors[*it];
}

Result<File> read_file(const base::ByteSource& source, const Limits& limits) {
    Cursor in(source, limits);
    return read_header(in, source, limits);
}

Result<std::optional<File>> read_beginning(const base::ByteSource& source, const Limits& limits) {
    Limits of_header = limits;
    of_header.data_may_be_missing = true;
    Cursor in(source, of_header);
    auto file = read_header(in, source, of_header);
    if (!file.ok() && in.ended_early()) { return std::optional<File>(); }
    WALLABY_TRY(File complete, std::move(file));
    return std::optional<File>(std::move(complete));
}

}  // namespace wallaby::gguf
