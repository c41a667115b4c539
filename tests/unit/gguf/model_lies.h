// Files that keep the format's rules and lie about their model: keys that contradict the tensors or each other, tensors
// that are not what the family needs, vocabularies that do not fit, weights that are no numbers.
#pragma once
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support/edited_gguf.h"
#include "support/tiny_model.h"
#include "unit/text/toy_vocabulary.h"

namespace wallaby::testing {

struct Lie {
    std::string name;
    std::function<std::vector<uint8_t>()> make;
    std::string field;  // part of the key's or tensor's name in the error
};

namespace lies {

using Edit = std::function<void(EditedGguf&)>;

// The files that are made to lie, once.
inline const std::vector<uint8_t>& small() {
    static const auto bytes = TinyModel{.n_embd = 32, .n_ff = 64, .n_ctx = 64}.build();
    return bytes;
}
inline const std::vector<uint8_t>& small_routed() {
    static const auto bytes = TinyModel{.n_embd = 32, .n_ff = 64, .n_ctx = 64, .n_expert = 4, .n_used = 2}.build();
    return bytes;
}
// Its rows are whole blocks of every format.
inline const std::vector<uint8_t>& wide() {
    static const auto bytes = TinyModel{.n_embd = 256, .n_ff = 256, .n_layers = 1, .n_ctx = 64}.build();
    return bytes;
}

inline EditedGguf parts_of(const std::vector<uint8_t>& bytes) {
    return EditedGguf(**gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "lie.gguf")));
}

inline void add(std::vector<Lie>& all, const std::vector<uint8_t>& truth, std::string name, std::string field,
                Edit edit) {
    const auto make = [&truth, edit = std::move(edit)] {
        EditedGguf file = parts_of(truth);
        edit(file);
        return file.build();
    };
    all.push_back({std::move(name), make, std::move(field)});
}

// Each required or range-checked key: missing, of every wrong type, out of range.
inline std::vector<Lie> keys() {
    std::vector<Lie> all;
    const auto set = [&](const std::string& suffix, const std::string& what, auto value) {
        const std::string key = "llama." + suffix;
        add(all, small(), suffix + " " + what, key, [=](EditedGguf& f) { f.keys.set(key, value); });
    };
    const std::string integers[] = {"block_count",          "embedding_length",        "attention.head_count",
                                    "context_length",       "attention.head_count_kv", "feed_forward_length",
                                    "attention.key_length", "rope.dimension_count"};
    for (const std::string& suffix : integers) {
        const std::string key = "llama." + suffix;
        set(suffix, "string", "8");
        set(suffix, "f32", 8.0f);
        set(suffix, "f64", 8.0);
        set(suffix, "bool", true);
        set(suffix, "zero", uint32_t(0));
        set(suffix, "minus one", int32_t(-1));
        set(suffix, "2^32", uint64_t(1) << 32);
        set(suffix, "2^64 - 1", UINT64_MAX);
        set(suffix, "2^32 - 1", UINT32_MAX);
        add(all, small(), suffix + " empty array", key,
            [=](EditedGguf& f) { f.keys.set_array<uint32_t>(key, std::span<const uint32_t>()); });
    }
    for (const char* suffix : {"block_count", "embedding_length", "attention.head_count", "context_length",
                               "feed_forward_length", "attention.layer_norm_rms_epsilon"}) {
        add(all, small(), suffix + std::string(" missing"), suffix,
            [key = "llama." + std::string(suffix)](EditedGguf& f) { f.keys.remove(key); });
    }
    for (const char* suffix : {"attention.layer_norm_rms_epsilon", "rope.freq_base"}) {
        set(suffix, "string", "1e-5");
        set(suffix, "bool", true);
        set(suffix, "zero", 0.0f);
        set(suffix, "negative", -1.0f);
        set(suffix, "NaN", NAN);
        set(suffix, "infinite", INFINITY);
        set(suffix, "huge", 1e300);
    }
    const std::pair<std::string, uint32_t> contradictions[] = {

        {"attention.head_count", 3},   {"attention.head_count_kv", 3}, {"attention.head_count_kv", 8},
        {"attention.value_length", 4}, {"rope.dimension_count", 3},    {"rope.dimension_count", 10},
        {"block_count", 4097},
    };
    for (const auto& [suffix, value] : contradictions) { set(suffix, std::to_string(value), value); }
    // These are possible numbers: what they contradict is the tensors.
    const auto against = [&](const std::string& suffix, uint32_t value, const std::string& tensor) {
        add(all, small(), suffix + " against " + tensor, tensor,
            [=](EditedGguf& f) { f.keys.set("llama." + suffix, value); });
    };
    against("block_count", 1, "blk.1.");
    against("block_count", 3, "blk.2.");
    against("embedding_length", 64, "token_embd.weight");
    against("attention.head_count_kv", 4, "blk.0.attn_k.weight");
    against("attention.key_length", 16, "blk.0.attn_q.weight");
    against("feed_forward_length", 63, "blk.0.ffn_gate.weight");
    for (const std::vector<uint32_t>& layers : {std::vector<uint32_t>{2}, {2, 2, 2}, {2, 0}, {2, 3}}) {
        add(all, small(),
            "head_count_kv of " + std::to_string(layers.size()) + " layers, last " + std::to_string(layers.back()),
            "llama.attention.head_count_kv",
            [=](EditedGguf& f) { f.keys.set_array<uint32_t>("llama.attention.head_count_kv", layers); });
    }
    set("rope.scaling.type", "unknown", "spiral");
    set("rope.scaling.type", "of another type", 4u);
    set("rope.scaling.factor", "NaN", NAN);
    set("rope.scaling.factor", "negative", -2.0f);
    add(all, small(), "experts in a dense file", "ffn_gate_inp.weight",
        [](EditedGguf& f) { f.keys.set("llama.expert_count", 4u).set("llama.expert_used_count", 2u); });
    return all;
}

inline std::vector<Lie> architectures() {
    std::vector<Lie> all;
    const auto with = [&](std::string name, const Edit& edit) {
        add(all, small(), "architecture " + std::move(name), "general.architecture", edit);
    };
    const std::string key = "general.architecture";
    with("missing", [=](EditedGguf& f) { f.keys.remove(key); });
    with("u32", [=](EditedGguf& f) { f.keys.set(key, 7u); });
    with("empty", [=](EditedGguf& f) { f.keys.set(key, ""); });
    with("unknown", [=](EditedGguf& f) { f.keys.set(key, "hyena"); });
    with("with NUL", [=](EditedGguf& f) { f.keys.set(key, std::string_view("llama\0", 6)); });
    with("in capitals", [=](EditedGguf& f) { f.keys.set(key, "LLAMA"); });
    with("of a megabyte", [=](EditedGguf& f) { f.keys.set(key, std::string(1 << 20, 'x')); });
    with("array", [=](EditedGguf& f) { f.keys.set_array(key, std::vector<std::string>{"llama"}); });
    return all;
}

inline std::vector<Lie> experts() {
    std::vector<Lie> all;
    const auto set = [&](const std::string& suffix, uint32_t value, const std::string& field) {
        add(all, small_routed(), suffix + " " + std::to_string(value), field,
            [=](EditedGguf& f) { f.keys.set("llama." + suffix, value); });
    };
    set("expert_used_count", 0, "expert_used_count");
    set("expert_used_count", 5, "expert_used_count");
    set("expert_count", 1, "expert_used_count");
    set("expert_count", 3, "ffn_gate_inp.weight");
    set("expert_count", 5, "ffn_gate_inp.weight");
    set("expert_count", 1u << 20, "expert_count");
    set("expert_count", 0, "blk.0.");
    return all;
}

// Each tensor of a dense and of a routed model: missing, of another shape, of a type that holds no weights.
inline std::vector<Lie> tensors() {
    std::vector<Lie> all;
    for (const bool dense : {true, false}) {
        const std::vector<uint8_t>& tiny = dense ? small() : small_routed();
        const std::string kind = dense ? "dense " : "routed ";
        for (const EditedGguf::Part& part : parts_of(tiny).parts) {
            const std::string name = part.name;
            const bool is_tied_without = name == "output.weight";  // a missing one means the embedding's
            if (!is_tied_without) {
                add(all, tiny, kind + name + " missing", name, [=](EditedGguf& f) { f.remove(name); });
            }
            // The tokens are counted against the embedding first.
            const std::string field = name == "token_embd.weight" ? "tokenizer.ggml.tokens" : name;
            add(all, tiny, kind + name + " one row more", field, [=](EditedGguf& f) {
                std::vector<uint64_t> dims = f.part(name).dims;
                dims.back()++;
                f.part(name).resize(quant::Type::f32, dims);
            });
            add(all, tiny, kind + name + " half as wide", name, [=](EditedGguf& f) {
                std::vector<uint64_t> dims = f.part(name).dims;
                dims.front() /= 2;
                f.part(name).resize(quant::Type::f32, dims);
            });
            add(all, tiny, kind + name + " as integers", name,
                [=](EditedGguf& f) { f.part(name).resize(quant::Type::i32, f.part(name).dims); });
        }
    }
    const auto extra = [&](const std::string& name, const std::vector<uint64_t>& dims) {
        add(all, small(), "extra " + name, name, [=](EditedGguf& f) {
            f.parts.push_back({name, {}, quant::Type::f32, {}});
            f.parts.back().resize(quant::Type::f32, dims);
        });
    };
    extra("blk.2.attn_q.weight", {32, 32});
    extra("blk.0.attn_q_norm.weight", {8});
    extra("blk.00.attn_q.weight", {32, 32});
    extra("blk.0.attn_q.weight2", {32, 32});
    extra("position_embd.weight", {32, 64});
    extra("blk.0.attn_q.bias", {31});
    extra("blk.0.attn_q.scale", {2});
    extra("rope_freqs.weight", {3});
    extra("rope_freqs.weight", {4});  // zeros: no divisors
    add(all, small(), "transposed ffn_up", "ffn_up", [](EditedGguf& f) {
        f.part("blk.0.ffn_up.weight").dims = {64, 32};
    });
    add(all, small(), "embedding of three dimensions", "token_embd.weight", [](EditedGguf& f) {
        f.part("token_embd.weight").resize(quant::Type::f32, {32, 269, 2});
    });
    add(all, small(), "swapped names", "blk.0.attn_norm.weight",
        [](EditedGguf& f) { std::swap(f.part("blk.0.attn_norm.weight").name, f.part("output.weight").name); });
    return all;
}

// Bytes of a block of the format that decode to something not finite; empty where no bytes do.
inline std::vector<uint8_t> non_finite_block(const quant::Format& format) {
    for (const uint16_t pattern : {0x7c00, 0x7f80, 0x7ff0, 0xffff}) {
        for (size_t at = 0; at + 2 <= format.block_bytes; at++) {
            std::vector<uint8_t> block(format.block_bytes);
            std::memcpy(&block[at], &pattern, 2);
            std::vector<float> values(format.block_len);
            format.decode(block.data(), values.data(), 1);
            for (const float v : values) {
                if (!std::isfinite(v)) { return block; }
            }
        }
    }
    return {};
}

inline std::vector<Lie> weights() {
    std::vector<Lie> all;
    for (const quant::Format& format : quant::formats()) {
        const std::vector<uint8_t> block = non_finite_block(format);
        if (block.empty() || format.type == quant::Type::f64) { continue; }
        for (const char* name : {"token_embd.weight", "blk.0.ffn_down.weight"}) {
            add(all, wide(), fmt::format("{} of {} not finite", name, format.name), name, [=](EditedGguf& f) {
                EditedGguf::Part& part = f.part(name);
                part.resize(format.type, part.dims);
                std::ranges::copy(block, part.bytes.end() - std::ptrdiff_t(block.size()));
            });
        }
    }
    for (const auto& [what, value] : {std::pair<std::string, float>{"NaN", NAN}, {"infinite", INFINITY}}) {
        for (const char* name : {"blk.1.attn_norm.weight", "output_norm.weight", "blk.0.attn_q.weight"}) {
            add(all, small(), name + (" " + what), name,
                [=, v = value](EditedGguf& f) { std::memcpy(&f.part(name).bytes[4 * 5], &v, 4); });
        }
    }
    return all;
}

// --- Vocabularies: such a model would still run on ids, but its tokenizer is refused.

inline std::vector<Lie> spm_vocabulary() {
    std::vector<Lie> all;
    const auto with = [&](std::string name, const std::string& field, Edit edit) {
        add(all, small(), std::move(name), "tokenizer.ggml." + field, std::move(edit));
    };
    const auto set = [&](const std::string& key, const std::string& what, auto value) {
        with(key + " " + what, key, [=](EditedGguf& f) { f.keys.set("tokenizer.ggml." + key, value); });
    };
    const uint32_t n = TinyModel::n_vocab;
    const auto texts = [&](const std::string& name, const std::string& field, auto change) {
        with(name, field, [=](EditedGguf& f) {
            std::vector<std::string> tokens = TinyModel::tokens();
            change(tokens);
            f.keys.set_array("tokenizer.ggml.tokens", tokens);
        });
    };
    const auto types = [&](const std::string& name, const std::string& field, auto change) {
        with(name, field, [=](EditedGguf& f) {
            std::vector<int32_t> values(n, 1);
            change(values);
            f.keys.set_array<int32_t>("tokenizer.ggml.token_type", values);
        });
    };
    const auto scores = [&](const std::string& name, auto change) {
        with(name, "scores", [=](EditedGguf& f) {
            std::vector<float> values(n, 0);
            change(values);
            f.keys.set_array<float>("tokenizer.ggml.scores", values);
        });
    };
    with("no model", "model", [](EditedGguf& f) { f.keys.remove("tokenizer.ggml.model"); });
    set("model", "unknown", "abacus");
    set("model", "of another type", 3u);
    with("no tokens", "tokens", [](EditedGguf& f) { f.keys.remove("tokenizer.ggml.tokens"); });
    set("tokens", "of another type", "a b c");
    texts("one token fewer than the embedding", "tokens", [](auto& t) { t.pop_back(); });
    texts("one token more than the embedding", "tokens", [](auto& t) { t.push_back("x"); });
    texts("no token", "tokens", [](auto& t) { t.clear(); });
    texts("a token of a megabyte", "tokens", [](auto& t) { t[260] = std::string(1 << 20, 'x'); });
    texts("a byte token that is none", "tokens", [](auto& t) { t[10] = "<0xZZ>"; });
    types("types one short", "token_type", [](auto& t) { t.pop_back(); });
    types("types one long", "token_type", [](auto& t) { t.push_back(1); });
    types("type 7", "token_type", [](auto& t) { t[5] = 7; });
    types("type -1", "token_type", [](auto& t) { t[5] = -1; });
    types("type 2^31 - 1", "token_type", [](auto& t) { t[5] = INT32_MAX; });
    set("token_type", "of another type", 1.0f);
    scores("scores one short", [](auto& s) { s.pop_back(); });
    scores("scores one long", [](auto& s) { s.push_back(0); });
    scores("score NaN", [](auto& s) { s[5] = NAN; });
    set("scores", "of another type", 1u);
    with("no scores", "scores", [](EditedGguf& f) { f.keys.remove("tokenizer.ggml.scores"); });
    for (const char* role : {"bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id"}) {
        set(role, "beyond", n);
        set(role, "far beyond", UINT32_MAX - 1);
        set(role, "minus two", int32_t(-2));
        set(role, "string", "1");
        set(role, "f32", 1.0f);
    }
    set("add_bos_token", "of another type", 1u);
    set("add_space_prefix", "of another type", "yes");
    with("BOS wanted, none there", "add_bos_token", [](EditedGguf& f) {
        f.keys.set("tokenizer.ggml.bos_token_id", int32_t(-1)).set("tokenizer.ggml.add_bos_token", true);
    });
    return all;
}

inline std::vector<Lie> bpe_vocabulary() {
    std::vector<Lie> all;
    const auto with = [&](std::string name, const std::string& field, const Edit& edit) {
        add(all, small(), std::move(name), "tokenizer.ggml." + field, [=](EditedGguf& f) {
            Toy toy = bpe_toy();
            while (toy.tokens.size() < TinyModel::n_vocab) { toy.add("filler" + std::to_string(toy.tokens.size())); }
            f.keys.set("tokenizer.ggml.model", "gpt2").set("tokenizer.ggml.pre", "gpt-2");
            f.keys.set_array("tokenizer.ggml.tokens", toy.tokens).set_array("tokenizer.ggml.merges", toy.merges);
            f.keys.set_array<int32_t>("tokenizer.ggml.token_type", toy.types).remove("tokenizer.ggml.scores");
            edit(f);
        });
    };
    const auto merges = [&](std::string name, const std::vector<std::string>& values) {
        with(std::move(name), "merges", [=](EditedGguf& f) { f.keys.set_array("tokenizer.ggml.merges", values); });
    };
    with("no merges", "merges", [](EditedGguf& f) { f.keys.remove("tokenizer.ggml.merges"); });
    with("merges of another type", "merges", [](EditedGguf& f) { f.keys.set("tokenizer.ggml.merges", "a b"); });
    merges("a merge of one piece", {"a b", "ab"});
    merges("a merge of three pieces", {"a b c"});
    merges("a merge without a left side", {" b"});
    merges("a merge without a right side", {"a "});
    merges("an empty merge", {""});
    merges("a merge of a megabyte", {std::string(1 << 20, 'a') + " b"});
    with("an unknown pre-tokenizer", "pre", [](EditedGguf& f) { f.keys.set("tokenizer.ggml.pre", "scissors"); });
    with("a pre-tokenizer of another type", "pre", [](EditedGguf& f) { f.keys.set("tokenizer.ggml.pre", 1u); });
    return all;
}

inline std::vector<Lie> all() {
    std::vector<Lie> out;
    for (const auto& part :
         {architectures(), keys(), experts(), tensors(), weights(), spm_vocabulary(), bpe_vocabulary()}) {
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

}  // namespace lies
}  // namespace wallaby::testing
