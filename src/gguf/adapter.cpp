#include "gguf/adapter.h"

#include <cmath>

#include "base/math.h"

namespace wallaby::gguf {
namespace {

constexpr std::string_view suffix_a = ".lora_a", suffix_b = ".lora_b";
// Beyond any adapter's: products with more terms than this are no shortcut.
constexpr uint64_t max_rank = 1u << 16;

Error about(const WeightSource& file, const Tensor& tensor, ErrorCode code, std::string what, std::string remedy = "") {
    return {code,
            std::move(what),
            {file.file_of(tensor), fmt::format("tensor '{}'", tensor.name), tensor.offset},
            std::move(remedy)};
}

Result<void> check_kind(const Metadata& metadata, const Metadata& base) {
    WALLABY_TRY(const std::string_view type, metadata.string_or("general.type", ""));
    if (type != "adapter") {
        return metadata.error(
            ErrorCode::model, "general.type",
            type.empty() ? "is missing: the file is no adapter" : "does not say that the file is an adapter",
            "Give a model's file with -m");
    }
    WALLABY_TRY(const std::string_view kind, metadata.string("adapter.type"));
    if (kind != "lora") {
        return metadata.error(ErrorCode::unsupported, "adapter.type",
                              fmt::format("is '{}': only adapters of type 'lora' are implemented", kind.substr(0, 40)));
    }
    if (metadata.has("adapter.alora.invocation_tokens")) {
        return metadata.error(ErrorCode::unsupported, "adapter.alora.invocation_tokens",
                              "is there: adapters that begin at certain tokens (aLoRA) are not implemented");
    }
    WALLABY_TRY(const std::string_view architecture, metadata.string("general.architecture"));
    WALLABY_TRY(const std::string_view of_base, base.string("general.architecture"));
    if (architecture != of_base) {
        return metadata.error(
            ErrorCode::model, "general.architecture",
            fmt::format("is '{}', but the model's is '{}'", architecture.substr(0, 40), of_base.substr(0, 40)),
            "Use the model that the adapter was trained for");
    }
    return {};
}

Result<Factor> read_factor(const WeightSource& file, const Tensor& tensor) {
    Factor out{tensor.type, tensor.dims[0], {}};
    WALLABY_TRY(const std::vector<float> values, read_floats(file, tensor, tensor.n_elements()));
    if (const size_t i = base::first_not_finite(values); i < values.size()) {
        return about(file, tensor, ErrorCode::numeric,
                     fmt::format("is {} at row {}, column {}", values[i], i / out.width, i % out.width),
                     "The file is damaged");
    }
    if (tensor.type == quant::Type::f32 || tensor.type == quant::Type::f16 || tensor.type == quant::Type::bf16) {
        out.bytes.resize(tensor.n_bytes);
        WALLABY_OK(file.read(tensor, 0, out.bytes));
        return out;
    }
    out.type = quant::Type::f32;
    const auto* const bytes = reinterpret_cast<const uint8_t*>(values.data());
    out.bytes.assign(bytes, bytes + values.size() * sizeof(float));
    return out;
}

// a and b: of one matrix, of one file.
Result<LowRank> read_change(const WeightSource& file, const Tensor& a, const Tensor& b, const Tensor& matrix) {
    if (a.dims[1] != b.dims[0]) {
        return about(file, a, ErrorCode::model,
                     fmt::format("is {}, which '{}' of {} cannot follow: {} is no rank of both", a.shape(), b.name,
                                 b.shape(), a.dims[1]),
                     "Both are transposed, as old tools wrote them: convert the adapter anew");
    }
    const auto fits = [&](uint64_t n_in, uint64_t n_out) {
        return a.dims[0] == n_in && b.dims[1] == n_out && a.dims[2] == matrix.dims[2] && b.dims[2] == matrix.dims[2] &&
               a.dims[3] == matrix.dims[3] && b.dims[3] == matrix.dims[3];
    };
    if (!fits(matrix.dims[0], matrix.dims[1])) {
        return about(file, a, ErrorCode::model,
                     fmt::format("is {} and '{}' is {}, but the model's matrix is {}", a.shape(), b.name, b.shape(),
                                 matrix.shape()),
                     "Use the model that the adapter was trained for");
    }
    if (a.dims[1] > max_rank) {
        return about(file, a, ErrorCode::model, fmt::format("has a rank of {}, beyond {}", a.dims[1], max_rank));
    }
    LowRank change{uint32_t(a.dims[1]), matrix.dims[0], matrix.dims[1], matrix.dims[2] * matrix.dims[3], {}, {}};
    WALLABY_TRY(change.a, read_factor(file, a));
    WALLABY_TRY(change.b, read_factor(file, b));
    return change;
}

}  // namespace

void Factor::decode(uint64_t first, uint64_t n, float* out) const {
    quant::format_of(type).decode(row(first), out, n * width);
}

Result<std::unique_ptr<Adapter>> Adapter::open(const std::string& path, const WeightSource& base) {
    WALLABY_TRY(const std::unique_ptr<WeightSource> file, open_gguf(path));
    return read(*file, base);
}

Result<std::unique_ptr<Adapter>> Adapter::read(const WeightSource& file, const WeightSource& base) {
    WALLABY_OK(check_kind(file.metadata(), base.metadata()));
    std::unique_ptr<Adapter> adapter(new Adapter());
    adapter->file_ = file.metadata().file();
    constexpr std::string_view alpha = "adapter.lora.alpha";
    WALLABY_TRY(adapter->alpha_, file.metadata().number_or(alpha, 0));
    if (!std::isfinite(adapter->alpha_)) {
        return file.metadata().error(ErrorCode::model, alpha, fmt::format("is {}, no scale", adapter->alpha_));
    }
    for (const Tensor& tensor : file.tensors()) {
        const std::string_view name = tensor.name;
        const bool is_a = name.ends_with(suffix_a);
        if (!is_a && !name.ends_with(suffix_b)) {
            return about(file, tensor, ErrorCode::unsupported,
                         "is no factor of a matrix: its name ends neither in .lora_a nor in .lora_b");
        }
        const std::string of(name.substr(0, name.size() - suffix_a.size()));
        const Tensor* const partner = file.find(of + std::string(is_a ? suffix_b : suffix_a));
        if (partner == nullptr) {
            return about(file, tensor, ErrorCode::model,
                         fmt::format("has no partner '{}{}'", of, is_a ? suffix_b : suffix_a), "The file is damaged");
        }
        if (!is_a) { continue; }
        const Tensor* const matrix = base.find(of);
        if (matrix == nullptr) {
            return about(file, tensor, ErrorCode::model, fmt::format("is of '{}', which the model does not have", of),
                         "Use the model that the adapter was trained for");
        }
        if (of == "token_embd.weight") {
            return about(file, tensor, ErrorCode::unsupported, "changes the token embedding, which is not implemented");
        }
        WALLABY_TRY(LowRank change, read_change(file, tensor, *partner, *matrix));
        adapter->changes_.emplace(of, std::move(change));
    }
    if (adapter->changes_.empty()) {
        return Error{ErrorCode::model, "changes no matrix", {adapter->file_, "", {}}, "The file is damaged"};
    }
    return adapter;
}

uint64_t Adapter::n_bytes() const {
    uint64_t n = 0;
    for (const auto& [name, change] : changes_) { n += change.a.bytes.size() + change.b.bytes.size(); }
    return n;
}

}  // namespace wallaby::gguf
