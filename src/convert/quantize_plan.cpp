#include "convert/quantize_plan.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "convert/mixes.h"
#include "convert/name_pattern.h"
#include "gguf/shards.h"

namespace wallaby::convert {
namespace {

using quant::Format;
using quant::Type;

bool is_float(Type type) { return type == Type::f32 || type == Type::f16 || type == Type::bf16 || type == Type::f64; }
bool is_integer(Type type) { return type >= Type::i8 && type <= Type::i64; }

std::string field_of(const gguf::Tensor& tensor) { return fmt::format("tensor '{}'", tensor.name); }

Error about(const gguf::WeightSource& source, const gguf::Tensor& tensor, ErrorCode code, std::string what,
            std::string remedy) {
    return {code, std::move(what), {source.file_of(tensor), field_of(tensor), {}}, std::move(remedy)};
}

// Nothing, or why this tensor cannot become a `to`.
Result<void> check(const gguf::WeightSource& source, const gguf::Tensor& tensor, const Format& to,
                   bool allow_requantize) {
    const Format& from = quant::format_of(tensor.type);
    if (from.type == to.type) { return {}; }
    if (is_integer(from.type)) {
        return about(source, tensor, ErrorCode::unsupported,
                     fmt::format("is {}: integers are no weights to quantise", from.name), "");
    }
    if (to.encode == nullptr) {
        return about(source, tensor, ErrorCode::unsupported,
                     fmt::format("would become {}, which this build cannot encode", to.name),
                     fmt::format("Use one of {}", fmt::join(quantize_names(), ", ")));
    }
    // F32 holds every decoded weight as it is.
    if (!is_float(from.type) && to.type != Type::f32 && !allow_requantize) {
        return about(source, tensor, ErrorCode::argument,
                     fmt::format("is {} already: quantising it again loses more than {} alone", from.name, to.name),
                     "Start from an F32, F16 or BF16 file, or use --allow-requantize");
    }
    return {};
}

// The tensor's factors; empty where the matrix does not name it.
Result<std::vector<float>> importance_for(const gguf::WeightSource& source, const gguf::Tensor& tensor,
                                          const Imatrix& imatrix) {
    const InputSums* sums = imatrix.find(tensor.name);
    if (sums == nullptr) { return std::vector<float>(); }
    const uint64_t n_in = tensor.dims[0], n_matrices = tensor.dims[2] * tensor.dims[3];
    if (sums->squares.size() != n_in * n_matrices || (sums->counts.size() != 1 && sums->counts.size() != n_matrices)) {
        return about(source, tensor, ErrorCode::model,
                     fmt::format("has {} columns of {} matrices, but {} of {} in {}", n_in * n_matrices, n_matrices,
                                 sums->squares.size(), sums->counts.size(), imatrix.file),
                     "Use the importance matrix of this model");
    }
    std::vector<float> factors = importance_of(*sums);
    // How they compare is all that matters: a power of two keeps sums of them from overflowing.
    int exponent = 0;
    (void)std::frexp(std::ranges::max(factors), &exponent);
    for (float& f : factors) { f = std::ldexp(f, -exponent); }
    return factors;
}

// Names and types of keys are llama.cpp's.
void set_keys(gguf::Draft& draft, const Imatrix& imatrix) {
    draft.set("quantize.imatrix.file", imatrix.file);
    if (!imatrix.datasets.empty()) { draft.set("quantize.imatrix.dataset", imatrix.datasets[0]); }
    draft.set("quantize.imatrix.entries_count", int32_t(imatrix.tensors.size()));
    draft.set("quantize.imatrix.chunks_count", int32_t(imatrix.n_chunks));
}

constexpr std::string_view output_name = "output.weight", embedding_name = "token_embd.weight";

// What the options ask of each tensor in the place of the mix's choice.
Result<std::vector<std::optional<Type>>> asked_types(const gguf::WeightSource& source,
                                                     std::span<const TensorShape> shapes,
                                                     const QuantizeOptions& options) {
    std::vector<std::optional<Type>> asked(shapes.size());
    std::vector<NamePattern> patterns;
    for (const TypeRule& rule : options.rules) {
        WALLABY_TRY(NamePattern pattern, NamePattern::compile(rule.pattern));
        patterns.push_back(std::move(pattern));
    }
    std::vector<bool> fits(patterns.size());
    const bool tied = source.find(output_name) == nullptr;
    for (size_t i = 0; i < shapes.size(); i++) {
        if (!is_matrix(shapes[i])) { continue; }
        for (size_t r = 0; r < patterns.size(); r++) {
            WALLABY_TRY(const bool is_in, patterns[r].is_in(shapes[i].name));
            fits[r] = fits[r] || is_in;
            if (is_in && !asked[i]) { asked[i] = options.rules[r].type; }
        }
        const bool is_embedding = shapes[i].name == embedding_name;
        const bool is_output = shapes[i].name == output_name || (is_embedding && tied);
        if (is_output && options.output) { asked[i] = options.output; }
        if (is_embedding && options.embedding) { asked[i] = options.embedding; }
    }
    if (const auto none = std::ranges::find(fits, false); none != fits.end()) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' fits no matrix", options.rules[size_t(none - fits.begin())].pattern),
                     {source.metadata().file(), "--tensor-type", {}},
                     "wallaby inspect shows the tensors' names"};
    }
    return asked;
}

// Too few bits to spend them alike: llama.cpp's quantiser refuses them without an importance matrix, and so it does for
// the Q2_K of its mix Q2_K_S.
bool wants_importance(const TensorShape& shape, Type type, uint32_t file_type) {
    constexpr std::array types = {Type::iq1_s, Type::iq1_m, Type::iq2_xxs, Type::iq2_xs, Type::iq2_s, Type::iq3_xxs};
    constexpr uint32_t q2_k_s = 21;
    if (shape.name == output_name || shape.name == embedding_name) { return false; }
    return std::ranges::find(types, type) != types.end() || (type == Type::q2_k && file_type == q2_k_s);
}

std::vector<TensorShape> shapes_of(const gguf::WeightSource& source) {
    std::vector<TensorShape> shapes;
    for (const gguf::Tensor& tensor : source.tensors()) { shapes.push_back(shape_of(tensor)); }
    return shapes;
}

Type own_type(const gguf::WeightSource& source, const QuantizeOptions& options, size_t i) {
    return options.own_types.empty() ? source.tensors()[i].type : options.own_types[i];
}

// A type for each tensor, by a name of mixes.h.
Result<Types> types_by_name(const gguf::WeightSource& source, std::string_view name, const QuantizeOptions& options) {
    const auto type = main_type(name);
    const auto refuse = [&](std::string what) {
        return Error{
            ErrorCode::argument, std::move(what), {}, fmt::format("Use one of {}", fmt::join(quantize_names(), ", "))};
    };
    if (!type) { return refuse(fmt::format("'{}' is no type that weights can have", name)); }
    if (quant::format_of(*type).encode == nullptr) {  // even where rows would make every matrix something else
        return refuse(fmt::format("{} has no encoder in this build", quant::format_of(*type).name));
    }
    const std::vector<TensorShape> shapes = shapes_of(source);
    WALLABY_TRY(const auto asked, asked_types(source, shapes, options));
    WALLABY_TRY(Types types,
                choose_types(name, shapes,
                             {.pure = options.pure, .has_importance = options.imatrix != nullptr, .asked = asked}));
    const bool to_f32 = type == Type::f32;
    for (size_t i = 0; i < shapes.size(); i++) {
        const gguf::Tensor& tensor = source.tensors()[i];
        const bool stays = (!types.is_matrix[i] && (!to_f32 || is_integer(tensor.type))) ||
                           (options.leave_output && tensor.name == output_name);
        if (stays) { types.of[i] = own_type(source, options, i); }
    }
    return types;
}

// Every tensor's own type, but for those that are asked for.
Result<Types> types_that_stay(const gguf::WeightSource& source, const QuantizeOptions& options) {
    const std::vector<TensorShape> shapes = shapes_of(source);
    WALLABY_TRY(const auto asked, asked_types(source, shapes, options));
    Types types;
    for (size_t i = 0; i < shapes.size(); i++) {
        const Type own = own_type(source, options, i);
        const Type wanted = asked[i].value_or(own);
        types.of.push_back(wanted == own ? own : for_rows_of(shapes[i].dims[0], wanted));
        types.n_replaced += types.of.back() != wanted ? 1 : 0;
    }
    return types;
}

}  // namespace

std::vector<std::string_view> quantize_names() {
    std::vector<std::string_view> names;
    for (const std::string_view name : type_names()) {
        if (quant::format_of(*main_type(name)).encode != nullptr) { names.push_back(name); }
    }
    names.push_back(copy_name);
    return names;
}

Result<QuantizePlan> plan_quantize(const gguf::WeightSource& source, std::string_view type,
                                   const QuantizeOptions& options, const std::string& file) {
    const bool stays = same_name(type, copy_name);
    WALLABY_TRY(const Types types, stays ? types_that_stay(source, options) : types_by_name(source, type, options));
    const TypesOptions for_all{options.allow_requantize, options.imatrix,
                               stays ? std::nullopt : std::optional(types.file_type)};
    WALLABY_TRY(QuantizePlan plan, plan_types(source, types.of, for_all, file));
    plan.n_replaced = types.n_replaced;
    WALLABY_OK(check_importance(source, plan, options.imatrix));
    return plan;
}

Result<QuantizePlan> plan_types(const gguf::WeightSource& source, std::span<const Type> types,
                                const TypesOptions& options, const std::string& file) {
    if (source.tensors().empty()) {
        return Error{ErrorCode::argument,
                     "has no tensors to quantise",
                     {source.metadata().file(), "", {}},
                     "A file of a vocabulary alone has nothing to gain"};
    }
    QuantizePlan plan;
    plan.draft.copy(source.metadata());
    for (const std::string_view key : gguf::split_keys) { plan.draft.remove(key); }
    if (options.file_type) { plan.draft.set("general.file_type", *options.file_type); }
    plan.draft.set("general.quantization_version", 2u);
    if (options.imatrix != nullptr) { set_keys(plan.draft, *options.imatrix); }
    plan.importance.resize(types.size());
    for (size_t i = 0; i < types.size(); i++) {
        const gguf::Tensor& tensor = source.tensors()[i];
        const Format& to = quant::format_of(types[i]);
        WALLABY_OK(check(source, tensor, to, options.allow_requantize));
        const TensorShape shape = shape_of(tensor);
        plan.draft.tensor(tensor.name, to.type, shape.dims);
        if (to.type == tensor.type || to.block_len == 1) { continue; }
        if (options.imatrix != nullptr) {
            WALLABY_TRY(plan.importance[i], importance_for(source, tensor, *options.imatrix));
        }
        const bool is_weighted = !plan.importance[i].empty();
        plan.n_unweighted += options.imatrix == nullptr || is_weighted ? 0 : 1;
        const bool wants_it = wants_importance(shape, to.type, options.file_type.value_or(0));
        plan.n_wanting_importance += wants_it && !is_weighted ? 1 : 0;
    }
    WALLABY_TRY(plan.layout, plan.draft.layout(file));
    return plan;
}

Result<void> check_importance(const gguf::WeightSource& source, const QuantizePlan& plan, const Imatrix* imatrix) {
    const auto is_weighted = [](const std::vector<float>& factors) { return !factors.empty(); };
    if (plan.n_unweighted == 0 || std::ranges::any_of(plan.importance, is_weighted)) { return {}; }
    return Error{ErrorCode::model,
                 fmt::format("names none of the matrices of {} that are quantised", source.metadata().file()),
                 {imatrix->file, "", {}},
                 "Use the importance matrix of this model"};
}

std::vector<Type> tensor_types(std::span<const gguf::Tensor> tensors) {
    std::vector<Type> types;
    for (const gguf::Tensor& tensor : tensors) { types.push_back(tensor.type); }
    return types;
}

std::vector<Type> possible_types(const gguf::Tensor& tensor, bool allow_requantize) {
    std::vector<Type> types;
    const bool is_given = is_matrix(shape_of(tensor)) && !is_integer(tensor.type);
    const bool is_fresh = is_float(tensor.type) || allow_requantize;
    for (const Format& format : quant::formats()) {
        const bool can_be = is_given && (is_fresh || format.type == Type::f32) && is_weight_type(format.type) &&
                            format.encode != nullptr && tensor.dims[0] % format.block_len == 0;
        if (can_be || format.type == tensor.type) { types.push_back(format.type); }
    }
    return types;
}

}  // namespace wallaby::convert
