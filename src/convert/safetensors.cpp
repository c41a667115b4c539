#include "convert/safetensors.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "base/checked.h"
#include "convert/json_events.h"
#include "convert/json_file.h"
#include "gguf/rules.h"

namespace wallaby::convert {
namespace {

using quant::Type;
using Kind = JsonEvent::Kind;

constexpr uint64_t length_bytes = 8;
constexpr uint64_t max_name_bytes = 255;
constexpr size_t max_dims = 8;
constexpr uint64_t max_index_bytes = uint64_t(64) << 20;  // 10 MB with 70,000 experts
constexpr size_t max_files = 512;                         // each is held open; the largest models have 200

// The format's names. Only those that a weight can have here have a format.
constexpr std::array stored_types{
    StoredType{"BF16", 2, Type::bf16},
    StoredType{"BOOL", 1},
    StoredType{"F16", 2, Type::f16},
    StoredType{"F32", 4, Type::f32},
    StoredType{"F64", 8},
    StoredType{"F8_E4M3", 1},
    StoredType{"F8_E5M2", 1},
    StoredType{"F8_E8M0", 1},
    StoredType{"I16", 2},
    StoredType{"I32", 4},
    StoredType{"I64", 8},
    StoredType{"I8", 1},
    StoredType{"U16", 2},
    StoredType{"U32", 4},
    StoredType{"U64", 8},
    StoredType{"U8", 1},
};

Error error_of(const std::string& file, std::string_view tensor, std::string what, ErrorCode code = ErrorCode::format,
               std::optional<uint64_t> offset = {}) {
    return {code,
            std::move(what),
            {file, tensor.empty() ? "" : fmt::format("tensor '{:.{}}'", tensor, max_name_bytes), offset},
            ""};
}

// The header's events, made into tensors.
class HeaderReader {
  public:
    HeaderReader(const base::ByteSource& file, uint64_t data_offset) : file_(file), data_offset_(data_offset) {}

    Result<void> take(const JsonEvent& e) {
        if (e.path.empty()) {
            if (e.kind == Kind::object || e.kind == Kind::end_object) { return {}; }
            return error_of(file_.name(), "", "has a header that is no JSON object");
        }
        if (e.path[0] == "__metadata__") { return {}; }
        if (e.path.size() == 1) { return take_tensor(e); }
        return e.path.size() == 2 ? take_field(e) : Result<void>();
    }

    // Sorted by name.
    Result<std::vector<StoredTensor>> finish() {
        WALLABY_OK(check_places());
        std::ranges::sort(tensors_, {}, &StoredTensor::name);
        const auto twice = std::ranges::adjacent_find(tensors_, {}, &StoredTensor::name);
        if (twice != tensors_.end()) { return error_of(file_.name(), twice->name, "stands twice in the header"); }
        return std::move(tensors_);
    }

  private:
    Error refuse(std::string_view tensor, std::string what) const {
        return error_of(file_.name(), tensor, std::move(what));
    }

    Result<void> take_tensor(const JsonEvent& e) {
        const std::string& name = e.path[0];
        if (e.kind == Kind::object) {
            if (tensors_.size() == max_stored_tensors) {
                return refuse("", fmt::format("has more than {} tensors", max_stored_tensors));
            }
            if (auto wrong = gguf::name_problem("a tensor's name", name, max_name_bytes)) {
                return refuse("", fmt::format("has {}", *wrong));
            }
            tensor_ = {};
            tensor_.name = name;
            shape_.reset();
            places_.reset();
            return {};
        }
        if (e.kind != Kind::end_object) { return refuse(name, "is described by something other than an object"); }
        return finish_tensor();
    }

    Result<void> take_field(const JsonEvent& e) {
        const std::string& name = e.path[0];
        const std::string& field = e.path[1];
        if (field == "dtype") {
            const auto* const type = std::ranges::find(stored_types, e.text, &StoredType::name);
            if (e.kind != Kind::text || type == stored_types.end()) {
                return refuse(name, fmt::format("has the dtype '{:.32}', which is not known", e.text));
            }
            if (tensor_.type != nullptr) { return refuse(name, "has two of 'dtype'"); }
            tensor_.type = type;
            return {};
        }
        if (field != "shape" && field != "data_offsets") { return {}; }  // later versions may have more
        auto& numbers = field == "shape" ? shape_ : places_;
        switch (e.kind) {
            case Kind::array:
                if (numbers) { return refuse(name, fmt::format("has two of '{}'", field)); }
                numbers.emplace();
                return {};
            case Kind::natural:
                if (numbers && numbers->size() < max_dims) {
                    numbers->push_back(e.natural);
                    return {};
                }
                break;
            case Kind::end_array: return {};
            default: break;
        }
        return refuse(name, fmt::format("has a '{}' that is no list of at most {} natural numbers", field, max_dims));
    }

    Result<void> finish_tensor() {
        const std::string& name = tensor_.name;
        if (tensor_.type == nullptr || !shape_ || !places_ || places_->size() != 2) {
            return refuse(name, "lacks one of 'dtype', 'shape' and 'data_offsets' with two numbers");
        }
        uint64_t n_bytes = tensor_.type->n_bytes;
        for (const uint64_t n : *shape_) {
            const auto product = base::checked_mul(n_bytes, n);
            if (!product) { return refuse(name, "has a shape whose size in bytes overflows"); }
            n_bytes = *product;
        }
        const uint64_t begin = places_->front(), end = places_->back(), n_data = file_.size() - data_offset_;
        if (begin > end || end > n_data) {
            return refuse(name, fmt::format("lies at {} to {} of {} bytes of data", begin, end, n_data));
        }
        if (end - begin != n_bytes) {
            return refuse(name, fmt::format("has {} bytes, but its shape and dtype take {}", end - begin, n_bytes));
        }
        tensor_.dims = *std::move(shape_);
        tensor_.offset = data_offset_ + begin;
        tensor_.n_bytes = n_bytes;
        tensor_.file = &file_;
        tensors_.push_back(std::move(tensor_));
        return {};
    }

    // One behind the other, from the first byte of the data to the last.
    Result<void> check_places() {
        std::ranges::sort(tensors_, [](const StoredTensor& a, const StoredTensor& b) {
            return std::pair(a.offset, a.n_bytes) < std::pair(b.offset, b.n_bytes);
        });
        uint64_t end = data_offset_;
        for (const StoredTensor& tensor : tensors_) {
            if (tensor.offset != end) {
                return error_of(file_.name(), tensor.name,
                                tensor.offset < end ? "overlaps another tensor" : "leaves a gap before it",
                                ErrorCode::format, tensor.offset);
            }
            end += tensor.n_bytes;
        }
        if (end == file_.size()) { return {}; }
        return error_of(file_.name(), "", fmt::format("has {} bytes that belong to no tensor", file_.size() - end),
                        ErrorCode::format, end);
    }

    const base::ByteSource& file_;
    uint64_t data_offset_;
    StoredTensor tensor_;
    std::optional<std::vector<uint64_t>> shape_, places_;
    std::vector<StoredTensor> tensors_;
};

// "model.safetensors.index.json": which file each tensor is in.
using Index = std::map<std::string, std::string, std::less<>>;

bool is_plain_name(std::string_view name) {
    return name.size() <= max_name_bytes && name.ends_with(".safetensors") &&
           name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

Result<Index> read_index(const std::string& path) {
    WALLABY_TRY(const std::string text, read_text_file(path, max_index_bytes));
    Index index;
    const auto take = [&](const JsonEvent& e) -> Result<void> {
        if (e.path.empty() || e.path[0] != "weight_map") { return {}; }
        if (e.path.size() == 1 && (e.kind == Kind::object || e.kind == Kind::end_object)) { return {}; }
        if (e.path.size() != 2 || e.kind != Kind::text || !is_plain_name(e.text)) {
            return error_of(path, e.path.back(),
                            fmt::format("'{:.64}' does not name a .safetensors file beside the index", e.text));
        }
        if (!index.emplace(e.path[1], e.text).second) { return error_of(path, e.path[1], "stands twice"); }
        return {};
    };
    WALLABY_OK(read_json(text, path, 0, take));
    if (index.empty()) { return error_of(path, "", "has no 'weight_map' that names files"); }
    return index;
}

Result<void> add_file(Safetensors& all, const std::string& path) {
    WALLABY_TRY(auto file, base::open_file(path));
    WALLABY_TRY(std::vector<StoredTensor> tensors, read_safetensors(*file));
    all.files.push_back(std::move(file));
    std::ranges::move(tensors, std::back_inserter(all.tensors));
    return {};
}

Result<Safetensors> open_index(const std::string& directory, const std::string& index_path) {
    WALLABY_TRY(const Index index, read_index(index_path));
    std::map<std::string, size_t> files;  // a file's name: its place in all.files
    Safetensors all;
    for (const auto& [tensor, name] : index) {
        if (!files.try_emplace(name, files.size()).second) { continue; }
        if (files.size() > max_files) {
            return error_of(index_path, "", fmt::format("names more than {} files", max_files));
        }
        WALLABY_OK(add_file(all, fmt::format("{}/{}", directory, name)));
    }
    std::ranges::sort(all.tensors, {}, &StoredTensor::name);
    const auto twice = std::ranges::adjacent_find(all.tensors, {}, &StoredTensor::name);
    if (twice != all.tensors.end()) {
        return error_of(twice->file->name(), twice->name,
                        fmt::format("stands in {} too", std::next(twice)->file->name()));
    }
    for (const auto& [tensor, name] : index) {
        const StoredTensor* const found = all.find(tensor);
        const base::ByteSource* const file = all.files[files[name]].get();
        if (found == nullptr || found->file != file) {
            return error_of(file->name(), tensor,
                            fmt::format("is missing, though {} says that it is here", index_path));
        }
    }
    return all;
}

constexpr std::string_view pickle_reason =
    "a PyTorch pickle: a program that runs when it is read, and could do anything";
constexpr std::string_view pickle_remedy =
    "Save the model as safetensors where you trust it: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT)";

bool is_there(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

// Why a directory has no weights that can be read.
Error no_weights(const std::string& directory) {
    std::error_code failed;
    for (auto at = std::filesystem::directory_iterator(directory, failed); !failed && at != decltype(at)();
         at.increment(failed)) {
        const std::string name = at->path().filename().string();
        if (name.ends_with(".pt") || name.ends_with(".pth") || name.starts_with("pytorch_model")) {
            return {ErrorCode::unsupported,
                    fmt::format("has its weights in {:.64}, {}", name, pickle_reason),
                    {directory, "", {}},
                    std::string(pickle_remedy)};
        }
    }
    return {ErrorCode::format,
            "has neither model.safetensors nor model.safetensors.index.json",
            {directory, "", {}},
            "Name the directory of a checkpoint"};
}

}  // namespace

std::string StoredTensor::shape() const { return fmt::format("[{}]", fmt::join(dims, ", ")); }

Result<std::vector<StoredTensor>> read_safetensors(const base::ByteSource& file) {
    std::array<uint8_t, length_bytes> length{};
    if (file.size() < length_bytes) {
        return error_of(file.name(), "", fmt::format("has {} bytes: too short for a safetensors file", file.size()));
    }
    WALLABY_OK(file.read(0, length));
    const auto n_header = base::load_le<uint64_t>(length.data());
    if (n_header > max_safetensors_header || n_header > file.size() - length_bytes) {
        WALLABY_OK(refuse_pickle(file));
        return error_of(
            file.name(), "",
            fmt::format("says that its header has {} bytes: it is cut short or no safetensors file", n_header),
            ErrorCode::format, 0);
    }
    std::string header(n_header, '\0');
    WALLABY_OK(file.read(length_bytes, {reinterpret_cast<uint8_t*>(header.data()), header.size()}));
    HeaderReader reader(file, length_bytes + n_header);
    WALLABY_OK(read_json(header, file.name(), length_bytes, [&](const JsonEvent& e) { return reader.take(e); }));
    return reader.finish();
}

const StoredTensor* Safetensors::find(std::string_view name) const {
    const auto at = std::ranges::lower_bound(tensors, name, std::less<>(), &StoredTensor::name);
    return at == tensors.end() || at->name != name ? nullptr : &*at;
}

Result<void> refuse_pickle(const base::ByteSource& file) {
    std::array<uint8_t, 4> magic{};
    if (file.size() < magic.size()) { return {}; }
    WALLABY_OK(file.read(0, magic));
    constexpr std::array<uint8_t, 4> zip = {'P', 'K', 3, 4};
    // The opcode PROTO with its version, and an opcode. A size that begins so would be above 65,536.
    const bool is_bare = magic[0] == 0x80 && magic[1] >= 2 && magic[1] <= 5 && magic[2] != 0;
    if (magic != zip && !is_bare) { return {}; }
    return Error{
        ErrorCode::unsupported, fmt::format("is {}", pickle_reason), {file.name(), "", {}}, std::string(pickle_remedy)};
}

Result<Safetensors> open_safetensors(const std::string& path) {
    std::error_code ignored;
    std::string file = path;
    if (std::filesystem::is_directory(path, ignored)) {
        const std::string index = path + "/model.safetensors.index.json";
        if (is_there(index)) { return open_index(path, index); }
        file = path + "/model.safetensors";
        if (!is_there(file)) { return no_weights(path); }
    }
    Safetensors all;
    WALLABY_OK(add_file(all, file));
    return all;
}

}  // namespace wallaby::convert
