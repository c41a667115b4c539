#include "convert/imatrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "gguf/writer.h"

namespace wallaby::convert {
namespace {

constexpr std::string_view sums_suffix = ".in_sum2", counts_suffix = ".counts", sensitivity_suffix = ".sensitivity";
constexpr uint64_t max_name_bytes = gguf::Limits().max_tensor_name_bytes;
constexpr uint64_t max_count = uint64_t(1) << 53;  // whole numbers up to here are doubles

std::string field_of(std::string_view tensor) { return fmt::format("tensor '{}'", tensor); }

Error about(const std::string& file, std::string field, std::string what, std::string remedy = "") {
    return {ErrorCode::format, std::move(what), {file, std::move(field), {}}, std::move(remedy)};
}

void sort_by_name(Imatrix& imatrix) {
    std::ranges::sort(imatrix.tensors, {}, &InputSums::name);
    std::ranges::sort(imatrix.sensitivities, {}, &Sensitivity::name);
}

// Sums of squares as a file has them.
Result<void> check_squares(std::span<const float> values, const std::string& file, const std::string& field) {
    const auto bad = std::ranges::find_if(values, [](float v) { return !(v >= 0) || std::isinf(v); });
    if (bad == values.end()) { return {}; }
    return about(file, field, fmt::format("value {} is {}, no sum of squares", bad - values.begin(), *bad));
}

uint64_t max_count_of(const InputSums& t) { return t.counts.empty() ? 0 : std::ranges::max(t.counts); }

// --- GGUF

Result<InputSums> sums_of(const gguf::WeightSource& source, const gguf::Tensor& sums) {
    const std::string& file = source.metadata().file();
    InputSums out;
    out.name = sums.name.substr(0, sums.name.size() - sums_suffix.size());
    const gguf::Tensor* counts = source.find(out.name + std::string(counts_suffix));
    if (counts == nullptr) { return about(file, field_of(sums.name), "has no counts beside it"); }
    for (const gguf::Tensor* t : {&sums, counts}) {
        if (t->type != quant::Type::f32) {
            return about(file, field_of(t->name), fmt::format("is {}, not F32", quant::format_of(t->type).name));
        }
    }
    if (sums.n_elements() % counts->n_elements() != 0) {
        return about(
            file, field_of(sums.name),
            fmt::format("has {} sums, which {} counts do not divide", sums.n_elements(), counts->n_elements()));
    }
    WALLABY_TRY(const std::vector<float> squares, gguf::read_floats(source, sums, sums.n_elements()));
    WALLABY_OK(check_squares(squares, file, field_of(sums.name)));
    out.squares.assign(squares.begin(), squares.end());
    WALLABY_TRY(const std::vector<float> rows, gguf::read_floats(source, *counts, counts->n_elements()));
    for (const float n : rows) {
        if (!(n >= 0) || n > float(max_count)) {
            return about(file, field_of(counts->name), fmt::format("is {}, no count of rows", n));
        }
        out.counts.push_back(uint64_t(std::llround(n)));
    }
    return out;
}

Result<Sensitivity> sensitivity_in(const gguf::WeightSource& source, const gguf::Tensor& tensor) {
    const std::string& file = source.metadata().file();
    if (tensor.type != quant::Type::f32 || tensor.n_elements() != 1) {
        return about(file, field_of(tensor.name), "is not one F32 number");
    }
    WALLABY_TRY(const std::vector<float> value, gguf::read_floats(source, tensor, 1));
    if (!(value[0] >= 0) || std::isinf(value[0])) {
        return about(file, field_of(tensor.name), fmt::format("is {}, but must be 0 or more", value[0]));
    }
    return Sensitivity{tensor.name.substr(0, tensor.name.size() - sensitivity_suffix.size()), value[0]};
}

Result<uint32_t> number_in(const gguf::Metadata& metadata, std::string_view key, uint32_t least, uint32_t most) {
    WALLABY_TRY(const uint32_t n, metadata.u32(key));
    if (n < least || n > most) {
        return metadata.error(ErrorCode::format, key, fmt::format("is {}, but must be {} to {}", n, least, most));
    }
    return n;
}

Result<Imatrix> read_gguf(std::unique_ptr<base::ByteSource> bytes) {
    WALLABY_TRY(const auto source, gguf::open_gguf(std::move(bytes)));
    const gguf::Metadata& metadata = source->metadata();
    Imatrix out;
    out.file = metadata.file();
    WALLABY_TRY(const std::string_view type, metadata.string_or("general.type", "model"));
    if (type != "imatrix") {
        return about(out.file, "key 'general.type'", fmt::format("is '{}', not 'imatrix'", type),
                     "Make an importance matrix with: wallaby imatrix");
    }
    WALLABY_TRY(out.n_chunks, number_in(metadata, "imatrix.chunk_count", 0, INT32_MAX));
    WALLABY_TRY(out.chunk_size, number_in(metadata, "imatrix.chunk_size", 1, max_chunk_size));
    if (metadata.has("imatrix.datasets")) {
        WALLABY_TRY(const gguf::StringArray names, metadata.strings("imatrix.datasets"));
        for (const std::string_view name : names) { out.datasets.emplace_back(name); }
    }
    for (const gguf::Tensor& tensor : source->tensors()) {
        const std::string_view name = tensor.name;
        if (name.ends_with(sums_suffix)) {
            WALLABY_TRY(InputSums sums, sums_of(*source, tensor));
            out.tensors.push_back(std::move(sums));
        } else if (name.ends_with(counts_suffix)) {
            const std::string sums(name.substr(0, name.size() - counts_suffix.size()));
            if (source->find(sums + std::string(sums_suffix)) == nullptr) {
                return about(out.file, field_of(name), "has no sums beside it");
            }
        } else if (name.ends_with(sensitivity_suffix)) {
            WALLABY_TRY(Sensitivity sensitivity, sensitivity_in(*source, tensor));
            out.sensitivities.push_back(std::move(sensitivity));
        }  // and what other programs put beside them
    }
    return out;
}

std::span<const uint8_t> bytes_of(std::span<const float> values) {
    return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

Result<std::vector<float>> rounded(const std::string& file, const InputSums& t) {
    std::vector<float> out;
    for (const double v : t.squares) {
        out.push_back(float(v));
        if (!std::isfinite(out.back())) {
            return Error{
                ErrorCode::numeric, fmt::format("a sum of squares is {}", v), {file, field_of(t.name), {}}, ""};
        }
    }
    return out;
}

Result<void> write_gguf(const Imatrix& imatrix, std::unique_ptr<base::ByteSink> sink) {
    const std::string file = sink->name();
    gguf::Draft draft;
    draft.set("general.type", "imatrix").set_array("imatrix.datasets", std::span(imatrix.datasets));
    draft.set("imatrix.chunk_count", imatrix.n_chunks).set("imatrix.chunk_size", imatrix.chunk_size);
    for (const InputSums& t : imatrix.tensors) {
        draft.tensor(t.name + std::string(sums_suffix), quant::Type::f32, {t.n_in(), t.counts.size()});
        draft.tensor(t.name + std::string(counts_suffix), quant::Type::f32, {1, t.counts.size()});
    }
    for (const Sensitivity& s : imatrix.sensitivities) {
        draft.tensor(s.name + std::string(sensitivity_suffix), quant::Type::f32, {1});
    }
    WALLABY_TRY(gguf::Writer writer, gguf::Writer::create(std::move(sink), draft));
    for (const InputSums& t : imatrix.tensors) {
        WALLABY_TRY(const std::vector<float> squares, rounded(file, t));
        const std::vector<float> counts(t.counts.begin(), t.counts.end());
        WALLABY_OK(writer.write(t.name + std::string(sums_suffix), bytes_of(squares)));
        WALLABY_OK(writer.write(t.name + std::string(counts_suffix), bytes_of(counts)));
    }
    for (const Sensitivity& s : imatrix.sensitivities) {
        const auto value = float(s.value);
        WALLABY_OK(writer.write(s.name + std::string(sensitivity_suffix), bytes_of({&value, 1})));
    }
    return writer.commit();
}

// --- .dat

class DatReader {
  public:
    explicit DatReader(const base::ByteSource& source) : source_(source) {}

    uint64_t left() const { return source_.size() - at_; }
    Error error(std::string field, std::string what) const {
        return {ErrorCode::format,
                std::move(what),
                {source_.name(), std::move(field), at_},
                "Is it an importance matrix? The file is damaged, or of another kind"};
    }
    // The next bytes, which the file must have.
    Result<void> take(const std::string& field, std::span<uint8_t> out) {
        if (out.size() > left()) {
            return error(field, fmt::format("needs {} bytes, but {} are left", out.size(), left()));
        }
        WALLABY_OK(source_.read(at_, out));
        at_ += out.size();
        return {};
    }
    Result<uint32_t> number(const std::string& field, uint64_t least, uint64_t most) {
        std::array<uint8_t, 4> bytes{};
        WALLABY_OK(take(field, bytes));
        const auto n = base::load_le<int32_t>(bytes.data());
        if (n < 0 || uint64_t(n) < least || uint64_t(n) > most) {
            at_ -= bytes.size();
            return error(field, fmt::format("is {}, but must be {} to {}", n, least, most));
        }
        return uint32_t(n);
    }
    Result<std::string> text(const std::string& field, uint64_t least, uint64_t most) {
        WALLABY_TRY(const uint32_t n,
                    number(field + " length", least, std::min(most, left() - std::min<uint64_t>(left(), 4))));
        std::string out(n, '\0');
        WALLABY_OK(take(field, {reinterpret_cast<uint8_t*>(out.data()), out.size()}));
        return out;
    }

  private:
    const base::ByteSource& source_;
    uint64_t at_ = 0;
};

// An entry; n_calls of the largest so far becomes n_chunks, which newer files then say themselves.
Result<InputSums> read_entry(DatReader& in, Imatrix& imatrix, uint32_t index) {
    const std::string entry = fmt::format("entry {}", index);
    InputSums out;
    WALLABY_TRY(out.name, in.text(entry + " name", 1, max_name_bytes));
    const std::string field = field_of(out.name);
    WALLABY_TRY(const uint32_t n_calls, in.number(field + " n_calls", 0, INT32_MAX));
    WALLABY_TRY(const uint32_t n_values, in.number(field + " n_values", 1, in.left() / sizeof(float)));
    std::vector<float> values(n_values);
    WALLABY_OK(in.take(field, {reinterpret_cast<uint8_t*>(values.data()), values.size() * sizeof(float)}));
    WALLABY_OK(check_squares(values, imatrix.file, field));
    out.counts = {uint64_t(std::max(n_calls, 1u)) * imatrix.chunk_size};
    for (const float v : values) { out.squares.push_back(double(v) * imatrix.chunk_size); }
    imatrix.n_chunks = std::max(imatrix.n_chunks, n_calls);
    return out;
}

Result<Imatrix> read_dat(const base::ByteSource& source, uint32_t chunk_size) {
    constexpr uint64_t min_entry_bytes = 4 * 4 + 1;
    Imatrix out;
    out.file = source.name();
    out.chunk_size = chunk_size;
    DatReader in(source);
    WALLABY_TRY(const uint32_t n_entries, in.number("n_entries", 1, source.size() / min_entry_bytes));
    for (uint32_t i = 0; i < n_entries; i++) {
        WALLABY_TRY(InputSums sums, read_entry(in, out, i));
        out.tensors.push_back(std::move(sums));
    }
    if (in.left() != 0) { WALLABY_TRY(out.n_chunks, in.number("n_chunks", 0, INT32_MAX)); }
    if (in.left() != 0) {
        WALLABY_TRY(std::string dataset, in.text("dataset", 0, INT32_MAX));
        if (!dataset.empty()) { out.datasets.push_back(std::move(dataset)); }
    }
    if (in.left() != 0) { return in.error("", fmt::format("goes on for {} bytes after its end", in.left())); }
    return out;
}

class DatWriter {
  public:
    void number(uint64_t n) {
        if (n > INT32_MAX) { is_too_large_ = true; }
        const auto value = int32_t(n);
        append({reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
    }
    void text(std::string_view s) {
        number(s.size());
        append({reinterpret_cast<const uint8_t*>(s.data()), s.size()});
    }
    void values(std::span<const float> v) {
        number(v.size());
        append(bytes_of(v));
    }
    Result<void> commit(base::ByteSink& sink) const {
        if (is_too_large_) {
            return Error{ErrorCode::capacity,
                         "a number is beyond the format's 31 bits",
                         {sink.name(), "", {}},
                         "Write a GGUF file"};
        }
        WALLABY_OK(sink.reserve(bytes_.size()));
        WALLABY_OK(sink.write(bytes_));
        return sink.commit();
    }

  private:
    void append(std::span<const uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    std::vector<uint8_t> bytes_;
    bool is_too_large_ = false;
};

Result<void> write_dat(const Imatrix& imatrix, base::ByteSink& sink) {
    DatWriter out;
    const auto has_rows = [](const InputSums& t) { return max_count_of(t) != 0; };
    out.number(uint64_t(std::ranges::count_if(imatrix.tensors, has_rows)));
    for (const InputSums& t : imatrix.tensors) {
        if (!has_rows(t)) { continue; }
        const uint64_t n_calls = (max_count_of(t) + imatrix.chunk_size - 1) / imatrix.chunk_size;
        std::vector<float> values = importance_of(t);
        for (float& v : values) { v = float(double(v) * double(n_calls)); }
        out.text(t.name);
        out.number(n_calls);
        out.values(values);
    }
    out.number(imatrix.n_chunks);
    out.text(imatrix.datasets.empty() ? "" : imatrix.datasets.back());
    return out.commit(sink);
}

// --- Adding up

Result<void> check_same_size(const Imatrix& imatrix, const Imatrix& other) {
    for (const InputSums& theirs : other.tensors) {
        const InputSums* ours = imatrix.find(theirs.name);
        if (ours == nullptr) { continue; }
        const bool counts_fit =
            ours->counts.size() == theirs.counts.size() || ours->counts.size() == 1 || theirs.counts.size() == 1;
        if (ours->squares.size() == theirs.squares.size() && counts_fit) { continue; }
        return Error{ErrorCode::model,
                     fmt::format("has {} columns of {} matrices, but {} of {} elsewhere", theirs.squares.size(),
                                 theirs.counts.size(), ours->squares.size(), ours->counts.size()),
                     {other.file, field_of(theirs.name), {}},
                     "Add up importance matrices of one model"};
    }
    return {};
}

}  // namespace

const InputSums* Imatrix::find(std::string_view name) const {
    const auto at = std::ranges::lower_bound(tensors, name, {}, &InputSums::name);
    return at != tensors.end() && at->name == name ? &*at : nullptr;
}

double Imatrix::sensitivity_of(std::string_view name) const {
    const auto at = std::ranges::lower_bound(sensitivities, name, {}, &Sensitivity::name);
    return at != sensitivities.end() && at->name == name ? at->value : 0;
}

std::vector<float> importance_of(const InputSums& sums) {
    std::vector<float> out(sums.squares.size(), 1);
    const uint64_t n_in = sums.n_in();
    for (uint64_t i = 0; i < out.size(); i++) {
        const uint64_t count = sums.counts[i / n_in];
        if (count != 0) { out[i] = float(sums.squares[i] / double(count)); }
    }
    return out;
}

Result<Imatrix> read_imatrix(const std::string& path, uint32_t dat_chunk_size) {
    WALLABY_TRY(auto source, base::open_file(path));
    return read_imatrix(std::move(source), dat_chunk_size);
}

Result<Imatrix> read_imatrix(std::unique_ptr<base::ByteSource> source, uint32_t dat_chunk_size) {
    std::array<uint8_t, 4> magic{};
    WALLABY_OK(source->read(0, std::span(magic).first(std::min<uint64_t>(magic.size(), source->size()))));
    auto read = std::memcmp(magic.data(), "GGUF", magic.size()) == 0 ? read_gguf(std::move(source))
                                                                     : read_dat(*source, dat_chunk_size);
    if (!read.ok()) { return read; }
    sort_by_name(*read);
    if (read->tensors.empty()) { return about(read->file, "", "has no sums of any tensor"); }
    const auto twice = std::ranges::adjacent_find(read->tensors, {}, &InputSums::name);
    if (twice != read->tensors.end()) { return about(read->file, field_of(twice->name), "stands there twice"); }
    return read;
}

Result<void> write_imatrix(const Imatrix& imatrix, ImatrixFormat format, const std::string& path) {
    WALLABY_TRY(base::AtomicFile file, base::AtomicFile::create(path));
    return write_imatrix(imatrix, format, std::make_unique<base::AtomicFile>(std::move(file)));
}

Result<void> write_imatrix(const Imatrix& imatrix, ImatrixFormat format, std::unique_ptr<base::ByteSink> sink) {
    return format == ImatrixFormat::gguf ? write_gguf(imatrix, std::move(sink)) : write_dat(imatrix, *sink);
}

Result<void> add(Imatrix& imatrix, const Imatrix& other) {
    WALLABY_OK(check_same_size(imatrix, other));
    if (imatrix.tensors.empty()) {
        imatrix.sensitivities = other.sensitivities;
    } else if (!other.tensors.empty()) {
        imatrix.sensitivities.clear();
    }
    for (const InputSums& theirs : other.tensors) {
        const auto at = std::ranges::lower_bound(imatrix.tensors, theirs.name, {}, &InputSums::name);
        if (at == imatrix.tensors.end() || at->name != theirs.name) {
            imatrix.tensors.insert(at, theirs);
            continue;
        }
        for (size_t i = 0; i < theirs.squares.size(); i++) { at->squares[i] += theirs.squares[i]; }
        // One count is that of each matrix.
        if (at->counts.size() < theirs.counts.size()) { at->counts.resize(theirs.counts.size(), at->counts[0]); }
        for (size_t i = 0; i < at->counts.size(); i++) {
            at->counts[i] += theirs.counts[theirs.counts.size() == 1 ? 0 : i];
        }
    }
    if (imatrix.chunk_size == 0) { imatrix.chunk_size = other.chunk_size; }
    if (other.n_chunks != 0) {
        const uint64_t n_tokens =
            uint64_t(imatrix.n_chunks) * imatrix.chunk_size + uint64_t(other.n_chunks) * other.chunk_size;
        imatrix.n_chunks =
            uint32_t(std::min<uint64_t>((n_tokens + imatrix.chunk_size - 1) / imatrix.chunk_size, INT32_MAX));
    }
    for (const std::string& name : other.datasets) {
        if (std::ranges::find(imatrix.datasets, name) == imatrix.datasets.end()) { imatrix.datasets.push_back(name); }
    }
    return {};
}

void select(Imatrix& imatrix, std::span<const std::string> words, bool wanted) {
    std::erase_if(imatrix.tensors, [&](const InputSums& t) {
        const bool is_named =
            std::ranges::any_of(words, [&](const std::string& word) { return t.name.find(word) != std::string::npos; });
        return is_named != wanted;
    });
}

}  // namespace wallaby::convert
