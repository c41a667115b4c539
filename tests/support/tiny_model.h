// Small random models made in memory from a seed, so that tests of the engine need no data from elsewhere.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gguf/weight_source.h"
#include "quant/format.h"
#include "sampling/random.h"
#include "support/gguf_bytes.h"

namespace wallaby::testing {

struct TinyModel {
    std::string architecture = "llama";  // any family but those that need more than the keys below
    uint32_t n_embd = 64, n_heads = 4, n_heads_kv = 2, n_ff = 96, n_layers = 2, n_ctx = 256;
    uint32_t n_expert = 0, n_used = 0;
    bool tied = false, biases = false;
    quant::Type type = quant::Type::f32;  // of the matrices
    uint64_t seed = 1;
    std::map<std::string, float> numbers = {};               // further keys, after "<architecture>."
    std::map<std::string, std::string> strings = {};         // the same
    std::map<std::string, std::vector<float>> vectors = {};  // further tensors
    std::string chat_template = {}, run_prompt = {};         // keys tokenizer.chat_template and wallaby.run.prompt
    std::vector<std::string> without = {};                   // tensors and keys left out: a file with a hole

    // <unk> <s> </s>, the 256 byte tokens, and pieces: enough for a SentencePiece tokenizer that encodes any text.
    static std::vector<std::string> tokens() {
        std::vector<std::string> out{"<unk>", "<s>", "</s>"};
        for (int i = 0; i < 256; i++) {
            char text[8];
            std::snprintf(text, sizeof(text), "<0x%02X>", i);
            out.emplace_back(text);
        }
        for (const char* piece : {"\u2581", "a", "b", "c", "d", "e", "\u2581a", "ab", "abc", "\u2581abc"}) {
            out.emplace_back(piece);
        }
        return out;
    }
    static constexpr uint32_t n_vocab = 269;
    static constexpr uint32_t ssm_groups = 2, ssm_state = 24;

    std::vector<uint8_t> build() const {
        GgufBytes file;
        sampling::Random random(seed);
        write_metadata(file);
        const uint32_t head = n_embd / n_heads, n_kv = head * n_heads_kv;
        const auto put = [&](const std::string& name, const std::vector<uint64_t>& dims, double mean, double spread,
                             quant::Type as) {
            size_t n = 1;
            for (const uint64_t d : dims) { n *= d; }
            std::vector<float> values(n);
            for (float& v : values) {  // nearly normal: the sum of four uniform numbers
                const double u = random.uniform() + random.uniform() + random.uniform() + random.uniform() - 2;
                v = float(mean + spread * u * 1.7320508);
            }
            if (is_out(name)) { return; }
            const quant::Format& format = quant::format_of(as);
            std::vector<uint8_t> bytes(n / format.block_len * format.block_bytes);
            format.encode(values.data(), bytes.data(), n / format.block_len, nullptr);
            file.tensor(name, dims, uint32_t(as), bytes);
        };
        const auto matrix = [&](const std::string& name, uint64_t n_in, uint64_t n_out, uint64_t n_matrices = 1) {
            std::vector<uint64_t> dims{n_in, n_out};
            if (n_matrices != 1) { dims.push_back(n_matrices); }
            put(name + ".weight", dims, 0, 1 / std::sqrt(double(n_in)), type);
            if (biases) { put(name + ".bias", {n_out * n_matrices}, 0, 0.1, quant::Type::f32); }
        };
        const bool is_gpt2 = architecture == "gpt2";
        const auto norm = [&](const std::string& name, uint64_t width = 0) {
            put(name + ".weight", {width == 0 ? n_embd : width}, 1, 0.1, quant::Type::f32);
            if (is_gpt2) { put(name + ".bias", {n_embd}, 0, 0.1, quant::Type::f32); }
        };
        put("token_embd.weight", {n_embd, n_vocab}, 0, 1, type);
        if (is_gpt2) { put("position_embd.weight", {n_embd, n_ctx}, 0, 0.5, type); }
        for (uint32_t il = 0; il < n_layers; il++) {
            const std::string blk = "blk." + std::to_string(il) + ".";
            if (architecture == "mamba2") {
                const uint64_t n_inner = 2 * n_embd, n_conv = n_inner + 2 * ssm_groups * ssm_state;
                norm(blk + "attn_norm");
                norm(blk + "ssm_norm", n_inner);
                matrix(blk + "ssm_in", n_embd, n_inner + n_conv + n_heads);
                matrix(blk + "ssm_out", n_inner, n_embd);
                put(blk + "ssm_conv1d.weight", {4, n_conv}, 0, 0.5, quant::Type::f32);
                put(blk + "ssm_conv1d.bias", {n_conv}, 0, 0.1, quant::Type::f32);
                put(blk + "ssm_a", {1, n_heads}, -2, 0.4, quant::Type::f32);
                put(blk + "ssm_d", {1, n_heads}, 1, 0.1, quant::Type::f32);
                put(blk + "ssm_dt.bias", {n_heads}, -1, 0.5, quant::Type::f32);
                continue;
            }
            const bool is_gemma = architecture == "gemma2" || architecture == "gemma3";
            const bool is_olmo2 = architecture == "olmo2", is_gpt_oss = architecture == "gpt-oss";
            if (!is_olmo2) { norm(blk + "attn_norm"); }
            if (!is_olmo2 && !is_gpt_oss) { norm(blk + "ffn_norm"); }
            if (is_olmo2 || is_gemma || is_gpt_oss) { norm(blk + "post_attention_norm"); }
            if (is_olmo2 || is_gemma) { norm(blk + "post_ffw_norm"); }
            if (architecture.starts_with("qwen3") || architecture == "gemma3") {
                norm(blk + "attn_q_norm", head);
                norm(blk + "attn_k_norm", head);
            } else if (is_olmo2) {
                norm(blk + "attn_q_norm", n_embd);
                norm(blk + "attn_k_norm", n_kv);
            }
            if (is_gpt_oss) { put(blk + "attn_sinks.weight", {n_heads}, 0, 1, quant::Type::f32); }
            const bool is_phi3 = architecture == "phi3";
            if (is_gpt2 || is_phi3) {
                matrix(blk + "attn_qkv", n_embd, n_embd + 2 * n_kv);
            } else {
                matrix(blk + "attn_q", n_embd, n_embd);
                matrix(blk + "attn_k", n_embd, n_kv);
                matrix(blk + "attn_v", n_embd, n_kv);
            }
            matrix(blk + "attn_output", n_embd, n_embd);
            const std::string suffix = n_expert == 0 ? "" : "_exps";
            const uint64_t n_matrices = n_expert == 0 ? 1 : n_expert;
            if (n_expert != 0) { matrix(blk + "ffn_gate_inp", n_embd, n_expert); }
            if (!is_gpt2 && !is_phi3) { matrix(blk + "ffn_gate" + suffix, n_embd, n_ff, n_matrices); }
            matrix(blk + "ffn_up" + suffix, n_embd, is_phi3 ? 2 * n_ff : n_ff, n_matrices);
            matrix(blk + "ffn_down" + suffix, n_ff, n_embd, n_matrices);
        }
        norm("output_norm");
        if (!tied) { put("output.weight", {n_embd, n_vocab}, 0, 1 / std::sqrt(double(n_embd)), type); }
        for (const auto& [name, values] : vectors) { file.tensor_f32(name, {values.size()}, values); }
        return file.build();
    }

    // The same, opened; keeps its bytes.
    std::unique_ptr<gguf::WeightSource> open() const { return open_bytes(build()); }

    static std::unique_ptr<gguf::WeightSource> open_bytes(std::vector<uint8_t> bytes) {
        class Owned final : public base::ByteSource {
          public:
            explicit Owned(std::vector<uint8_t> b) : bytes_(std::move(b)), view_(bytes_, "tiny.gguf") {}
            uint64_t size() const override { return view_.size(); }
            Result<void> read(uint64_t offset, std::span<uint8_t> out) const override {
                return view_.read(offset, out);
            }
            const std::string& name() const override { return view_.name(); }

          private:
            std::vector<uint8_t> bytes_;
            base::MemorySource view_;
        };
        auto opened = gguf::open_gguf(std::make_unique<Owned>(std::move(bytes)));
        if (!opened.ok()) { throw std::runtime_error(opened.error().message()); }
        return std::move(opened).value();
    }

  private:
    bool is_out(const std::string& name) const {
        return std::find(without.begin(), without.end(), name) != without.end();
    }

    void write_metadata(GgufBytes& file) const {
        const auto put = [&](const std::string& suffix, auto value) {
            if (!is_out(suffix) && !numbers.contains(suffix)) { file.kv(architecture + "." + suffix, value); }
        };
        file.kv("general.architecture", architecture);
        put("context_length", n_ctx);
        put("embedding_length", n_embd);
        put("block_count", n_layers);
        put("feed_forward_length", n_ff);
        put("attention.head_count", n_heads);
        put("attention.head_count_kv", n_heads_kv);
        put("attention.layer_norm_rms_epsilon", 1e-5f);
        put("attention.layer_norm_epsilon", 1e-5f);
        if (architecture == "mamba2") {
            put("ssm.inner_size", 2 * n_embd);
            put("ssm.conv_kernel", 4u);
            put("ssm.state_size", ssm_state);
            put("ssm.time_step_rank", n_heads);
            put("ssm.group_count", ssm_groups);
        }
        if (n_expert != 0) {
            put("expert_count", n_expert);
            put("expert_used_count", n_used);
        }
        for (const auto& [suffix, value] : numbers) {
            const bool counts = suffix.starts_with("ssm.") || suffix.ends_with("length") || suffix.ends_with("count") ||
                                suffix.ends_with("head_count_kv") || suffix.ends_with("window");
            if (counts && value >= 0 && value < 4294967296.0f) {
                file.kv(architecture + "." + suffix, uint32_t(value));
            } else {
                file.kv(architecture + "." + suffix, value);
            }
        }
        for (const auto& [suffix, value] : strings) { file.kv(architecture + "." + suffix, value); }
        if (!chat_template.empty()) { file.kv("tokenizer.chat_template", chat_template); }
        if (!run_prompt.empty()) { file.kv("wallaby.run.prompt", run_prompt); }
        const std::vector<std::string> texts = tokens();
        std::vector<float> scores;
        std::vector<int32_t> types;
        for (size_t i = 0; i < texts.size(); i++) {
            scores.push_back(-float(i));
            types.push_back(i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
        }
        file.kv("tokenizer.ggml.model", "llama")
            .array("tokenizer.ggml.tokens", texts)
            .array("tokenizer.ggml.scores", scores);
        file.array("tokenizer.ggml.token_type", types)
            .kv("tokenizer.ggml.bos_token_id", 1u)
            .kv("tokenizer.ggml.eos_token_id", 2u);
    }
};

}  // namespace wallaby::testing
