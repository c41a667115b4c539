#include "convert/mixes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

namespace wallaby::convert {
namespace {

using quant::Type;

// What a tensor is to the rules, read off its name. A fused q/k/v matrix, and MLA's k/v, count as attn_v.
enum class Part : uint8_t {
    plain,
    embedding,
    output,
    attn_q,
    attn_k,
    attn_v,
    attn_output,
    ffn_up,
    ffn_gate,
    ffn_down,
    any,  // in a rule: every part
};
constexpr size_t n_parts = size_t(Part::any);

// The first that the name holds says it.
constexpr std::pair<std::string_view, Part> part_names[] = {
    {"attn_qkv.weight", Part::attn_v}, {"attn_kv_b.weight", Part::attn_v}, {"attn_v.weight", Part::attn_v},
    {"attn_k.weight", Part::attn_k},   {"attn_q.weight", Part::attn_q},    {"attn_output.weight", Part::attn_output},
    {"ffn_up", Part::ffn_up},          {"ffn_gate", Part::ffn_gate},       {"ffn_down", Part::ffn_down},
};

// Small matrices that the loss of bits would harm most, by a part of their name.
constexpr std::string_view kept[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

bool holds(std::string_view name, std::string_view part) { return name.find(part) != std::string_view::npos; }

Part part_of(std::string_view name) {
    if (name == "output.weight") { return Part::output; }
    if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") { return Part::embedding; }
    for (const auto& [text, part] : part_names) {
        if (holds(name, text)) { return part; }
    }
    return Part::plain;
}

// What the rules ask of the model as a whole.
struct Facts {
    uint64_t n_layers = 0;
    uint64_t n_attn_v = 0;
    uint64_t n_experts = 0;
    uint64_t heads_per_kv = 1;
    bool tied = true;  // the embedding is the output's matrix too
    bool has_importance = false;
};

Facts facts_of(std::span<const TensorShape> tensors) {
    Facts facts;
    uint64_t n_q = 0, n_k = 0, n_qkv = 0;  // rows
    for (const TensorShape& t : tensors) {
        if (const auto layer = layer_of(t.name)) { facts.n_layers = std::max<uint64_t>(facts.n_layers, *layer + 1ull); }
        const Part part = part_of(t.name);
        facts.n_attn_v += part == Part::attn_v ? 1 : 0;
        facts.tied = facts.tied && part != Part::output;
        if (t.dims.size() < 2) { continue; }
        if (part == Part::attn_q) { n_q = t.dims[1]; }
        if (part == Part::attn_k) { n_k = t.dims[1]; }
        if (part == Part::attn_output && n_q == 0) { n_q = t.dims[0]; }
        if (holds(t.name, "attn_qkv.weight")) { n_qkv = t.dims[1]; }
        if (t.name.ends_with("_exps.weight") && t.dims.size() == 3) { facts.n_experts = t.dims[2]; }
    }
    if (n_k == 0 && n_qkv > n_q) { n_k = (n_qkv - n_q) / 2; }
    if (n_k != 0) { facts.heads_per_kv = std::max<uint64_t>(1, n_q / n_k); }
    return facts;
}

struct Place {
    Part part = Part::plain;
    uint64_t no = 0;        // among the matrices of its part, in the order of layers
    uint64_t layer = 0;     // as the rules count: the layer of an expert's matrix, else `no`
    bool is_stack = false;  // one matrix for each expert
};

std::vector<Place> places_of(std::span<const TensorShape> tensors, const Facts& facts) {
    std::vector<size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::ranges::sort(order, {}, [&](size_t i) {
        const auto layer = layer_of(tensors[i].name);
        return std::pair(layer ? int64_t(*layer) : -1, std::string_view(tensors[i].name));
    });
    std::array<uint64_t, n_parts> n_seen{};
    std::vector<Place> places(tensors.size());
    for (const size_t i : order) {
        const TensorShape& t = tensors[i];
        if (!is_matrix(t)) { continue; }
        Place& at = places[i];
        at.part = part_of(t.name);
        at.no = n_seen[size_t(at.part)]++;
        at.layer = facts.n_experts > 1 ? layer_of(t.name).value_or(0) : at.no;
        at.is_stack = t.dims.size() > 2 && t.dims[2] > 1;
    }
    return places;
}

enum class When : uint8_t {
    always,
    shared_heads,             // at least four query heads to a key head: attn_v is small
    shared_heads_or_experts,  // the same, or at least four experts
    eight_experts,            // beside eight experts, attention has few bytes
    other_than_eight,
    first_two,
    first_four,
    first_sixteenth,  // of the layers; 32 / 16 of them in a model of 32
    first_eighth,
    first_eighth_in_order,  // counting matrices, not layers
    first_eighth_weighted,  // where encoders are given an importance
    first_eighth_unweighted,
    unweighted,
    middle,  // all but the first and the last eighth
    spread,  // the first and last eighth of the layers and every third between
    spread_of_eight_experts,
    one_matrix,  // not one for each expert
};

struct Rule {
    Part part;
    When when;
    Type type;
};

bool holds(When when, const Place& at, const Facts& facts) {
    const uint64_t n = at.part == Part::attn_v ? facts.n_attn_v : facts.n_layers;
    const uint64_t layer = at.part == Part::attn_v ? at.no : at.layer;
    const bool is_spread = layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
    switch (when) {
        case When::always: return true;
        case When::shared_heads: return facts.heads_per_kv >= 4;
        case When::shared_heads_or_experts: return facts.heads_per_kv >= 4 || facts.n_experts >= 4;
        case When::eight_experts: return facts.n_experts == 8;
        case When::other_than_eight: return facts.n_experts != 8;
        case When::first_two: return layer < 2;
        case When::first_four: return layer < 4;
        case When::first_sixteenth: return layer < n / 16;
        case When::first_eighth: return layer < n / 8;
        case When::first_eighth_in_order: return at.no < n / 8;
        case When::first_eighth_weighted: return facts.has_importance && layer < n / 8;
        case When::first_eighth_unweighted: return !facts.has_importance && layer < n / 8;
        case When::unweighted: return !facts.has_importance;
        case When::middle: return layer >= n / 8 && layer < 7 * n / 8;
        case When::spread: return is_spread;
        case When::spread_of_eight_experts: return facts.n_experts == 8 && is_spread;
        case When::one_matrix: return !at.is_stack;
    }
    return false;
}

// The first rule that fits says a matrix's type; where none does it has the mix's own. The rules are those of
// llama.cpp's quantiser as of 2026 (src/llama-quant.cpp, llama_tensor_get_type), but for the architecture falcon, which
// has some of its own. What it chooses for models of each kind is what tests/unit/convert/mixes_test.cpp holds them to.
using enum Part;
using enum When;

constexpr Rule of_most[] = {{attn_v, eight_experts, Type::q8_0}, {attn_k, eight_experts, Type::q8_0}};
constexpr Rule weighted_q4_0[] = {{ffn_down, first_eighth_weighted, Type::q4_1}};
constexpr Rule weighted_q5_0[] = {{ffn_down, first_eighth_weighted, Type::q5_1}};
constexpr Rule q2_k[] = {{attn_v, shared_heads, Type::q4_k},
                         {attn_v, always, Type::q3_k},
                         {ffn_down, always, Type::q3_k},
                         {attn_output, eight_experts, Type::q5_k},
                         {attn_output, always, Type::q3_k}};
constexpr Rule q2_k_s[] = {{attn_v, shared_heads, Type::q4_k}, {ffn_down, first_eighth, Type::q4_k}};
constexpr Rule q3_k_s[] = {{attn_output, eight_experts, Type::q5_k}};
constexpr Rule q3_k_m[] = {{attn_v, first_two, Type::q5_k},          {attn_v, always, Type::q4_k},
                           {ffn_down, first_sixteenth, Type::q5_k},  {ffn_down, always, Type::q4_k},
                           {attn_output, eight_experts, Type::q5_k}, {attn_output, always, Type::q4_k}};
constexpr Rule q3_k_l[] = {
    {attn_v, always, Type::q5_k}, {ffn_down, always, Type::q5_k}, {attn_output, other_than_eight, Type::q5_k}};
constexpr Rule q4_k_s[] = {
    {attn_v, first_four, Type::q5_k}, {ffn_down, first_eighth, Type::q5_k}, {attn_output, eight_experts, Type::q5_k}};
constexpr Rule q4_k_m[] = {
    {attn_v, spread, Type::q6_k}, {ffn_down, spread, Type::q6_k}, {attn_output, eight_experts, Type::q5_k}};
constexpr Rule q5_k_m[] = {{attn_v, spread, Type::q6_k}, {ffn_down, spread, Type::q6_k}};
constexpr Rule iq1[] = {{embedding, always, Type::q2_k},
                        {attn_v, shared_heads_or_experts, Type::q4_k},
                        {attn_v, always, Type::q2_k},
                        {attn_k, eight_experts, Type::q4_k},
                        {ffn_down, first_eighth_in_order, Type::q2_k},
                        {attn_output, eight_experts, Type::q5_k},
                        {attn_output, always, Type::iq2_xxs}};
constexpr std::span<const Rule> iq2_x(iq1, std::size(iq1) - 1);
constexpr Rule iq2_s[] = {{embedding, always, Type::iq3_s},
                          {attn_v, shared_heads_or_experts, Type::q4_k},
                          {attn_v, always, Type::iq3_s},
                          {attn_k, eight_experts, Type::q4_k},
                          {ffn_down, first_eighth_in_order, Type::iq3_s},
                          {attn_output, eight_experts, Type::q5_k},
                          {attn_output, always, Type::iq3_s}};
constexpr Rule iq3_xxs[] = {{embedding, always, Type::iq3_s},   {attn_v, shared_heads, Type::q4_k},
                            {attn_v, unweighted, Type::iq3_s},  {attn_k, always, Type::iq2_s},
                            {attn_q, always, Type::iq2_s},      {ffn_down, first_eighth_unweighted, Type::q4_k},
                            {ffn_down, unweighted, Type::q3_k}, {attn_output, eight_experts, Type::q5_k},
                            {attn_output, always, Type::iq3_s}};
constexpr Rule iq3_xs[] = {{attn_v, shared_heads, Type::q4_k}, {attn_k, always, Type::iq3_xxs},
                           {attn_q, always, Type::iq3_xxs},    {ffn_gate, middle, Type::iq3_xxs},
                           {ffn_up, middle, Type::iq3_xxs},    {attn_output, eight_experts, Type::q5_k}};
constexpr Rule iq3_s[] = {{attn_v, shared_heads, Type::q4_k}, {attn_output, eight_experts, Type::q5_k}};
constexpr Rule iq3_m[] = {{attn_v, always, Type::q4_k},
                          {ffn_down, first_eighth, Type::q4_k},
                          {ffn_down, spread_of_eight_experts, Type::q4_k},
                          {attn_output, eight_experts, Type::q5_k},
                          {attn_output, always, Type::q4_k}};
constexpr Rule iq4[] = {{attn_v, shared_heads, Type::q5_k},
                        {ffn_down, first_eighth_unweighted, Type::q5_k},
                        {attn_output, eight_experts, Type::q5_k}};
constexpr Rule ternary[] = {{embedding, always, Type::q4_k}};
constexpr Rule mxfp4_moe[] = {{any, one_matrix, Type::q8_0}};

struct Mix {
    std::string_view name;
    Type base;           // of most matrices
    uint32_t file_type;  // llama_ftype
    Type output;
    std::span<const Rule> most;  // before its own
    std::span<const Rule> own;
};

constexpr Mix mixes[] = {
    {"F32", Type::f32, 0, Type::f32, {}, {}},
    {"F16", Type::f16, 1, Type::f16, {}, {}},
    {"Q4_0", Type::q4_0, 2, Type::q6_k, of_most, weighted_q4_0},
    {"Q4_1", Type::q4_1, 3, Type::q6_k, of_most, {}},
    {"Q8_0", Type::q8_0, 7, Type::q8_0, of_most, {}},
    {"Q5_0", Type::q5_0, 8, Type::q6_k, of_most, weighted_q5_0},
    {"Q5_1", Type::q5_1, 9, Type::q6_k, of_most, {}},
    {"Q2_K", Type::q2_k, 10, Type::q6_k, of_most, q2_k},
    {"Q3_K_S", Type::q3_k, 11, Type::q6_k, of_most, q3_k_s},
    {"Q3_K_M", Type::q3_k, 12, Type::q6_k, of_most, q3_k_m},
    {"Q3_K_L", Type::q3_k, 13, Type::q6_k, of_most, q3_k_l},
    {"Q4_K_S", Type::q4_k, 14, Type::q6_k, of_most, q4_k_s},
    {"Q4_K_M", Type::q4_k, 15, Type::q6_k, of_most, q4_k_m},
    {"Q5_K_S", Type::q5_k, 16, Type::q6_k, of_most, {}},
    {"Q5_K_M", Type::q5_k, 17, Type::q6_k, of_most, q5_k_m},
    {"Q6_K", Type::q6_k, 18, Type::q6_k, of_most, {}},
    {"IQ2_XXS", Type::iq2_xxs, 19, Type::q5_k, {}, iq2_x},
    {"IQ2_XS", Type::iq2_xs, 20, Type::q5_k, {}, iq2_x},
    {"Q2_K_S", Type::q2_k, 21, Type::q6_k, of_most, q2_k_s},
    {"IQ3_XS", Type::iq3_s, 22, Type::q6_k, of_most, iq3_xs},
    {"IQ3_XXS", Type::iq3_xxs, 23, Type::q5_k, of_most, iq3_xxs},
    {"IQ1_S", Type::iq1_s, 24, Type::q5_k, {}, iq1},
    {"IQ4_NL", Type::iq4_nl, 25, Type::q6_k, of_most, iq4},
    {"IQ3_S", Type::iq3_s, 26, Type::q6_k, of_most, iq3_s},
    {"IQ3_M", Type::iq3_s, 27, Type::q6_k, of_most, iq3_m},
    {"IQ2_S", Type::iq2_xs, 28, Type::q5_k, {}, iq2_s},
    {"IQ2_M", Type::iq2_s, 29, Type::q5_k, {}, iq2_s},
    {"IQ4_XS", Type::iq4_xs, 30, Type::q6_k, of_most, iq4},
    {"IQ1_M", Type::iq1_m, 31, Type::q5_k, {}, iq1},
    {"BF16", Type::bf16, 32, Type::bf16, {}, {}},
    {"TQ1_0", Type::tq1_0, 36, Type::q6_k, of_most, ternary},
    {"TQ2_0", Type::tq2_0, 37, Type::q6_k, of_most, ternary},
    {"MXFP4_MOE", Type::mxfp4, 38, Type::q8_0, {}, mxfp4_moe},
    {"NVFP4", Type::nvfp4, 39, Type::q6_k, of_most, {}},
    {"Q1_0", Type::q1_0, 40, Type::q6_k, of_most, {}},
    {"Q2_0", Type::q2_0, 41, Type::q6_k, of_most, ternary},
};

constexpr std::pair<std::string_view, std::string_view> other_names[] = {
    {"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; }

const Mix* find_mix(std::string_view name) {
    for (const auto& [from, to] : other_names) {
        if (same_name(from, name)) { name = to; }
    }
    const auto* const mix = std::ranges::find_if(mixes, [&](const Mix& m) { return same_name(m.name, name); });
    return mix == std::end(mixes) ? nullptr : mix;
}

// The mix of a file that is one format throughout: the one of its name, or the first that is mostly of it.
const Mix& mix_of(const quant::Format& format) {
    const auto* const named = std::ranges::find(mixes, format.name, &Mix::name);
    return named != std::end(mixes) ? *named : *std::ranges::find(mixes, format.type, &Mix::base);
}

const quant::Format* find_weight_format(std::string_view name) {
    const quant::Format* const format = quant::find_format(name);
    return format != nullptr && is_weight_type(format->type) ? format : nullptr;
}

bool divides(Type type, uint64_t row) { return row % quant::format_of(type).block_len == 0; }

Type mixed(const Mix& mix, const Place& at, const Facts& facts, uint64_t row) {
    if (at.part == output || (at.part == embedding && facts.tied)) {
        return divides(mix.base, row) || quant::format_of(mix.output).block_len == 1 ? mix.output : Type::q8_0;
    }
    Type type = mix.base;
    const auto fits = [&](const Rule& rule) {
        return (rule.part == any || rule.part == at.part) && holds(rule.when, at, facts);
    };
    if (const auto rule = std::ranges::find_if(mix.most, fits); rule != mix.most.end()) { return rule->type; }
    if (const auto rule = std::ranges::find_if(mix.own, fits); rule != mix.own.end()) { type = rule->type; }
    // Models of 70B: 80 layers whose attn_v is an eighth of attn_q.
    const bool is_70b = facts.n_layers == 80 && facts.heads_per_kv > 1 && !mix.most.empty();
    const bool is_small = type == Type::q3_k || type == Type::q4_k;
    return is_70b && is_small && at.part == attn_v ? Type::q5_k : type;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, upper, upper); }

bool is_weight_type(Type type) {
    return type == Type::iq2_s || std::ranges::find(mixes, type, &Mix::base) != std::end(mixes);
}

// What llama.cpp's quantiser puts in the place of a format whose blocks do not divide the row.
Type for_rows_of(uint64_t row, Type wanted) {
    if (divides(wanted, row)) { return wanted; }
    Type other = Type::iq4_nl;
    switch (wanted) {
        case Type::q4_k: other = Type::q5_0; break;
        case Type::q5_k: other = Type::q5_1; break;
        case Type::q6_k: other = Type::q8_0; break;
        case Type::q2_k:
        case Type::q3_k:
        case Type::tq1_0:
        case Type::tq2_0:
        case Type::q1_0:
        case Type::q2_0:
        case Type::nvfp4: other = Type::q4_0; break;
        default: break;
    }
    return divides(other, row) ? other : Type::f16;
}

bool is_matrix(const TensorShape& t) {
    const bool has_rows =
        t.dims.size() > 1 && std::ranges::any_of(t.dims.begin() + 1, t.dims.end(), [](uint64_t n) { return n > 1; });
    return has_rows && t.values.empty() && t.name.ends_with("weight") && t.name != "position_embd.weight" &&
           t.name != "token_types.weight" &&
           std::ranges::none_of(kept, [&](std::string_view part) { return holds(t.name, part); });
}

std::optional<Type> main_type(std::string_view name) {
    if (const Mix* const mix = find_mix(name)) { return mix->base; }
    const quant::Format* const format = find_weight_format(name);
    return format != nullptr ? std::optional(format->type) : std::nullopt;
}

std::optional<uint32_t> layer_of(std::string_view name) {
    constexpr std::string_view start = "blk.";
    uint32_t layer = 0;
    if (!name.starts_with(start)) { return std::nullopt; }
    const auto [end, problem] = std::from_chars(name.data() + start.size(), name.data() + name.size(), layer);
    return problem == std::errc() && end != name.data() + name.size() && *end == '.' ? std::optional(layer)
                                                                                     : std::nullopt;
}

std::vector<std::string_view> type_names() {
    std::vector<std::string_view> names;
    for (const quant::Format& format : quant::formats()) {
        if (is_weight_type(format.type)) { names.push_back(format.name); }
    }
    for (const Mix& mix : mixes) {
        if (quant::find_format(mix.name) == nullptr) { names.push_back(mix.name); }
    }
    return names;
}

std::string_view file_type_name(uint32_t file_type) {
    const auto* const mix = std::ranges::find(mixes, file_type, &Mix::file_type);
    return mix == std::end(mixes) ? std::string_view() : mix->name;
}

std::optional<uint32_t> file_type_of(Type type) {
    return is_weight_type(type) ? std::optional(mix_of(quant::format_of(type)).file_type) : std::nullopt;
}

Result<Types> choose_types(std::string_view name, std::span<const TensorShape> tensors, const MixOptions& options) {
    const quant::Format* const format = find_weight_format(name);
    const Mix* const mix = find_mix(name);
    if (mix == nullptr && format == nullptr) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no type that weights can have", name),
                     {},
                     fmt::format("Known: {}", fmt::join(type_names(), ", "))};
    }
    const bool throughout = options.pure || mix == nullptr;
    const Type main = throughout && format != nullptr ? format->type : mix->base;
    Facts facts = facts_of(tensors);
    facts.has_importance = options.has_importance;
    const std::vector<Place> places = places_of(tensors, facts);
    Types types;
    types.file_type = throughout && format != nullptr ? mix_of(*format).file_type : mix->file_type;
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorShape& t = tensors[i];
        types.is_matrix.push_back(is_matrix(t));
        if (!types.is_matrix.back()) {
            types.of.push_back(Type::f32);
            continue;
        }
        Type wanted = throughout ? main : mixed(*mix, places[i], facts, t.dims[0]);
        if (!options.asked.empty()) { wanted = options.asked[i].value_or(wanted); }
        types.of.push_back(for_rows_of(t.dims[0], wanted));
        types.n_replaced += types.of.back() != wanted ? 1 : 0;
    }
    return types;
}

}  // namespace wallaby::convert
