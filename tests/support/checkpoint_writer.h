// Checkpoints in Hugging Face's layout, made of a small model of ours: as Transformers' modules of each family name,
// shape and order their weights. Written from their side, without the converter's tables.
#pragma once
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/float16.h"
#include "base/math.h"
#include "gguf/weight_source.h"
#include "support/tiny_model.h"

namespace wallaby::testing {

struct HfTensor {
    std::string name;
    std::vector<uint64_t> dims;  // outermost first
    std::vector<float> values;
};

template <class T>
void append_le(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

inline std::string elements(const std::vector<float>& values, std::string_view dtype) {
    std::string out;
    for (const float v : values) {
        if (dtype == "F32") { append_le(out, v); }
        if (dtype == "BF16") { append_le(out, base::bf16_from_f32(v)); }
        if (dtype == "F16") { append_le(out, base::f16_from_f32(v)); }
    }
    return out;
}

// The bytes of a safetensors file.
class SafetensorsBytes {
  public:
    SafetensorsBytes& add(const std::string& name, std::string_view dtype, const std::vector<uint64_t>& dims,
                          const std::string& bytes) {
        header_ +=
            fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", header_.empty() ? "" : ",",
                        name, dtype, fmt::join(dims, ","), data_.size(), data_.size() + bytes.size());
        data_ += bytes;
        return *this;
    }
    SafetensorsBytes& add(const HfTensor& t, std::string_view dtype) {
        return add(t.name, dtype, t.dims, elements(t.values, dtype));
    }
    std::string build() const { return with_header("{\"__metadata__\":{\"format\":\"pt\"}," + header_ + "}", data_); }

    static std::string with_header(std::string header, const std::string& data) {
        while (header.size() % 8 != 0) { header += ' '; }
        std::string out;
        append_le(out, uint64_t(header.size()));
        return out + header + data;
    }

  private:
    std::string header_, data_;
};

inline void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

// The model with every weight rounded to a value that BF16 has.
inline std::unique_ptr<gguf::WeightSource> rounded(const TinyModel& tiny) {
    std::vector<uint8_t> bytes = tiny.build();
    const gguf::File file = *gguf::read_file(base::MemorySource(bytes, "tiny.gguf"));
    for (const gguf::Tensor& t : file.tensors) {
        for (uint64_t i = 0; i < t.n_elements(); i++) {
            uint8_t* const at = bytes.data() + t.offset + i * sizeof(float);
            const float value = base::f32_from_bf16(base::bf16_from_f32(base::load_le<float>(at)));
            std::memcpy(at, &value, sizeof(value));
        }
    }
    return TinyModel::open_bytes(std::move(bytes));
}

// A tiny model's weights as its family's modules in Transformers have them.
class HfModel {
  public:
    explicit HfModel(const TinyModel& tiny) : HfModel(tiny, tiny.open()) {}
    HfModel(const TinyModel& tiny, std::unique_ptr<gguf::WeightSource> ours) : tiny_(tiny), source_(std::move(ours)) {
        const std::string& a = tiny.architecture;
        if (a == "gpt2") {
            gpt2();
        } else if (a == "mamba2") {
            mamba2();
        } else {
            decoder();
        }
    }

    std::vector<HfTensor> tensors;

  private:
    using Values = std::vector<float>;

    Values ours(const std::string& name) const {
        const gguf::Tensor* const t = source_->find(name);
        if (t == nullptr) { throw std::runtime_error("no " + name); }
        return *gguf::read_floats(*source_, *t, UINT64_MAX);
    }
    bool has(const std::string& name) const { return source_->find(name) != nullptr; }
    bool is(std::string_view architecture) const { return tiny_.architecture == architecture; }
    bool is_gemma() const { return is("gemma2") || is("gemma3"); }

    void add(const std::string& name, std::vector<uint64_t> dims, Values values) {
        tensors.push_back({name, std::move(dims), std::move(values)});
    }

    // torch.nn.Linear: [outputs, inputs], and a bias.
    void linear(const std::string& name, const std::string& our_name, uint64_t n_in, uint64_t n_out) {
        add(name + ".weight", {n_out, n_in}, ours(our_name + ".weight"));
        if (has(our_name + ".bias")) { add(name + ".bias", {n_out}, ours(our_name + ".bias")); }
    }

    // rotate_half() pairs element j of a head with j + head/2; ours pairs neighbours.
    static Values rotated_by_halves(const Values& pairs, uint64_t head, uint64_t width) {
        Values halves(pairs.size());
        const uint64_t n_heads = pairs.size() / width / head;
        for (uint64_t h = 0; h < n_heads; h++) {
            for (uint64_t j = 0; j < head; j++) {
                const uint64_t from = j < head / 2 ? 2 * j : 2 * (j - head / 2) + 1;
                for (uint64_t c = 0; c < width; c++) {
                    halves[(h * head + j) * width + c] = pairs[(h * head + from) * width + c];
                }
            }
        }
        return halves;
    }
    void query_or_key(const std::string& name, const std::string& our_name, uint64_t n_in, uint64_t n_out) {
        if (!is("llama")) { return linear(name, our_name, n_in, n_out); }
        const uint64_t head = tiny_.n_embd / tiny_.n_heads;
        add(name + ".weight", {n_out, n_in}, rotated_by_halves(ours(our_name + ".weight"), head, n_in));
        if (has(our_name + ".bias")) {
            add(name + ".bias", {n_out}, rotated_by_halves(ours(our_name + ".bias"), head, 1));
        }
    }

    // GemmaRMSNorm multiplies by 1 + weight.
    void norm(const std::string& name, const std::string& our_name) {
        Values values = ours(our_name + ".weight");
        if (is_gemma()) {
            for (float& v : values) { v -= 1; }
        }
        const uint64_t n = values.size();
        add(name + ".weight", {n}, std::move(values));
    }

    void experts(const std::string& mlp, const std::string& blk) {
        const uint64_t n_embd = tiny_.n_embd, n_ff = tiny_.n_ff, n = tiny_.n_expert;
        const Values gate = ours(blk + "ffn_gate_exps.weight"), up = ours(blk + "ffn_up_exps.weight"),
                     down = ours(blk + "ffn_down_exps.weight");
        if (is("gpt-oss")) {
            linear(mlp + "router", blk + "ffn_gate_inp", n_embd, n);
            // [experts, inputs, outputs], gate and up in turn.
            Values gate_up(n * n_embd * 2 * n_ff), downs(n * n_ff * n_embd), biases(n * 2 * n_ff);
            const Values gate_bias = ours(blk + "ffn_gate_exps.bias"), up_bias = ours(blk + "ffn_up_exps.bias");
            for (uint64_t e = 0; e < n; e++) {
                for (uint64_t k = 0; k < n_ff; k++) {
                    for (uint64_t i = 0; i < n_embd; i++) {
                        float* const at = &gate_up[((e * n_embd + i) * n_ff + k) * 2];
                        at[0] = gate[(e * n_ff + k) * n_embd + i];
                        at[1] = up[(e * n_ff + k) * n_embd + i];
                        downs[(e * n_ff + k) * n_embd + i] = down[(e * n_embd + i) * n_ff + k];
                    }
                    biases[(e * n_ff + k) * 2] = gate_bias[e * n_ff + k];
                    biases[(e * n_ff + k) * 2 + 1] = up_bias[e * n_ff + k];
                }
            }
            add(mlp + "experts.gate_up_proj", {n, n_embd, 2 * n_ff}, gate_up);
            add(mlp + "experts.gate_up_proj_bias", {n, 2 * n_ff}, biases);
            add(mlp + "experts.down_proj", {n, n_ff, n_embd}, downs);
            add(mlp + "experts.down_proj_bias", {n, n_embd}, ours(blk + "ffn_down_exps.bias"));
            return;
        }
        const bool is_mixtral = is("llama");
        linear(mlp + "gate", blk + "ffn_gate_inp", n_embd, n);
        for (uint64_t e = 0; e < n; e++) {
            const std::string expert = fmt::format("{}experts.{}.", mlp, e);
            const auto part = [&](const Values& all) {
                const uint64_t size = n_embd * n_ff;
                return Values(all.begin() + std::ptrdiff_t(e * size), all.begin() + std::ptrdiff_t((e + 1) * size));
            };
            add(expert + (is_mixtral ? "w1" : "gate_proj") + ".weight", {n_ff, n_embd}, part(gate));
            add(expert + (is_mixtral ? "w3" : "up_proj") + ".weight", {n_ff, n_embd}, part(up));
            add(expert + (is_mixtral ? "w2" : "down_proj") + ".weight", {n_embd, n_ff}, part(down));
        }
    }

    void attention(const std::string& attn, const std::string& blk) {
        const uint64_t n_embd = tiny_.n_embd, n_kv = n_embd / tiny_.n_heads * tiny_.n_heads_kv;
        if (is("phi3")) {
            linear(attn + "qkv_proj", blk + "attn_qkv", n_embd, n_embd + 2 * n_kv);
        } else {
            query_or_key(attn + "q_proj", blk + "attn_q", n_embd, n_embd);
            query_or_key(attn + "k_proj", blk + "attn_k", n_embd, n_kv);
            linear(attn + "v_proj", blk + "attn_v", n_embd, n_kv);
        }
        linear(attn + "o_proj", blk + "attn_output", n_embd, n_embd);
        if (has(blk + "attn_q_norm.weight")) {
            norm(attn + "q_norm", blk + "attn_q_norm");
            norm(attn + "k_norm", blk + "attn_k_norm");
        }
        if (is("gpt-oss")) { add(attn + "sinks", {tiny_.n_heads}, ours(blk + "attn_sinks.weight")); }
    }

    void decoder() {
        const uint64_t n_embd = tiny_.n_embd, n_ff = tiny_.n_ff, n_vocab = TinyModel::n_vocab;
        add("model.embed_tokens.weight", {n_vocab, n_embd}, ours("token_embd.weight"));
        for (uint32_t il = 0; il < tiny_.n_layers; il++) {
            const std::string layer = fmt::format("model.layers.{}.", il), blk = fmt::format("blk.{}.", il);
            attention(layer + "self_attn.", blk);
            if (!is("olmo2")) { norm(layer + "input_layernorm", blk + "attn_norm"); }
            if (is_gemma()) {
                norm(layer + "post_attention_layernorm", blk + "post_attention_norm");
                norm(layer + "pre_feedforward_layernorm", blk + "ffn_norm");
                norm(layer + "post_feedforward_layernorm", blk + "post_ffw_norm");
            } else if (is("olmo2")) {
                norm(layer + "post_attention_layernorm", blk + "post_attention_norm");
                norm(layer + "post_feedforward_layernorm", blk + "post_ffw_norm");
            } else {
                norm(layer + "post_attention_layernorm", blk + (is("gpt-oss") ? "post_attention_norm" : "ffn_norm"));
            }
            if (tiny_.n_expert != 0) {
                experts(layer + (is("llama") ? "block_sparse_moe." : "mlp."), blk);
            } else if (is("phi3")) {
                linear(layer + "mlp.gate_up_proj", blk + "ffn_up", n_embd, 2 * n_ff);
                linear(layer + "mlp.down_proj", blk + "ffn_down", n_ff, n_embd);
            } else {
                linear(layer + "mlp.gate_proj", blk + "ffn_gate", n_embd, n_ff);
                linear(layer + "mlp.up_proj", blk + "ffn_up", n_embd, n_ff);
                linear(layer + "mlp.down_proj", blk + "ffn_down", n_ff, n_embd);
            }
        }
        norm("model.norm", "output_norm");
        if (!tiny_.tied) { add("lm_head.weight", {n_vocab, n_embd}, ours("output.weight")); }
    }

    // Conv1D: [inputs, outputs].
    void conv1d(const std::string& name, const std::string& our_name, uint64_t n_in, uint64_t n_out) {
        const Values rows = ours(our_name + ".weight");
        Values columns(rows.size());
        for (uint64_t i = 0; i < n_in; i++) {
            for (uint64_t o = 0; o < n_out; o++) { columns[i * n_out + o] = rows[o * n_in + i]; }
        }
        add(name + ".weight", {n_in, n_out}, columns);
        add(name + ".bias", {n_out}, ours(our_name + ".bias"));
    }
    void layer_norm(const std::string& name, const std::string& our_name) {
        add(name + ".weight", {tiny_.n_embd}, ours(our_name + ".weight"));
        add(name + ".bias", {tiny_.n_embd}, ours(our_name + ".bias"));
    }
    void gpt2() {
        const uint64_t n_embd = tiny_.n_embd;
        add("transformer.wte.weight", {TinyModel::n_vocab, n_embd}, ours("token_embd.weight"));
        add("transformer.wpe.weight", {tiny_.n_ctx, n_embd}, ours("position_embd.weight"));
        for (uint32_t il = 0; il < tiny_.n_layers; il++) {
            const std::string h = fmt::format("transformer.h.{}.", il), blk = fmt::format("blk.{}.", il);
            layer_norm(h + "ln_1", blk + "attn_norm");
            layer_norm(h + "ln_2", blk + "ffn_norm");
            add(h + "attn.bias", {1, 1, 2, 2}, {1, 0, 1, 1});  // a mask that old files carry
            conv1d(h + "attn.c_attn", blk + "attn_qkv", n_embd, 3 * n_embd);
            conv1d(h + "attn.c_proj", blk + "attn_output", n_embd, n_embd);
            conv1d(h + "mlp.c_fc", blk + "ffn_up", n_embd, tiny_.n_ff);
            conv1d(h + "mlp.c_proj", blk + "ffn_down", tiny_.n_ff, n_embd);
        }
        layer_norm("transformer.ln_f", "output_norm");
        add("lm_head.weight", {TinyModel::n_vocab, n_embd}, ours("token_embd.weight"));  // tied, and saved all the same
    }

    void mamba2() {
        const uint64_t n_embd = tiny_.n_embd, n_inner = 2 * n_embd, n_heads = tiny_.n_heads;
        const uint64_t n_conv = n_inner + 2 * TinyModel::ssm_groups * TinyModel::ssm_state;
        add("backbone.embeddings.weight", {TinyModel::n_vocab, n_embd}, ours("token_embd.weight"));
        for (uint32_t il = 0; il < tiny_.n_layers; il++) {
            const std::string layer = fmt::format("backbone.layers.{}.", il), blk = fmt::format("blk.{}.", il);
            const std::string mixer = layer + "mixer.";
            Values a_log = ours(blk + "ssm_a");  // A = -exp(A_log)
            for (float& a : a_log) { a = float(std::log(-double(a))); }
            add(mixer + "A_log", {n_heads}, a_log);
            add(mixer + "D", {n_heads}, ours(blk + "ssm_d"));
            add(mixer + "dt_bias", {n_heads}, ours(blk + "ssm_dt.bias"));
            add(mixer + "conv1d.weight", {n_conv, 1, 4}, ours(blk + "ssm_conv1d.weight"));
            add(mixer + "conv1d.bias", {n_conv}, ours(blk + "ssm_conv1d.bias"));
            linear(mixer + "in_proj", blk + "ssm_in", n_embd, n_inner + n_conv + n_heads);
            linear(mixer + "out_proj", blk + "ssm_out", n_inner, n_embd);
            norm(mixer + "norm", blk + "ssm_norm");
            norm(layer + "norm", blk + "attn_norm");
        }
        norm("backbone.norm_f", "output_norm");
        add("lm_head.weight", {TinyModel::n_vocab, n_embd}, ours("output.weight"));
    }

    const TinyModel tiny_;
    std::unique_ptr<gguf::WeightSource> source_;
};

// A config.json of a tiny model. `more` is put in as it is: ", \"field\": value".
inline std::string hf_config(const TinyModel& t, const std::string& more = "") {
    static const std::map<std::string, std::string> types{
        {"llama", "llama"},   {"qwen2", "qwen2"}, {"qwen3", "qwen3"},        {"qwen3moe", "qwen3_moe"},
        {"gemma2", "gemma2"}, {"phi3", "phi3"},   {"gemma3", "gemma3_text"}, {"gpt-oss", "gpt_oss"},
        {"olmo2", "olmo2"},   {"gpt2", "gpt2"},   {"mamba2", "mamba2"}};
    const uint32_t head = t.n_embd / t.n_heads;
    const std::string type = t.architecture == "llama" && t.n_expert != 0 ? "mixtral" : types.at(t.architecture);
    std::string out = fmt::format(R"({{"model_type": "{}", "vocab_size": {}, "tie_word_embeddings": {})", type,
                                  TinyModel::n_vocab, t.tied);
    if (type == "gpt2") {
        out += fmt::format(R"(, "n_embd": {}, "n_layer": {}, "n_head": {}, "n_inner": {}, "n_positions": {})", t.n_embd,
                           t.n_layers, t.n_heads, t.n_ff, t.n_ctx);
    } else if (type == "mamba2") {
        out += fmt::format(R"(, "hidden_size": {}, "num_hidden_layers": {}, "num_heads": {}, "head_dim": {},
                              "n_groups": {}, "state_size": {}, "conv_kernel": 4, "expand": 2)",
                           t.n_embd, t.n_layers, t.n_heads, 2 * head, TinyModel::ssm_groups, TinyModel::ssm_state);
    } else {
        out += fmt::format(R"(, "hidden_size": {}, "num_hidden_layers": {}, "num_attention_heads": {},
                              "num_key_value_heads": {}, "head_dim": {}, "intermediate_size": {},
                              "max_position_embeddings": {}, "rms_norm_eps": 1e-05, "rope_theta": 10000.0)",
                           t.n_embd, t.n_layers, t.n_heads, t.n_heads_kv, head, t.n_ff, t.n_ctx);
        if (t.n_expert != 0) {
            out +=
                fmt::format(R"(, "num_local_experts": {0}, "num_experts_per_tok": {1}, "moe_intermediate_size": {2})",
                            t.n_expert, t.n_used, t.n_ff);
        }
    }
    return out + more + "}";
}

// SentencePiece's model file of a tiny model's tokens: ModelProto { pieces = 1 { piece = 1, score = 2, type = 3 },
// trainer_spec = 2 { model_type = 3 }, normalizer_spec = 3 { remove_extra_whitespaces = 4 } }.
inline std::string sentencepiece_model() {
    constexpr int normal = 1, unknown = 2, control = 3, byte = 6, bpe = 2;
    std::string out;
    const std::vector<std::string> tokens = TinyModel::tokens();
    for (size_t i = 0; i < tokens.size(); i++) {
        std::string piece = "\x0a" + std::string(1, char(tokens[i].size())) + tokens[i] + "\x15";
        append_le(piece, -float(i));
        piece += "\x18";
        piece += char(i == 0 ? unknown : i < 3 ? control : i < 259 ? byte : normal);
        out += "\x0a" + std::string(1, char(piece.size())) + piece;
    }
    return out + "\x12\x02\x18" + char(bpe) + std::string("\x1a\x02\x20\x00", 4);
}

struct Written {
    std::string dtype = "F32";
    size_t n_files = 1;
    std::string more_config = {};
};

// Writes the directory: config.json, the weights in one file or in shards with their index, and a tokenizer.
inline void write_checkpoint(const std::filesystem::path& directory, const TinyModel& tiny,
                             const std::vector<HfTensor>& tensors, const Written& options = {}) {
    std::filesystem::create_directories(directory);
    write_text(directory / "config.json", hf_config(tiny, options.more_config));
    write_text(directory / "tokenizer.model", sentencepiece_model());
    std::vector<SafetensorsBytes> files(options.n_files);
    std::string map;
    const auto name_of = [&](size_t i) {
        return options.n_files == 1 ? std::string("model.safetensors")
                                    : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, options.n_files);
    };
    for (size_t i = 0; i < tensors.size(); i++) {
        const size_t file = i * options.n_files / tensors.size();
        files[file].add(tensors[i], options.dtype);
        map += fmt::format(R"({}"{}": "{}")", i == 0 ? "" : ", ", tensors[i].name, name_of(file));
    }
    for (size_t i = 0; i < files.size(); i++) { write_text(directory / name_of(i), files[i].build()); }
    if (options.n_files != 1) {
        write_text(directory / "model.safetensors.index.json",
                   "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {" + map + "}}");
    }
}

}  // namespace wallaby::testing
