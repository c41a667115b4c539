#include "convert/hf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/math.h"
#include "convert/hyper.h"

namespace wallaby::convert {
namespace {

using Json = nlohmann::json;

constexpr uint32_t max_depth = 64;  // real ones reach 4

// The place of the bracket that nests deeper than the budget allows.
std::optional<uint64_t> find_too_deep(std::string_view text) {
    uint64_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (in_string) {
            i += c == '\\' ? 1 : 0;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth) { return i; }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return std::nullopt;
}

Result<Json> parse(std::string_view text, const std::string& file) {
    const auto refuse = [&](std::string what, std::optional<uint64_t> offset) {
        return Error{ErrorCode::format, std::move(what), {file, "", offset}, "Name a model's config.json"};
    };
    if (text.size() > max_config_bytes) {
        return refuse(fmt::format("has {} bytes: a config.json of at most {} is read", text.size(), max_config_bytes),
                      {});
    }
    if (const auto offset = find_too_deep(text)) {
        return refuse(fmt::format("nests deeper than {} levels", max_depth), offset);
    }
    Json json;
    try {
        json = Json::parse(text);
    } catch (const Json::parse_error& error) {
        return refuse("is not JSON", error.byte == 0 ? 0 : error.byte - 1);
    } catch (const Json::exception&) {  // a number beyond any double
        return refuse("is not JSON that can be read", {});
    }
    if (!json.is_object()) { return refuse(fmt::format("holds a JSON {}, not an object", json.type_name()), {}); }
    return json;
}

template <class T>
struct Range {
    T low, high;
};
constexpr Range<uint32_t> layers_range{1, 1024}, experts_range{1, 4096}, heads_range{1, 4096}, head_range{1, 4096},
    width_range{1, 1u << 17}, vocab_range{1, 1u << 21}, context_range{1, 1u << 30};
constexpr Range<double> eps_range{1e-20, 1}, base_range{1.001, 1e12}, factor_range{1, 1e6}, positive_range{1e-6, 1e6},
    cap_range{0, 1e6};

// The fields of an object. The first problem is kept, not returned call by call, so that a family reads like a list;
// after it every call still returns something in range.
class Config {
  public:
    // `object` may be nullptr: without fields. `path` stands before the fields' names in errors.
    Config(const Json* object, std::string path, const std::string& file, std::optional<Error>& problem)
        : object_(object), path_(std::move(path)), file_(file), problem_(problem) {}

    // A field that is null counts as absent, except where null has a meaning of its own.
    bool has(std::string_view name) const { return find(name) != nullptr; }
    bool is_null(std::string_view name) const { return object_ != nullptr && object_->contains(name) && !has(name); }

    uint32_t u32(std::string_view name, Range<uint32_t> range, std::optional<uint32_t> otherwise = {}) const {
        const Json* value = require(name, otherwise.has_value());
        if (value == nullptr) { return otherwise.value_or(range.low); }
        if (!value->is_number_integer()) {
            wrong_type(name, *value, "an integer");
            return range.low;
        }
        const uint64_t n = value->is_number_unsigned() ? value->get<uint64_t>() : 0;  // 0: it is negative
        if (!value->is_number_unsigned() || n < range.low || n > range.high) {
            outside(name, *value, range);
            return range.low;
        }
        return uint32_t(n);
    }
    double number(std::string_view name, Range<double> range, std::optional<double> otherwise = {}) const {
        const Json* value = require(name, otherwise.has_value());
        if (value == nullptr) { return otherwise.value_or(range.low); }
        if (!value->is_number()) {
            wrong_type(name, *value, "a number");
            return range.low;
        }
        const auto n = value->get<double>();
        if (n >= range.low && n <= range.high) { return n; }
        outside(name, *value, range);
        return range.low;
    }
    bool boolean(std::string_view name, bool otherwise) const {
        const Json* value = find(name);
        if (value == nullptr) { return otherwise; }
        if (value->is_boolean()) { return value->get<bool>(); }
        wrong_type(name, *value, "true or false");
        return otherwise;
    }
    std::string string(std::string_view name, const std::optional<std::string>& otherwise = {}) const {
        const Json* value = require(name, otherwise.has_value());
        if (value == nullptr) { return otherwise.value_or(""); }
        if (value->is_string()) { return value->get<std::string>(); }
        wrong_type(name, *value, "a string");
        return "";
    }
    // An absent one has no fields.
    Config object(std::string_view name) const {
        const Json* value = find(name);
        if (value != nullptr && !value->is_object()) {
            wrong_type(name, *value, "an object");
            value = nullptr;
        }
        return {value, fmt::format("{}{}.", path_, name), file_, problem_};
    }
    std::vector<float> numbers(std::string_view name, size_t n, Range<double> range) const {
        std::vector<float> out;
        for (const Json& value : array(name, n)) {
            double number = value.is_number() ? value.get<double>() : range.low;
            if (!value.is_number()) { wrong_type(name, value, "a number as each element"); }
            if (!(number >= range.low && number <= range.high)) {
                outside(name, value, range);
                number = range.low;
            }
            out.push_back(float(number));
        }
        return out;
    }
    std::vector<std::string> strings(std::string_view name, size_t n) const {
        std::vector<std::string> out;
        for (const Json& value : array(name, n)) {
            if (!value.is_string()) { wrong_type(name, value, "a string as each element"); }
            out.push_back(value.is_string() ? value.get<std::string>() : "");
        }
        return out;
    }

    void refuse(std::string_view name, std::string what, ErrorCode code = ErrorCode::model,
                std::string remedy = "") const {
        if (problem_) { return; }
        problem_ =
            Error{code, std::move(what), {file_, fmt::format("field '{}{}'", path_, name), {}}, std::move(remedy)};
    }

  private:
    const Json* find(std::string_view name) const {
        if (object_ == nullptr) { return nullptr; }
        const auto at = object_->find(name);
        return at == object_->end() || at->is_null() ? nullptr : &*at;
    }
    const Json* require(std::string_view name, bool may_be_absent) const {
        const Json* value = find(name);
        if (value == nullptr && !may_be_absent) {
            refuse(name, "is missing", ErrorCode::model, "The file does not describe a complete model of its kind");
        }
        return value;
    }
    // Exactly n elements; none after a problem.
    std::span<const Json> array(std::string_view name, size_t n) const {
        const Json* value = require(name, false);
        if (value == nullptr) { return {}; }
        if (!value->is_array()) {
            wrong_type(name, *value, "an array");
            return {};
        }
        const auto& elements = value->get_ref<const Json::array_t&>();
        if (elements.size() == n) { return elements; }
        refuse(name, fmt::format("has {} elements, but {} are required", elements.size(), n));
        return {};
    }
    void wrong_type(std::string_view name, const Json& value, std::string_view wanted) const {
        refuse(name, fmt::format("is of type {}, but {} is required", value.type_name(), wanted));
    }
    template <class T>
    void outside(std::string_view name, const Json& value, Range<T> range) const {
        refuse(name, fmt::format("is {}, outside {} to {}", value.dump(), range.low, range.high));
    }

    const Json* object_;
    std::string path_;
    const std::string& file_;
    std::optional<Error>& problem_;
};

// What a Hyper points into.
struct Lists {
    std::vector<uint32_t> windowed;
    std::vector<float> short_factors, long_factors;
};

// The fields' names, where families differ.
struct Names {
    std::string_view n_embd = "hidden_size", n_layers = "num_hidden_layers", n_heads = "num_attention_heads",
                     n_ff = "intermediate_size", n_ctx = "max_position_embeddings", eps = "rms_norm_eps",
                     activation = "hidden_act";
};

// What Transformers takes for a field that is absent.
struct Usual {
    uint32_t n_ctx = 2048, n_heads_kv = 0;  // 0: as many as heads
    uint32_t head = 0;                      // 0: width / heads
    uint32_t n_vocab = 0, n_heads = 0;      // 0: there is no usual value
    uint32_t window = 0;                    // 0: none
    double rope_base = 1e4, eps = 1e-6;
    bool tied = false;
    std::string_view activation = "silu";  // the family's program has no other
};

struct ModelType {
    std::string_view name;
    Family family;
    Usual usual;
    Names names;
    void (*read_more)(const Config& c, const Usual& usual, Hyper& h, Lists& lists);
};

// --- What some families have.

void read_attention_bias(const Config& c, Hyper& h) {
    h.family.qkv_bias = h.family.out_bias = c.boolean("attention_bias", h.family.out_bias);
}

// null says that there is no window, which differs from saying nothing.
void read_window(const Config& c, const Usual& usual, Hyper& h) {
    if (!c.is_null("sliding_window")) { h.extras.window = c.u32("sliding_window", context_range, usual.window); }
}

// Which layers have the window: all but each `period`-th where the file says nothing, and in that case the shape says
// nothing either.
void read_windowed_layers(const Config& c, uint32_t period, Hyper& h, Lists& lists) {
    if (h.extras.window == 0) { return; }
    std::vector<uint32_t> usual(h.n_layers);
    const uint32_t stated = c.u32("sliding_window_pattern", layers_range, period);
    for (uint32_t i = 0; i < h.n_layers; i++) {
        usual[i] = (i + 1) % period != 0 ? 1 : 0;
        lists.windowed.push_back((i + 1) % stated != 0 ? 1 : 0);
    }
    if (c.has("layer_types")) {
        const std::vector<std::string> types = c.strings("layer_types", h.n_layers);
        for (uint32_t i = 0; i < types.size(); i++) {
            if (types[i] != "sliding_attention" && types[i] != "full_attention") {
                c.refuse("layer_types",
                         fmt::format("has '{:.64}' at {}: sliding_attention and full_attention are known", types[i], i),
                         ErrorCode::unsupported);
            }
            lists.windowed[i] = types[i] == "sliding_attention" ? 1 : 0;
        }
    }
    if (lists.windowed != usual) { h.extras.windowed = lists.windowed; }
}

void read_experts(const Config& c, std::string_view n_expert, Hyper& h) {
    h.extras.n_expert = c.u32(n_expert, experts_range);
    h.extras.n_used = c.u32("num_experts_per_tok", {1, h.extras.n_expert});
}

// --- Families, beyond what all of them have. Called before the rotation is read.

void read_llama(const Config& c, const Usual&, Hyper& h, Lists&) {
    read_attention_bias(c, h);
    h.family.ff_bias = c.boolean("mlp_bias", false);
}

void read_mistral(const Config& c, const Usual& usual, Hyper& h, Lists&) { read_window(c, usual, h); }

void read_mixtral(const Config& c, const Usual& usual, Hyper& h, Lists&) {
    read_window(c, usual, h);
    read_experts(c, "num_local_experts", h);
}

// Its biases are on q, k and v, whatever the file says.
void read_qwen2(const Config& c, const Usual& usual, Hyper& h, Lists&) {
    if (c.boolean("use_sliding_window", false)) { read_window(c, usual, h); }
}

void read_qwen3(const Config& c, const Usual& usual, Hyper& h, Lists& lists) {
    read_attention_bias(c, h);
    read_qwen2(c, usual, h, lists);
}

void read_qwen3_moe(const Config& c, const Usual& usual, Hyper& h, Lists& lists) {
    read_qwen3(c, usual, h, lists);
    read_experts(c, c.has("num_local_experts") ? "num_local_experts" : "num_experts", h);
    // Layers without experts are not in this family's program.
    (void)c.u32("decoder_sparse_step", {1, 1}, 1);
    if (c.has("mlp_only_layers")) { (void)c.numbers("mlp_only_layers", 0, positive_range); }
}

// The scale of queries is the head's width to the -1/2, but for the largest of each generation.
void read_query_scale(const Config& c, Hyper& h) {
    const double scalar = c.number("query_pre_attn_scalar", positive_range, 256);
    if (scalar != h.head) { h.extras.attention_scale = float(1 / std::sqrt(scalar)); }
}

void read_gemma2(const Config& c, const Usual& usual, Hyper& h, Lists& lists) {
    read_attention_bias(c, h);
    read_window(c, usual, h);
    read_windowed_layers(c, 2, h, lists);
    read_query_scale(c, h);
    const auto cap = [&](std::string_view name, double otherwise) {
        return c.is_null(name) ? 0.0f : float(c.number(name, cap_range, otherwise));
    };
    h.extras.score_cap = cap("attn_logit_softcapping", 50);
    h.extras.logit_cap = cap("final_logit_softcapping", 30);
}

void read_gemma3(const Config& c, const Usual& usual, Hyper& h, Lists& lists) {
    read_attention_bias(c, h);
    read_window(c, usual, h);
    read_windowed_layers(c, 6, h, lists);
    read_query_scale(c, h);
    if (c.number("attn_logit_softcapping", cap_range, 0) != 0) {
        c.refuse("attn_logit_softcapping", "is not 0, which this family's program does not have",
                 ErrorCode::unsupported);
    }
    if (const double cap = c.number("final_logit_softcapping", cap_range, 0); cap != 0) {
        h.extras.logit_cap = float(cap);
    }
    const Config of_windows = c.object("rope_parameters").object("sliding_attention");
    const double base = c.number("rope_local_base_freq", base_range, of_windows.number("rope_theta", base_range, 1e4));
    if (base != 1e4) { h.extras.window_rope_base = float(base); }
}

void read_phi3(const Config& c, const Usual& usual, Hyper& h, Lists&) {
    read_window(c, usual, h);
    h.extras.n_rot = uint32_t(h.head * c.number("partial_rotary_factor", {1e-3, 1}, 1));
    if (h.extras.n_rot == 0 || h.extras.n_rot % 2 != 0) {
        c.refuse("partial_rotary_factor",
                 fmt::format("makes {} of the {} elements of a head rotate: an even number is required", h.extras.n_rot,
                             h.head));
    }
}

void read_gpt_oss(const Config& c, const Usual& usual, Hyper& h, Lists& lists) {
    read_attention_bias(c, h);
    read_experts(c, "num_local_experts", h);
    h.extras.window = c.u32("sliding_window", context_range, usual.window);
    read_windowed_layers(c, 2, h, lists);
}

void read_olmo2(const Config& c, const Usual&, Hyper& h, Lists&) { read_attention_bias(c, h); }

void read_olmo3(const Config& c, const Usual& usual, Hyper& h, Lists& lists) {
    read_attention_bias(c, h);
    read_window(c, usual, h);
    read_windowed_layers(c, 4, h, lists);
}

void read_mamba2(const Config& c, const Usual&, Hyper& h, Lists&) {
    h.family.qkv_bias = h.family.out_bias = c.boolean("use_bias", false);
    h.extras.n_state = c.u32("state_size", width_range, 128);
    h.extras.n_groups = c.u32("n_groups", {1, h.n_heads}, 8);
    h.extras.n_taps = c.u32("conv_kernel", {1, 64}, 4);
    const uint32_t n_inner = h.n_embd * c.u32("expand", {1, 16}, 2);
    if (n_inner != h.n_heads * h.head) {
        c.refuse("num_heads", fmt::format("makes {} heads of {} elements, which are not the {} of 'hidden_size' times "
                                          "'expand'",
                                          h.n_heads, h.head, n_inner));
    }
    if (h.n_heads % h.extras.n_groups != 0) {
        c.refuse("n_groups", fmt::format("is {}, which does not divide the {} heads", h.extras.n_groups, h.n_heads));
    }
    if (!c.boolean("use_conv_bias", true)) {
        c.refuse("use_conv_bias", "is false, which this family's program does not have", ErrorCode::unsupported);
    }
}

void read_gpt2(const Config& c, const Usual&, Hyper&, Lists&) {
    if (c.boolean("scale_attn_by_inverse_layer_idx", false) || !c.boolean("scale_attn_weights", true)) {
        c.refuse("scale_attn_weights", "says that scores are scaled in a way that this family's program does not have",
                 ErrorCode::unsupported);
    }
}

// clang-format off
constexpr std::array model_types{
    ModelType{"gemma2", family::gemma2,
              {.n_ctx = 8192, .n_heads_kv = 4, .head = 256, .n_vocab = 256000, .n_heads = 8, .window = 4096,
               .tied = true, .activation = "gelu_pytorch_tanh"}, {.activation = "hidden_activation"}, read_gemma2},
    ModelType{"gemma3_text", family::gemma3,
              {.n_ctx = 131072, .n_heads_kv = 4, .head = 256, .n_vocab = 262208, .n_heads = 8, .window = 4096,
               .rope_base = 1e6, .tied = true, .activation = "gelu_pytorch_tanh"},
              {.activation = "hidden_activation"}, read_gemma3},
    ModelType{"gpt2", family::gpt2, {.n_ctx = 1024, .eps = 1e-5, .tied = true, .activation = "gelu_new"},
              {.n_embd = "n_embd", .n_layers = "n_layer", .n_heads = "n_head", .n_ff = "n_inner",
               .n_ctx = "n_positions", .eps = "layer_norm_epsilon", .activation = "activation_function"}, read_gpt2},
    ModelType{"gpt_oss", family::gpt_oss,
              {.n_ctx = 131072, .n_heads_kv = 8, .head = 64, .window = 128, .rope_base = 1.5e5, .eps = 1e-5}, {},
              read_gpt_oss},
    ModelType{"llama", family::llama, {}, {}, read_llama},
    ModelType{"mamba2", family::mamba2, {.n_ctx = 1u << 20, .head = 64, .n_heads = 128, .eps = 1e-5},
              {.n_heads = "num_heads", .eps = "layer_norm_epsilon"}, read_mamba2},
    ModelType{"mistral", family::llama, {.n_ctx = 131072, .n_heads_kv = 8, .window = 4096}, {}, read_mistral},
    ModelType{"mixtral", family::llama, {.n_ctx = 131072, .n_heads_kv = 8, .rope_base = 1e6, .eps = 1e-5}, {},
              read_mixtral},
    ModelType{"olmo2", family::olmo2, {.eps = 1e-5}, {}, read_olmo2},
    ModelType{"olmo3", family::olmo2, {.window = 4096, .eps = 1e-5}, {}, read_olmo3},
    ModelType{"phi3", family::phi3, {.n_ctx = 4096, .n_vocab = 32064, .eps = 1e-5}, {}, read_phi3},
    ModelType{"qwen2", family::qwen2, {.n_ctx = 32768, .n_heads_kv = 32, .window = 4096}, {}, read_qwen2},
    ModelType{"qwen3", family::qwen3, {.n_ctx = 32768, .n_heads_kv = 32, .head = 128, .window = 4096}, {}, read_qwen3},
    ModelType{"qwen3_moe", family::qwen3moe, {.n_ctx = 32768, .n_heads_kv = 4, .window = 4096},
              {.n_ff = "moe_intermediate_size"}, read_qwen3_moe},
};
// clang-format on

constexpr auto names_of_types = [] {
    std::array<std::string_view, model_types.size()> out;
    for (size_t i = 0; i < out.size(); i++) { out[i] = model_types[i].name; }
    return out;
}();

// --- What all families have.

Hyper read_sizes(const Config& c, const ModelType& type) {
    const Usual& usual = type.usual;
    const Names& names = type.names;
    const auto if_any = [](uint32_t n) { return n == 0 ? std::optional<uint32_t>() : n; };
    Hyper h{};
    h.family = type.family;
    h.n_vocab = c.u32("vocab_size", vocab_range, if_any(usual.n_vocab));
    h.n_embd = c.u32(names.n_embd, width_range);
    h.n_layers = c.u32(names.n_layers, layers_range);
    h.n_heads = c.u32(names.n_heads, heads_range, if_any(usual.n_heads));
    h.n_heads_kv = c.u32("num_key_value_heads", heads_range, usual.n_heads_kv == 0 ? h.n_heads : usual.n_heads_kv);
    if (h.n_heads % h.n_heads_kv != 0) {
        c.refuse("num_key_value_heads",
                 fmt::format("is {}, which does not divide the {} of '{}'", h.n_heads_kv, h.n_heads, names.n_heads));
    }
    const uint32_t shared = std::max(1u, h.n_embd / h.n_heads);
    h.head = c.u32("head_dim", head_range, usual.head == 0 ? shared : usual.head);
    if (!c.has("head_dim") && usual.head == 0 && (h.n_embd % h.n_heads != 0 || shared > head_range.high)) {
        c.refuse(names.n_heads, fmt::format("is {}: heads of up to {} elements cannot be made of the {} of '{}'",
                                            h.n_heads, head_range.high, h.n_embd, names.n_embd));
    }
    if (h.family.rotates() && h.head % 2 != 0) {
        c.refuse(c.has("head_dim") ? "head_dim" : names.n_heads,
                 fmt::format("makes heads of {} elements: an even number is required", h.head));
    }
    const bool has_usual_ff = h.family.feed_forward == Family::FeedForward::plain;
    if (!h.family.scan) {
        h.n_ff = c.u32(names.n_ff, width_range, has_usual_ff ? std::optional<uint32_t>(4 * h.n_embd) : std::nullopt);
    }
    h.n_ctx = c.u32(names.n_ctx, context_range, usual.n_ctx);
    h.eps = float(c.number(names.eps, eps_range, usual.eps));
    h.extras.tied = c.boolean("tie_word_embeddings", usual.tied);
    if (const std::string act = c.string(names.activation, std::string(usual.activation)); act != usual.activation) {
        c.refuse(names.activation,
                 fmt::format("is '{:.64}', but this family's program has {} alone", act, usual.activation),
                 ErrorCode::unsupported);
    }
    return h;
}

void read_yarn(const Config& s, Scaling& scaling) {
    scaling.factor = float(s.number("factor", factor_range));
    scaling.n_ctx_original = s.u32("original_max_position_embeddings", context_range, 0);
    scaling.beta_fast = float(s.number("beta_fast", positive_range, 32));
    scaling.beta_slow = float(s.number("beta_slow", positive_range, 1));
    // In the file the whole magnitude, in the shape what comes on top of YaRN's own.
    const double own = 1 + 0.1 * base::log(double(scaling.factor));
    scaling.magnitude = float(s.number("attention_factor", positive_range, own) / own);
}

void read_llama3(const Config& s, Scaling& scaling) {
    scaling.factor = float(s.number("factor", factor_range));
    scaling.n_ctx_original = s.u32("original_max_position_embeddings", context_range);
    scaling.low = float(s.number("low_freq_factor", positive_range));
    scaling.high = float(s.number("high_freq_factor", positive_range));
    if (!(scaling.low < scaling.high)) {
        s.refuse("high_freq_factor", fmt::format("is {}, not above low_freq_factor, {}", scaling.high, scaling.low));
    }
}

void read_longrope(const Config& c, const Config& s, Hyper& h, Lists& lists) {
    constexpr std::string_view original = "original_max_position_embeddings";
    Scaling& scaling = h.extras.scaling;
    const uint32_t n_rot = h.extras.n_rot != 0 ? h.extras.n_rot : h.head;
    scaling.n_ctx_original = (s.has(original) ? s : c).u32(original, {2, context_range.high});
    lists.short_factors = s.numbers("short_factor", n_rot / 2, positive_range);
    lists.long_factors = s.numbers("long_factor", n_rot / 2, positive_range);
    scaling.short_factors = lists.short_factors;
    scaling.long_factors = lists.long_factors;
    const double stretch = double(h.n_ctx) / scaling.n_ctx_original;
    const double usual =
        stretch <= 1 ? 1 : std::sqrt(1 + base::log(stretch) / base::log(double(scaling.n_ctx_original)));
    scaling.magnitude = float(s.number("attention_factor", positive_range, usual));
}

// Under rope_scaling beside rope_theta; since Transformers 5 all under rope_parameters, which Gemma 3 has twice, for
// layers with and without a window.
void read_rotation(const Config& c, const Usual& usual, Hyper& h, Lists& lists) {
    Config s = c.object(c.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
    const Config inner = s.object("full_attention");
    const Config& stated = s.has("full_attention") ? inner : s;
    h.rope_base = float((stated.has("rope_theta") ? stated : c).number("rope_theta", base_range, usual.rope_base));
    const std::string_view name = stated.has("rope_type") ? "rope_type" : "type";
    const std::string type = stated.string(name, "default");
    Scaling& scaling = h.extras.scaling;
    if (type == "default" || type == "none") { return; }
    if (type == "linear") {
        scaling.kind = Scaling::Kind::linear;
        scaling.factor = float(stated.number("factor", factor_range));
    } else if (type == "yarn") {
        scaling.kind = Scaling::Kind::yarn;
        read_yarn(stated, scaling);
    } else if (type == "llama3") {
        scaling.kind = Scaling::Kind::llama3;
        read_llama3(stated, scaling);
    } else if (type == "longrope" || type == "su") {
        scaling.kind = Scaling::Kind::longrope;
        read_longrope(c, stated, h, lists);
    } else {
        stated.refuse(name, fmt::format("is '{:.64}', which this build does not know", type), ErrorCode::unsupported,
                      "Known: default, linear, yarn, llama3, longrope");
    }
}

}  // namespace

std::span<const std::string_view> known_model_types() { return names_of_types; }

Result<ConfigModel> model_of_config(std::string_view text, const std::string& file, bool with_tokenizer) {
    WALLABY_TRY(const Json json, parse(text, file));
    std::optional<Error> problem;
    const Config whole(&json, "", file, problem);
    const Config part = whole.object("text_config");
    ConfigModel model;
    model.is_part = whole.has("text_config");
    const Config& c = model.is_part ? part : whole;
    model.model_type = c.string("model_type");
    if (problem) { return *std::move(problem); }
    const auto* const type = std::ranges::find(model_types, model.model_type, &ModelType::name);
    if (type == model_types.end()) {
        c.refuse("model_type", fmt::format("is '{:.64}', a kind of model that is not known", model.model_type),
                 ErrorCode::unsupported, fmt::format("Known: {}", fmt::join(names_of_types, ", ")));
        return *std::move(problem);
    }
    Lists lists;
    Hyper h = read_sizes(c, *type);
    type->read_more(c, type->usual, h, lists);
    if (h.family.rotates()) { read_rotation(c, type->usual, h, lists); }
    model.quantized = whole.object("quantization_config").string("quant_method", "");
    if (problem) { return *std::move(problem); }
    model.head = h.head;
    model.n_vocab = h.n_vocab;
    model.tied = h.extras.tied;
    model.shape = make_shape(h, with_tokenizer);
    return model;
}

Result<Shape> shape_of_config(std::string_view text, const std::string& file, bool with_tokenizer) {
    WALLABY_TRY(ConfigModel model, model_of_config(text, file, with_tokenizer));
    return std::move(model.shape);
}

}  // namespace wallaby::convert
