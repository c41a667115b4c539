#include "models/builder.h"

#include <algorithm>

namespace wallaby::models {

Builder::Builder(const gguf::WeightSource& source, const Options& options, std::string_view architecture)
    : source_(source), options_(options), architecture_(architecture) {
    model_.family = architecture_;
    model_.programs.push_back({"main", {}, {}, ops::none});
}

void Builder::problem(Error error) {
    // Enough to repair a file by; a hostile one must not fill memory with them.
    if (problems_.size() < 100) { problems_.push_back(std::move(error)); }
}

Result<ops::Model> Builder::finish() {
    if (!failed()) {
        for (const gguf::Tensor& t : source_.tensors()) {
            const bool ignored = std::any_of(ignored_.begin(), ignored_.end(),
                                             [&](const std::string& e) { return t.name.ends_with(e); });
            if (used_.contains(t.name) || ignored) { continue; }
            problem({ErrorCode::unsupported,
                     fmt::format("is not a tensor of the family '{}' as this build knows it", architecture_),
                     {source_.metadata().file(), fmt::format("tensor '{}'", t.name), {}},
                     "The model needs a newer build: leaving the tensor out would give wrong answers"});
        }
    }
    if (failed()) {
        Error error = problems_.front();
        for (size_t i = 1; i < std::min<size_t>(problems_.size(), 5); i++) {
            error.what += fmt::format("; also {}: {}", problems_[i].where.field, problems_[i].what);
        }
        if (problems_.size() > 5) { error.what += fmt::format("; and {} more", problems_.size() - 5); }
        return error;
    }
    WALLABY_OK(ops::check(model_));
    return std::move(model_);
}

// --- Hyper-parameters

template <class T>
T Builder::in_range(Result<T> value, std::string_view suffix, T low, T high) {
    if (!value.ok()) {
        problem(std::move(value).error());
        return low;
    }
    if (!(*value >= low && *value <= high)) {  // also refuses NaN
        problem(source_.metadata().error(ErrorCode::model, key(suffix),
                                         fmt::format("is {}, outside {} to {}", *value, low, high)));
        return low;
    }
    return *value;
}

uint32_t Builder::u32(std::string_view suffix, uint32_t low, uint32_t high) {
    return in_range(source_.metadata().u32(key(suffix)), suffix, low, high);
}

uint32_t Builder::u32_or(std::string_view suffix, uint32_t otherwise, uint32_t low, uint32_t high) {
    return has(suffix) ? u32(suffix, low, high) : otherwise;
}

double Builder::number(std::string_view suffix, double low, double high) {
    return in_range(source_.metadata().number(key(suffix)), suffix, low, high);
}

double Builder::number_or(std::string_view suffix, double otherwise, double low, double high) {
    return has(suffix) ? number(suffix, low, high) : otherwise;
}

std::string Builder::string_or(std::string_view suffix, std::string_view otherwise) {
    auto value = source_.metadata().string_or(key(suffix), otherwise);
    if (value.ok()) { return std::string(*value); }
    problem(std::move(value).error());
    return std::string(otherwise);
}

std::vector<uint32_t> Builder::per_layer(std::string_view suffix, uint32_t n_layers, uint32_t low, uint32_t high) {
    const gguf::Value* value = source_.metadata().find(key(suffix));
    if (value == nullptr || value->type != gguf::ValueType::array) {
        return std::vector<uint32_t>(n_layers, u32(suffix, low, high));
    }
    std::vector<uint32_t> out(n_layers, low);
    auto numbers = source_.metadata().integers(key(suffix));
    if (!numbers.ok()) {
        problem(std::move(numbers).error());
    } else if (numbers->size() != n_layers) {
        problem(source_.metadata().error(ErrorCode::model, key(suffix),
                                         fmt::format("has {} elements for {} layers", numbers->size(), n_layers)));
    } else {
        for (uint32_t i = 0; i < n_layers; i++) {
            out[i] = in_range(Result<uint32_t>(uint32_t((*numbers)[i])), suffix, low, high);
        }
    }
    return out;
}

std::vector<uint32_t> Builder::windows(uint32_t window, uint32_t n_layers, uint32_t period) {
    constexpr std::string_view suffix = "attention.sliding_window_pattern";
    const gguf::Value* value = source_.metadata().find(key(suffix));
    std::vector<uint32_t> out(n_layers, window);
    if (value != nullptr && value->type == gguf::ValueType::array) {
        const std::vector<uint32_t> is_windowed = per_layer(suffix, n_layers, 0, 1);
        for (uint32_t i = 0; i < n_layers; i++) { out[i] *= is_windowed[i]; }
        return out;
    }
    period = u32_or(suffix, period, 0, 4096);
    for (uint32_t i = 0; i < n_layers; i++) {
        if (period != 0 && i % period == period - 1) { out[i] = 0; }
    }
    return out;
}

// --- Weights

const gguf::Tensor* Builder::tensor(const std::string& name, bool optional) {
    const gguf::Tensor* t = source_.find(name);
    if (t != nullptr) {
        used_.insert(name);
        if (t->type >= quant::Type::i8 && t->type <= quant::Type::i64) {
            problem({ErrorCode::model,
                     fmt::format("is of type {}: integers are no weights", quant::format_of(t->type).name),
                     {source_.metadata().file(), fmt::format("tensor '{}'", name), {}},
                     ""});
        }
    } else if (!optional) {
        problem(
            {ErrorCode::model, "is missing", {source_.metadata().file(), fmt::format("tensor '{}'", name), {}}, ""});
    }
    return t;
}

ops::WeightId Builder::bind(const gguf::Tensor& t, uint32_t n_in, uint32_t n_out, uint32_t n_expert, uint64_t first) {
    const quant::Format& format = quant::format_of(t.type);
    if (first % format.block_len != 0 || uint64_t(n_in) * n_out % format.block_len != 0) {
        problem({ErrorCode::unsupported,
                 fmt::format("is cut inside a block of {}", format.name),
                 {source_.metadata().file(), fmt::format("tensor '{}'", t.name), {}},
                 ""});
        return ops::none;
    }
    model_.weights.push_back({t.name, t.type, n_in, n_out, n_expert, first, false});
    return ops::WeightId(model_.weights.size() - 1);
}

ops::WeightId Builder::vector(const std::string& name, uint64_t width, bool optional) {
    const gguf::Tensor* t = tensor(name, optional);
    if (t == nullptr) { return ops::none; }
    if (t->n_elements() != width) {
        problem({ErrorCode::model,
                 fmt::format("has shape {}, but {} elements are required", t->shape(), width),
                 {source_.metadata().file(), fmt::format("tensor '{}'", name), {}},
                 ""});
        return ops::none;
    }
    return bind(*t, uint32_t(width), 1, 1, 0);
}

ops::WeightId Builder::matrix(const std::string& name, uint32_t n_in, uint32_t n_out, uint32_t n_expert) {
    const gguf::Tensor* t = tensor(name, false);
    if (t == nullptr) { return ops::none; }
    if (t->dims[0] != n_in || t->dims[1] != n_out || t->dims[2] != n_expert || t->dims[3] != 1) {
        problem({ErrorCode::model,
                 fmt::format("has shape {}, but {} x {}{} is required", t->shape(), n_in, n_out,
                             n_expert == 1 ? "" : fmt::format(" x {}", n_expert)),
                 {source_.metadata().file(), fmt::format("tensor '{}'", name), {}},
                 ""});
        return ops::none;
    }
    return bind(*t, n_in, n_out, n_expert, 0);
}

Linear Builder::linear(const std::string& name, uint32_t n_in, uint32_t n_out, uint32_t n_expert) {
    return {matrix(name + ".weight", n_in, n_out, n_expert), vector(name + ".bias", uint64_t(n_out) * n_expert, true),
            vector(name + ".scale", n_expert, true)};
}

Linear Builder::linear_rows(const std::string& name, uint32_t n_in, uint32_t n_out, uint32_t first_row,
                            uint32_t n_rows) {
    Linear whole = linear(name, n_in, n_out);
    const auto part = [&](ops::WeightId id, uint64_t first, uint32_t row, uint32_t n) {
        return id == ops::none ? id : bind(*source_.find(model_.weights[id].name), row, n, 1, first);
    };
    return {part(whole.weight, uint64_t(first_row) * n_in, n_in, n_rows), part(whole.bias, first_row, n_rows, 1),
            whole.scale};
}

Linear Builder::linear_or_tied(const std::string& name, ops::WeightId embedding, uint32_t n_in, uint32_t n_out) {
    if (has_tensor(name + ".weight") || embedding == ops::none) { return linear(name, n_in, n_out); }
    ops::Weight tied = model_.weights[embedding];
    tied.tied = true;
    model_.weights.push_back(std::move(tied));
    return {ops::WeightId(model_.weights.size() - 1), ops::none, ops::none};
}

std::vector<float> Builder::values_of(const std::string& name, uint64_t n_expected) {
    const gguf::Tensor* t = tensor(name, true);
    if (t == nullptr) { return {}; }
    auto values = gguf::read_floats(source_, *t, n_expected);
    if (values.ok() && values->size() == n_expected) { return *std::move(values); }
    problem(!values.ok() ? std::move(values).error()
                         : Error{ErrorCode::model,
                                 fmt::format("has {} elements, but {} are required", values->size(), n_expected),
                                 {source_.metadata().file(), fmt::format("tensor '{}'", name), {}},
                                 ""});
    return {};
}

// --- Ops

ops::ValueId Builder::value(ops::Rows rows, uint32_t n, bool is_i32) {
    program().values.push_back({rows, is_i32, n});
    return ops::ValueId(program().values.size() - 1);
}

ops::ValueId Builder::like(ops::ValueId x, uint32_t n) { return value(program().values[x].rows, n); }

ops::Op& Builder::op(ops::Spec spec, ops::ValueId a, ops::ValueId b) {
    ops::Op& op = program().ops.emplace_back();
    op.spec = spec;
    op.layer = layer_;
    op.in = {a, b};
    return op;
}

ops::ValueId Builder::unary(ops::Spec spec, ops::ValueId x, uint32_t n) {
    const ops::ValueId out = like(x, n);
    op(spec, x).out[0] = out;
    return out;
}

ops::StateId Builder::state(uint32_t n_heads, uint32_t head) {
    model_.states.push_back({ops::State::Kind::kv, layer_, n_heads, head, 0});
    return ops::StateId(model_.states.size() - 1);
}

ops::StateId Builder::recurrent_state(uint64_t n_elements) {
    model_.states.push_back({ops::State::Kind::recurrent, layer_, 0, 0, n_elements});
    return ops::StateId(model_.states.size() - 1);
}

ops::ValueId Builder::embed(ops::WeightId table, ops::Embed::By by, float scale) {
    const ops::ValueId out = value(ops::Rows::tokens, table == ops::none ? 1 : model_.weights[table].n_in);
    ops::Op& o = op(ops::Embed{by, scale}, ops::none);
    o.out[0] = out;
    o.weight[0] = table;
    return out;
}

ops::ValueId Builder::rms_norm(ops::ValueId x, ops::WeightId gain, double eps, uint32_t group) {
    const ops::Norm spec{ops::Norm::Kind::rms, float(eps), group == 0 ? width(x) : group};
    const ops::ValueId out = unary(spec, x, width(x));
    program().ops.back().weight[0] = gain;
    return out;
}

ops::ValueId Builder::layer_norm(ops::ValueId x, ops::WeightId gain, ops::WeightId bias, double eps) {
    const ops::ValueId out = unary(ops::Norm{ops::Norm::Kind::layer, float(eps), width(x)}, x, width(x));
    program().ops.back().weight = {gain, bias, ops::none};
    return out;
}

ops::ValueId Builder::matmul(ops::ValueId x, const Linear& l) {
    const ops::ValueId out =
        unary(ops::Matmul{0, l.scale_bias}, x, l.weight == ops::none ? 1 : model_.weights[l.weight].n_out);
    program().ops.back().weight = {l.weight, l.bias, l.scale};
    return out;
}

ops::ValueId Builder::routed_matmul(ops::ValueId x, ops::ValueId ids, const Linear& l, uint32_t n_used) {
    const ops::ValueId out = unary(ops::Matmul{n_used, l.scale_bias}, x,
                                   (l.weight == ops::none ? 1 : model_.weights[l.weight].n_out) * n_used);
    program().ops.back().in[1] = ids;
    program().ops.back().weight = {l.weight, l.bias, l.scale};
    return out;
}

ops::ValueId Builder::rope(ops::ValueId x, ops::Rope::Kind kind, uint32_t n_dims, uint32_t head, uint32_t table) {
    return unary(ops::Rope{kind, n_dims, head, table}, x, width(x));
}

void Builder::append(ops::StateId state, ops::ValueId k, ops::ValueId v) { op(ops::Append{}, k, v).state = state; }

ops::ValueId Builder::attend(ops::StateId state, ops::ValueId q, const ops::Attend& spec, ops::WeightId sinks) {
    const ops::ValueId out = unary(spec, q, width(q));
    program().ops.back().state = state;
    program().ops.back().weight[0] = sinks;
    return out;
}

ops::ValueId Builder::conv(ops::ValueId x, ops::WeightId kernel, ops::WeightId bias, uint32_t taps) {
    const ops::ValueId out = unary(ops::Conv{taps}, x, width(x));
    program().ops.back().weight = {kernel, bias, ops::none};
    program().ops.back().state = recurrent_state(uint64_t(taps - 1) * width(x));
    return out;
}

ops::ValueId Builder::scan(ops::ValueId x, ops::ValueId steps, const std::array<ops::WeightId, 3>& a_d_bias,
                           const ops::Scan& spec) {
    const ops::ValueId out = unary(spec, x, spec.n_heads * spec.head);
    program().ops.back().in[1] = steps;
    program().ops.back().weight = a_d_bias;
    program().ops.back().state = recurrent_state(uint64_t(spec.n_heads) * spec.head * spec.d_state);
    return out;
}

ops::ValueId Builder::add(ops::ValueId a, ops::ValueId b) {
    const ops::ValueId out = unary(ops::Pointwise{ops::Pointwise::Kind::add}, a, width(a));
    program().ops.back().in[1] = b;
    return out;
}

ops::ValueId Builder::gelu_tanh(ops::ValueId x) {
    return unary(ops::Pointwise{ops::Pointwise::Kind::gelu_tanh}, x, width(x));
}

ops::ValueId Builder::silu(ops::ValueId x) { return unary(ops::Pointwise{ops::Pointwise::Kind::silu}, x, width(x)); }

ops::ValueId Builder::softcap(ops::ValueId x, float cap) {
    return cap == 0 ? x : unary(ops::Pointwise{ops::Pointwise::Kind::softcap, cap}, x, width(x));
}

ops::ValueId Builder::gate(ops::ValueId activated, ops::ValueId other, const ops::Gate& spec) {
    const ops::ValueId out = unary(spec, activated, width(activated));
    program().ops.back().in[1] = other;
    return out;
}

Builder::Routing Builder::route(ops::ValueId logits, const ops::Route& spec) {
    const ops::Rows rows = program().values[logits].rows;
    const Routing r{value(rows, spec.n_used, true), value(rows, spec.n_used)};
    op(spec, logits).out = {r.ids, r.weights};
    return r;
}

ops::ValueId Builder::combine(ops::ValueId results, ops::ValueId weights, uint32_t n_used) {
    const ops::ValueId out = unary(ops::Combine{n_used}, results, width(results) / n_used);
    program().ops.back().in[1] = weights;
    return out;
}

ops::ValueId Builder::select(ops::ValueId x) {
    const ops::ValueId out = value(ops::Rows::outputs, width(x));
    op(ops::Select{}, x).out[0] = out;
    return out;
}

void Builder::logits(ops::ValueId x) { program().logits = x; }

}  // namespace wallaby::models
