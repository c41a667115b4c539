#include "convert/quantize.h"

#include <algorithm>
#include <array>

#include "base/math.h"
#include "convert/mixes.h"
#include "convert/name_pattern.h"
#include "convert/streaming.h"
#include "gguf/shards.h"

namespace wallaby::convert {
namespace {

using quant::Format;
using quant::Type;

constexpr uint64_t piece_weights = uint64_t(1) << 15;  // a few milliseconds of the slowest encoder
constexpr uint64_t round_bytes = uint64_t(2) << 20;

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

std::string place_of(const gguf::Tensor& tensor, uint64_t index) {
    return fmt::format("row {}, column {}", index / tensor.dims[0], index % tensor.dims[0]);
}

// What one thread works with, and what it counted.
struct Worker {
    std::vector<uint8_t> bytes;
    std::vector<float> in, out;
};

// Of one piece; added up in the pieces' order, so that sums do not depend on threads.
struct Errors {
    double error_squared = 0, size_squared = 0;
};

class Encoding {
  public:
    Encoding(const gguf::WeightSource& source, const QuantizePlan& plan, unsigned n_workers)
        : source_(source), plan_(plan), workers_(n_workers), errors_(plan.layout.tensors.size()) {
        for (Worker& worker : workers_) {
            worker.bytes.resize(piece_weights * sizeof(double));
            worker.in.resize(piece_weights);
            worker.out.resize(piece_weights);
        }
        for (size_t i = 0; i < errors_.size(); i++) {
            const gguf::Tensor& tensor = plan.layout.tensors[i];
            if (tensor.type == source.tensors()[i].type) { continue; }
            errors_[i].resize((tensor.n_elements() + piece_weights - 1) / piece_weights);
        }
    }

    Result<void> make(const Piece& piece, std::span<uint8_t> out, unsigned n_worker) {
        const gguf::Tensor& tensor = source_.tensors()[piece.tensor];
        const Format& from = quant::format_of(tensor.type);
        const Format& to = quant::format_of(plan_.layout.tensors[piece.tensor].type);
        const uint64_t offset = piece.first / from.block_len * from.block_bytes;
        if (from.type == to.type) { return source_.read(tensor, offset, out); }

        Worker& worker = workers_[n_worker];
        const auto bytes = std::span(worker.bytes).first(piece.n_weights / from.block_len * from.block_bytes);
        const auto in = std::span(worker.in).first(piece.n_weights);
        const auto decoded = std::span(worker.out).first(piece.n_weights);
        WALLABY_OK(source_.read(tensor, offset, bytes));
        from.decode(bytes.data(), in.data(), in.size() / from.block_len);
        if (const size_t i = base::first_not_finite(in); i < in.size()) {
            return about(source_, tensor, ErrorCode::numeric,
                         fmt::format("is {} at {}", in[i], place_of(tensor, piece.first + i)), "The file is damaged");
        }
        to.encode(in.data(), out.data(), in.size() / to.block_len, nullptr);
        to.decode(out.data(), decoded.data(), in.size() / to.block_len);
        if (const size_t i = base::first_not_finite(decoded); i < in.size()) {
            return about(source_, tensor, ErrorCode::numeric,
                         fmt::format("is {} at {}: {} does not reach that far", in[i],
                                     place_of(tensor, piece.first + i), to.name),
                         "Use BF16 or F32");
        }
        Errors errors;
        for (size_t i = 0; i < in.size(); i++) {
            const double x = in[i], off = double(decoded[i]) - x;
            errors.error_squared += off * off;
            errors.size_squared += x * x;
        }
        errors_[piece.tensor][piece.first / piece_weights] = errors;
        return {};
    }

    Errors of_tensor(size_t i) const {
        Errors sum;
        for (const Errors& e : errors_[i]) {
            sum.error_squared += e.error_squared;
            sum.size_squared += e.size_squared;
        }
        return sum;
    }

  private:
    const gguf::WeightSource& source_;
    const QuantizePlan& plan_;
    std::vector<Worker> workers_;
    std::vector<std::vector<Errors>> errors_;  // of each tensor's pieces: 16 bytes for 32,768 weights
};

QuantizedType& entry_of(std::vector<QuantizedType>& types, Type type) {
    const auto at = std::ranges::lower_bound(types, type, {}, &QuantizedType::type);
    if (at != types.end() && at->type == type) { return *at; }
    return *types.insert(at, {type});
}

constexpr std::string_view output_name = "output.weight", embedding_name = "token_embd.weight";

// What the options ask of each tensor in the place of the mix's choice.
Result<std::vector<std::optional<Type>>> asked_types(const gguf::WeightSource& source,
                                                     std::span<const TensorShape> shapes,
                                                     const QuantizeOptions& options) {
    std::vector<std::optional<Type>> asked(shapes.size());
    std::vector<NamePattern> patterns;
    for (const TensorRule& rule : options.rules) {
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
    WALLABY_TRY(Types types, choose_types(name, shapes, {.pure = options.pure, .asked = asked}));
    const bool to_f32 = type == Type::f32;
    for (size_t i = 0; i < shapes.size(); i++) {
        const gguf::Tensor& tensor = source.tensors()[i];
        const bool stays = (!types.is_matrix[i] && (!to_f32 || is_integer(tensor.type))) ||
                           (options.leave_output && tensor.name == output_name);
        if (stays) { types.of[i] = tensor.type; }
    }
    return types;
}

// Every tensor's own type, but for those that are asked for.
Result<Types> types_that_stay(const gguf::WeightSource& source, const QuantizeOptions& options) {
    const std::vector<TensorShape> shapes = shapes_of(source);
    WALLABY_TRY(const auto asked, asked_types(source, shapes, options));
    Types types;
    for (size_t i = 0; i < shapes.size(); i++) {
        const Type own = source.tensors()[i].type;
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
    WALLABY_TRY(QuantizePlan plan, plan_types(source, types.of, stays ? std::nullopt : std::optional(types.file_type),
                                              options.allow_requantize, file));
    plan.n_replaced = types.n_replaced;
    return plan;
}

Result<QuantizePlan> plan_types(const gguf::WeightSource& source, std::span<const Type> types,
                                std::optional<uint32_t> file_type, bool allow_requantize, const std::string& file) {
    if (source.tensors().empty()) {
        return Error{ErrorCode::argument,
                     "has no tensors to quantise",
                     {source.metadata().file(), "", {}},
                     "A file of a vocabulary alone has nothing to gain"};
    }
    QuantizePlan plan;
    plan.draft.copy(source.metadata());
    for (const std::string_view key : gguf::split_keys) { plan.draft.remove(key); }
    if (file_type) { plan.draft.set("general.file_type", *file_type); }
    plan.draft.set("general.quantization_version", 2u);
    for (size_t i = 0; i < types.size(); i++) {
        const gguf::Tensor& tensor = source.tensors()[i];
        const Format& to = quant::format_of(types[i]);
        WALLABY_OK(check(source, tensor, to, allow_requantize));
        const TensorShape shape = shape_of(tensor);
        plan.draft.tensor(tensor.name, to.type, shape.dims);
        const bool is_new = to.type != tensor.type;
        plan.n_wanting_importance += is_new && wants_importance(shape, to.type, file_type.value_or(0)) ? 1 : 0;
    }
    WALLABY_TRY(plan.layout, plan.draft.layout(file));
    return plan;
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

std::vector<QuantizedType> types_of(const QuantizePlan& plan) {
    std::vector<QuantizedType> types;
    for (const gguf::Tensor& tensor : plan.layout.tensors) {
        QuantizedType& entry = entry_of(types, tensor.type);
        entry.n_tensors++;
        entry.n_bytes += tensor.n_bytes;
    }
    return types;
}

Result<std::vector<QuantizedType>> quantize(const gguf::WeightSource& source, const QuantizePlan& plan,
                                            gguf::SetWriter writer, threads::Pool& pool, const base::Progress& progress,
                                            const std::stop_token& stop) {
    Encoding encoding(source, plan, pool.size());
    const auto make = [&](const Piece& piece, std::span<uint8_t> out, unsigned worker) {
        return encoding.make(piece, out, worker);
    };
    WALLABY_OK(write_tensors(std::move(writer), {piece_weights, round_bytes}, make, pool, progress, stop));
    std::vector<QuantizedType> types = types_of(plan);
    for (size_t i = 0; i < plan.layout.tensors.size(); i++) {
        const Errors errors = encoding.of_tensor(i);
        QuantizedType& entry = entry_of(types, plan.layout.tensors[i].type);
        entry.error_squared += errors.error_squared;
        entry.size_squared += errors.size_squared;
    }
    return types;
}

}  // namespace wallaby::convert
