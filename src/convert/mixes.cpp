#include "convert/mixes.h"

#include <algorithm>
#include <charconv>

namespace wallaby::convert {
namespace {

using quant::Type;

// What a tensor is to the rules, read off its name.
enum class Part { plain, embedding, output, attn_v, attn_k, attn_qkv, attn_output, ffn_down };

struct Place {
    Part part = Part::plain;
    uint32_t layer = 0;
};

Part part_of(std::string_view name) {
    constexpr std::pair<std::string_view, Part> endings[] = {
        {".attn_v.weight", Part::attn_v},           {".attn_k.weight", Part::attn_k},
        {".attn_qkv.weight", Part::attn_qkv},       {".attn_output.weight", Part::attn_output},
        {".ffn_down.weight", Part::ffn_down},       {".ffn_down_exps.weight", Part::ffn_down},
        {".ffn_down_shexp.weight", Part::ffn_down},
    };
    if (name == "token_embd.weight") { return Part::embedding; }
    if (name == "output.weight") { return Part::output; }
    for (const auto& [ending, part] : endings) {
        if (name.ends_with(ending)) { return part; }
    }
    return Part::plain;
}

// The layer of "blk.12.attn_v.weight"; nothing where the name has none.
std::optional<uint32_t> layer_of(std::string_view name) {
    constexpr std::string_view start = "blk.";
    uint32_t layer = 0;
    if (!name.starts_with(start)) { return std::nullopt; }
    const auto [end, problem] = std::from_chars(name.data() + start.size(), name.data() + name.size(), layer);
    return problem == std::errc() && end != name.data() + name.size() && *end == '.' ? std::optional(layer)
                                                                                     : std::nullopt;
}

// What the rules ask of the model as a whole.
struct Facts {
    uint32_t n_layers = 0;
    uint64_t n_experts = 0;
    uint64_t heads_per_kv = 1;
    bool tied = true;  // the embedding is the output's matrix too
};

Facts facts_of(std::span<const TensorShape> tensors) {
    Facts facts;
    uint64_t n_q = 0, n_k = 0;
    for (const TensorShape& t : tensors) {
        if (const auto layer = layer_of(t.name)) { facts.n_layers = std::max(facts.n_layers, *layer + 1); }
        if (t.name == "output.weight") { facts.tied = false; }
        if (t.dims.size() < 2) { continue; }
        if (t.name.ends_with(".attn_q.weight")) { n_q = t.dims[1]; }
        if (t.name.ends_with(".attn_k.weight")) { n_k = t.dims[1]; }
        if (t.name.ends_with("_exps.weight") && t.dims.size() == 3) { facts.n_experts = t.dims[2]; }
    }
    if (n_k != 0) { facts.heads_per_kv = std::max<uint64_t>(1, n_q / n_k); }
    return facts;
}

// The first and last eighth of the layers and every third between.
bool gets_more_bits(uint32_t layer, uint32_t n_layers) {
    const uint32_t eighth = n_layers / 8;
    return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
}

// A mix: the format of most matrices, and what differs. The rules are those of llama.cpp's quantiser as of 2026
// (src/llama-quant.cpp, llama_tensor_get_type), so that a synthetic file has the sizes of a real one; its own output
// for models of each kind is what tests/unit/convert/mixes_test.cpp holds them to.
struct Mix {
    std::string_view name;
    Type base;
    uint32_t file_type;  // llama_ftype
    Type (*more)(const Place& at, const Facts& facts, Type base);
};

Type q3_k_m(const Place& at, const Facts& facts, Type base) {
    switch (at.part) {
        case Part::attn_v: return at.layer < 2 ? Type::q5_k : Type::q4_k;
        case Part::attn_output:
        case Part::attn_qkv: return Type::q4_k;
        case Part::ffn_down: return at.layer < facts.n_layers / 16 ? Type::q5_k : Type::q4_k;
        default: return base;
    }
}

Type q3_k_l(const Place& at, const Facts&, Type base) {
    switch (at.part) {
        case Part::attn_v:
        case Part::attn_output:
        case Part::ffn_down: return Type::q5_k;
        case Part::attn_qkv: return Type::q4_k;
        default: return base;
    }
}

Type q4_k_s(const Place& at, const Facts& facts, Type base) {
    if (at.part == Part::attn_v && at.layer < 4) { return Type::q5_k; }
    if (at.part == Part::ffn_down && at.layer < facts.n_layers / 8) { return Type::q5_k; }
    return base;
}

Type q4_k_m(const Place& at, const Facts& facts, Type base) {
    const bool more = gets_more_bits(at.layer, facts.n_layers);
    if ((at.part == Part::attn_v || at.part == Part::ffn_down) && more) { return Type::q6_k; }
    return at.part == Part::attn_qkv ? Type::q5_k : base;
}

Type q5_k_m(const Place& at, const Facts& facts, Type base) {
    const bool more = gets_more_bits(at.layer, facts.n_layers);
    if ((at.part == Part::attn_v || at.part == Part::ffn_down) && more) { return Type::q6_k; }
    return at.part == Part::attn_qkv ? Type::q6_k : base;
}

Type as_base(const Place&, const Facts&, Type base) { return base; }

constexpr Mix mixes[] = {
    {"Q3_K_S", Type::q3_k, 11, as_base}, {"Q3_K_M", Type::q3_k, 12, q3_k_m}, {"Q3_K_L", Type::q3_k, 13, q3_k_l},
    {"Q4_K_S", Type::q4_k, 14, q4_k_s},  {"Q4_K_M", Type::q4_k, 15, q4_k_m}, {"Q5_K_S", Type::q5_k, 16, as_base},
    {"Q5_K_M", Type::q5_k, 17, q5_k_m},
};

Type mixed(const Mix& mix, const Place& at, const Facts& facts) {
    if (at.part == Part::output || (at.part == Part::embedding && facts.tied)) { return Type::q6_k; }
    // Few bytes beside eight experts.
    if (facts.n_experts == 8) {
        if (at.part == Part::attn_v || at.part == Part::attn_k) { return Type::q8_0; }
        if (at.part == Part::attn_output) {
            constexpr uint32_t q3_k_l_file = 13;
            return mix.file_type == q3_k_l_file ? mix.base : Type::q5_k;
        }
    }
    return mix.more(at, facts, mix.base);
}

// llama_ftype of files that are one format throughout (but for the output, which the number does not speak of).
constexpr std::pair<Type, uint32_t> file_types[] = {
    {Type::f32, 0},    {Type::f16, 1},     {Type::q4_0, 2},     {Type::q4_1, 3},    {Type::q8_0, 7},
    {Type::q5_0, 8},   {Type::q5_1, 9},    {Type::q2_k, 10},    {Type::q3_k, 11},   {Type::q4_k, 14},
    {Type::q5_k, 16},  {Type::q6_k, 18},   {Type::iq2_xxs, 19}, {Type::iq2_xs, 20}, {Type::iq3_xxs, 23},
    {Type::iq1_s, 24}, {Type::iq4_nl, 25}, {Type::iq3_s, 26},   {Type::iq2_s, 28},  {Type::iq4_xs, 30},
    {Type::iq1_m, 31}, {Type::bf16, 32},   {Type::tq1_0, 36},   {Type::tq2_0, 37},  {Type::mxfp4, 38},
    {Type::nvfp4, 39}, {Type::q1_0, 40},   {Type::q2_0, 41},
};

// What llama.cpp's quantiser puts in the place of a format whose blocks do not divide the row.
Type for_rows_of(uint64_t row, Type wanted) {
    const auto divides = [&](Type type) { return row % quant::format_of(type).block_len == 0; };
    if (divides(wanted)) { return wanted; }
    Type other = Type::q4_0;
    switch (wanted) {
        case Type::q4_k: other = Type::q5_0; break;
        case Type::q5_k: other = Type::q5_1; break;
        case Type::q6_k: other = Type::q8_0; break;
        case Type::tq1_0:
        case Type::tq2_0:
        case Type::q1_0:
        case Type::q2_0:
        case Type::nvfp4:
        case Type::mxfp4: break;
        default: other = Type::iq4_nl;
    }
    return divides(other) ? other : Type::f16;
}

bool is_matrix(const TensorShape& t) {
    constexpr std::string_view kept[] = {"_norm.weight", ".ffn_gate_inp.weight", ".ssm_conv1d.weight",
                                         ".shortconv.conv.weight"};
    return t.dims.size() >= 2 && t.values.empty() && t.name.ends_with(".weight") && t.name != "position_embd.weight" &&
           t.name != "token_types.weight" &&
           std::ranges::none_of(kept, [&](std::string_view ending) { return t.name.ends_with(ending); });
}

bool is_weight_format(const quant::Format& format) {
    return std::ranges::any_of(file_types, [&](const auto& row) { return row.first == format.type; });
}

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; }

}  // namespace

std::vector<std::string_view> type_names() {
    std::vector<std::string_view> names;
    for (const quant::Format& format : quant::formats()) {
        if (is_weight_format(format)) { names.push_back(format.name); }
    }
    for (const Mix& mix : mixes) { names.push_back(mix.name); }
    return names;
}

std::string_view file_type_name(uint32_t file_type) {
    const auto* const mix = std::ranges::find(mixes, file_type, &Mix::file_type);
    if (mix != std::end(mixes)) { return mix->name; }
    const auto* const row = std::ranges::find(file_types, file_type, &std::pair<Type, uint32_t>::second);
    return row == std::end(file_types) ? std::string_view() : quant::format_of(row->first).name;
}

Result<Types> choose_types(std::string_view name, std::span<const TensorShape> tensors, bool pure) {
    const quant::Format* format = quant::find_format(name);
    const auto* const mix =
        std::ranges::find_if(mixes, [&](const Mix& m) { return std::ranges::equal(m.name, name, {}, {}, upper); });
    if (mix == std::end(mixes) && (format == nullptr || !is_weight_format(*format))) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no type that weights can have", name),
                     {},
                     fmt::format("Known: {}", fmt::join(type_names(), ", "))};
    }
    const Facts facts = facts_of(tensors);
    Types types;
    types.file_type = mix != std::end(mixes)
                          ? mix->file_type
                          : std::ranges::find(file_types, format->type, &std::pair<Type, uint32_t>::first)->second;
    for (const TensorShape& t : tensors) {
        types.is_matrix.push_back(is_matrix(t));
        if (!types.is_matrix.back()) {
            types.of.push_back(Type::f32);
            continue;
        }
        const Place at{part_of(t.name), layer_of(t.name).value_or(0)};
        const Type wanted = mix == std::end(mixes) ? format->type : pure ? mix->base : mixed(*mix, at, facts);
        types.of.push_back(for_rows_of(t.dims[0], wanted));
        types.n_replaced += types.of.back() != wanted ? 1 : 0;
    }
    return types;
}

}  // namespace wallaby::convert
