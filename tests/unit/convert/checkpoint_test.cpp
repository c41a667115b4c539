#include "convert/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "convert/assembled.h"
#include "convert/bind.h"
#include "convert/encoded.h"
#include "convert/hf_config.h"
#include "convert/hf_tensors.h"
#include "convert/safetensors.h"
#include "convert/streaming.h"
#include "sampling/random.h"
#include "support/checkpoint_writer.h"
#include "support/data.h"
#include "support/memory_sink.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using namespace wallaby::testing;
using quant::Type;

const std::vector<int32_t> tokens{1, 10, 20, 30, 40, 261, 262, 3, 259, 260, 5, 17};

// A family as tests make it: the model, and what its config.json says besides its sizes.
struct Case {
    const char* name;
    TinyModel tiny;
    std::string config = {};
    double bound = 0;  // of the logits' relative error. 0: every weight is copied
};

std::vector<std::string> biases_but_qkv(uint32_t n_layers) {
    std::vector<std::string> names;
    for (uint32_t il = 0; il < n_layers; il++) {
        for (const char* name : {"attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
            names.push_back(fmt::format("blk.{}.{}.bias", il, name));
        }
    }
    return names;
}

// Gains of Gemma are stored less 1, which is exact both ways for gains from 0.5 to 2. Decay rates of Mamba are stored
// as logarithms below 1.2, each rounded by 2^-24 of itself and then once more as a rate.
constexpr double of_rates = 2.2 * 0x1p-24;

std::vector<Case> cases() {
    constexpr int head = 16;
    return {
        {"llama", {}},
        {"llama-biases", {.tied = true, .biases = true}, R"(, "attention_bias": true, "mlp_bias": true)"},
        {"mixtral", {.n_expert = 4, .n_used = 2}},
        {"qwen2", {.architecture = "qwen2", .biases = true, .without = biases_but_qkv(2)}},
        {"qwen3", {.architecture = "qwen3", .tied = true}},
        {"qwen3_moe", {.architecture = "qwen3moe", .n_expert = 4, .n_used = 2}},
        {"gemma2",
         {.architecture = "gemma2", .tied = true, .numbers = {{"attention.sliding_window", 6}}},
         fmt::format(R"(, "sliding_window": 6, "query_pre_attn_scalar": {})", head)},
        {"gemma3",
         {.architecture = "gemma3", .n_layers = 7, .tied = true, .numbers = {{"attention.sliding_window", 6}}},
         fmt::format(R"(, "sliding_window": 6, "query_pre_attn_scalar": {})", head)},
        {"phi3", {.architecture = "phi3"}},
        {"gpt_oss",
         {.architecture = "gpt-oss",
          .n_expert = 4,
          .n_used = 2,
          .biases = true,
          .numbers = {{"attention.sliding_window", 6}}},
         R"(, "sliding_window": 6, "attention_bias": true)"},
        {"olmo2", {.architecture = "olmo2"}},
        {"gpt2", {.architecture = "gpt2", .n_heads_kv = 4, .tied = true, .biases = true}},
        {"mamba2", {.architecture = "mamba2"}, "", of_rates},
    };
}

class ConvertCheckpoint : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "wallaby-checkpoint-XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        path_ = folder_ + "/tiny-model";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::unique_ptr<gguf::WeightSource> convert(const Case& c, const Written& options = {}) const {
        const HfModel hf(c.tiny);
        Written with = options;
        with.more_config += c.config;
        std::filesystem::remove_all(path_);
        write_checkpoint(path_, c.tiny, hf.tensors, with);
        return must(open_checkpoint(path_));
    }
    std::string refusal(const TinyModel& tiny, const std::vector<HfTensor>& tensors,
                        const Written& options = {}) const {
        std::filesystem::remove_all(path_);
        write_checkpoint(path_, tiny, tensors, options);
        return refusal();
    }
    std::string refusal() const {
        const auto opened = open_checkpoint(path_);
        return opened.ok() ? "" : opened.error().message();
    }

    std::string folder_, path_;
};

std::vector<uint8_t> bytes_of(const gguf::WeightSource& source, const gguf::Tensor& tensor) {
    std::vector<uint8_t> bytes(tensor.n_bytes);
    const auto read = source.read(tensor, 0, bytes);
    EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().message());
    return bytes;
}

std::vector<float> logits_of(const gguf::WeightSource& source) { return Runner(source, {.n_ctx = 128}).feed(tokens); }

void expect_in(const std::string& message, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
        EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
    }
}

TEST_F(ConvertCheckpoint, LogitsAreTheOriginals) {
    for (const Case& c : cases()) {
        SCOPED_TRACE(c.name);
        const double error = relative_error(logits_of(*convert(c)), logits_of(*c.tiny.open()));
        std::printf("[ measured ] %s: %.1e\n", c.name, error);
        EXPECT_LE(error, c.bound);
    }
}

// The same from shards in BF16, of a model whose weights all are values that BF16 has.
TEST_F(ConvertCheckpoint, LogitsOfShardsInHalfPrecision) {
    for (const Case& c : cases()) {
        if (c.bound != 0) { continue; }
        SCOPED_TRACE(c.name);
        const HfModel hf(c.tiny, rounded(c.tiny));
        std::filesystem::remove_all(path_);
        write_checkpoint(path_, c.tiny, hf.tensors, {.dtype = "BF16", .n_files = 3, .more_config = c.config});
        const auto converted = must(open_checkpoint(path_));
        EXPECT_EQ(converted->find("token_embd.weight")->type, Type::bf16);
        EXPECT_EQ(converted->find("output_norm.weight")->type, Type::f32);
        EXPECT_EQ(must(converted->metadata().u32("general.file_type")), 32u);
        EXPECT_EQ(relative_error(logits_of(*converted), logits_of(*rounded(c.tiny))), 0.0);
    }
}

// Every kind of model that config.json can name has its tensors' names.
TEST_F(ConvertCheckpoint, EveryModelTypeHasATable) {
    for (const std::string_view type : known_model_types()) { EXPECT_NE(find_hf_family(type), nullptr) << type; }
}

// Any part of any tensor is that part of the whole, whichever thread asks.
TEST_F(ConvertCheckpoint, ReadsByRange) {
    for (const Case& c : cases()) {
        SCOPED_TRACE(c.name);
        const auto source = convert(c);
        const auto read_parts = [&](uint64_t seed) {
            sampling::Random random(seed);
            for (const gguf::Tensor& tensor : source->tensors()) {
                const std::vector<uint8_t> whole = bytes_of(*source, tensor);
                for (int i = 0; i < 8; i++) {
                    const auto begin = uint64_t(random.uniform() * double(whole.size()));
                    const auto n = uint64_t(random.uniform() * double(whole.size() - begin));
                    std::vector<uint8_t> part(n);
                    ASSERT_TRUE(source->read(tensor, begin, part).ok());
                    ASSERT_EQ(std::memcmp(part.data(), whole.data() + begin, n), 0) << tensor.name;
                }
                std::vector<uint8_t> beyond(2);
                EXPECT_FALSE(source->read(tensor, whole.size() - 1, beyond).ok());
                const auto mapped = source->bytes(tensor);
                if (!mapped.empty()) { EXPECT_EQ(std::memcmp(mapped.data(), whole.data(), whole.size()), 0); }
            }
        };
        std::thread other(read_parts, 1);
        read_parts(2);
        other.join();
    }
}

// HF's LLaMA (modeling_llama.py), written down over the checkpoint's own weights in double: rotate_half() pairs element
// j with j + head/2, and frequencies repeat for the second half.
TEST_F(ConvertCheckpoint, RotationByHalvesGivesTheSameLogits) {
    const TinyModel tiny{.n_layers = 1};
    const HfModel hf(tiny);
    write_checkpoint(path_, tiny, hf.tensors);
    const auto weights = [&](const std::string& name) -> const std::vector<float>& {
        return std::ranges::find(hf.tensors, name, &HfTensor::name)->values;
    };
    using Vector = std::vector<double>;
    const auto linear = [&](const std::string& name, const Vector& x) {
        const std::vector<float>& w = weights(name);
        Vector y(w.size() / x.size());
        for (size_t o = 0; o < y.size(); o++) {
            for (size_t i = 0; i < x.size(); i++) { y[o] += double(w[o * x.size() + i]) * x[i]; }
        }
        return y;
    };
    const auto norm = [&](const std::string& name, const Vector& x) {
        double sum = 0;
        for (const double v : x) { sum += v * v; }
        Vector y(x.size());
        for (size_t i = 0; i < x.size(); i++) {
            y[i] = x[i] / std::sqrt(sum / double(x.size()) + double(1e-5f)) * double(weights(name)[i]);
        }
        return y;
    };
    const auto add = [](Vector a, const Vector& b) {
        for (size_t i = 0; i < a.size(); i++) { a[i] += b[i]; }
        return a;
    };
    const size_t head = tiny.n_embd / tiny.n_heads;
    const auto rotate = [&](const Vector& x, size_t position) {
        Vector y(x.size());
        for (size_t at = 0; at < x.size(); at += head) {
            for (size_t j = 0; j < head; j++) {
                const double angle = double(position) * std::pow(1e4, -2.0 * double(j % (head / 2)) / double(head));
                const double half = j < head / 2 ? -x[at + j + head / 2] : x[at + j - head / 2];
                y[at + j] = x[at + j] * std::cos(angle) + half * std::sin(angle);
            }
        }
        return y;
    };
    std::vector<Vector> keys, values;
    std::vector<float> logits;
    const std::string layer = "model.layers.0.", attn = layer + "self_attn.", mlp = layer + "mlp.";
    for (size_t t = 0; t < tokens.size(); t++) {
        const auto row = weights("model.embed_tokens.weight").begin() + tokens[t] * std::ptrdiff_t(tiny.n_embd);
        const Vector x(row, row + tiny.n_embd);
        const Vector n = norm(layer + "input_layernorm.weight", x);
        const Vector q = rotate(linear(attn + "q_proj.weight", n), t);
        keys.push_back(rotate(linear(attn + "k_proj.weight", n), t));
        values.push_back(linear(attn + "v_proj.weight", n));
        Vector attended(tiny.n_embd);
        for (size_t h = 0; h < tiny.n_heads; h++) {
            const size_t kv = h / (tiny.n_heads / tiny.n_heads_kv);
            Vector scores(t + 1);
            double sum = 0;
            for (size_t s = 0; s <= t; s++) {
                for (size_t j = 0; j < head; j++) { scores[s] += q[h * head + j] * keys[s][kv * head + j]; }
                scores[s] = std::exp(scores[s] / std::sqrt(double(head)));
                sum += scores[s];
            }
            for (size_t s = 0; s <= t; s++) {
                for (size_t j = 0; j < head; j++) {
                    attended[h * head + j] += scores[s] / sum * values[s][kv * head + j];
                }
            }
        }
        const Vector y = add(x, linear(attn + "o_proj.weight", attended));
        const Vector m = norm(layer + "post_attention_layernorm.weight", y);
        Vector gate = linear(mlp + "gate_proj.weight", m);
        const Vector up = linear(mlp + "up_proj.weight", m);
        for (size_t i = 0; i < gate.size(); i++) { gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i]; }
        const Vector out =
            linear("lm_head.weight", norm("model.norm.weight", add(y, linear(mlp + "down_proj.weight", gate))));
        logits.insert(logits.end(), out.begin(), out.end());
    }
    // The engine rounds each op's result to float32.
    EXPECT_LE(relative_error(logits_of(*must(open_checkpoint(path_))), logits), 1e-6);
}

// Written to a file by pieces and read again: the same tensors, and no pieces show.
TEST_F(ConvertCheckpoint, FileHoldsWhatIsRead) {
    for (const Case& c : cases()) {
        SCOPED_TRACE(c.name);
        const auto source = convert(c);
        gguf::Draft draft;
        draft.copy(source->metadata());
        for (const gguf::Tensor& t : source->tensors()) {
            draft.tensor(t.name, t.type, std::span(t.dims).first(t.n_dims));
        }
        MemorySink::Seen seen;
        threads::Pool pool(2);
        auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(seen), draft));
        ASSERT_TRUE(write_source(*source, std::move(writer), pool, {}, {}).ok());
        EXPECT_TRUE(seen.committed);
        const auto file = must(gguf::open_gguf(std::make_unique<base::MemorySource>(seen.bytes, "out")));
        for (const gguf::Tensor& t : source->tensors()) {
            EXPECT_EQ(bytes_of(*file, *file->find(t.name)), bytes_of(*source, t)) << t.name;
        }
        EXPECT_EQ(must(file->metadata().string("general.name")), "tiny-model");
    }
}

// Encoded as it is read: what the quantiser writes, whole and in parts.
TEST_F(ConvertCheckpoint, EncodedAsItIsRead) {
    const Case c{"llama", {.n_embd = 256, .n_ff = 256, .n_layers = 1, .tied = true}};
    for (const char* type : {"Q8_0", "Q4_K_M"}) {
        SCOPED_TRACE(type);
        const auto source = convert(c);
        const QuantizePlan plan = must(plan_quantize(*source, type, {}, "out"));
        MemorySink::Seen seen;
        threads::Pool pool(2);
        auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(seen), plan.draft));
        ASSERT_TRUE(quantize(*source, plan, std::move(writer), pool, {}, {}).ok());
        const auto file = must(gguf::open_gguf(std::make_unique<base::MemorySource>(seen.bytes, "out")));
        const auto encoded = must(EncodedSource::create(must(open_checkpoint(path_)), type));
        EXPECT_EQ(encoded->metadata().entries().size(), file->metadata().entries().size());
        EXPECT_EQ(must(encoded->metadata().u32("general.file_type")), must(file->metadata().u32("general.file_type")));
        sampling::Random random(7);
        for (const gguf::Tensor& t : file->tensors()) {
            const gguf::Tensor* const tensor = encoded->find(t.name);
            ASSERT_NE(tensor, nullptr);
            EXPECT_EQ(tensor->type, t.type);
            const std::vector<uint8_t> whole = bytes_of(*file, t);
            EXPECT_EQ(bytes_of(*encoded, *tensor), whole) << t.name;
            for (int i = 0; i < 4; i++) {
                const auto begin = uint64_t(random.uniform() * double(whole.size()));
                std::vector<uint8_t> part(
                    uint64_t(random.uniform() * double(std::min<size_t>(5000, whole.size() - begin))));
                ASSERT_TRUE(encoded->read(*tensor, begin, part).ok());
                ASSERT_EQ(std::memcmp(part.data(), whole.data() + begin, part.size()), 0) << t.name;
            }
        }
    }
}

// OpenAI's layout: 16 bytes a block with even weights in low nibbles, odd ones in high, the block's exponent apart.
TEST_F(ConvertCheckpoint, BlocksOfGptOss) {
    const TinyModel tiny{.architecture = "gpt-oss",
                         .n_expert = 4,
                         .n_used = 2,
                         .biases = true,
                         .numbers = {{"attention.sliding_window", 6}}};
    HfModel hf(tiny);
    std::erase_if(hf.tensors, [](const HfTensor& t) { return t.name.ends_with("_proj") && t.dims.size() == 3; });
    write_checkpoint(path_, tiny, {});
    write_text(path_ + "/config.json", hf_config(tiny, R"(, "sliding_window": 6, "attention_bias": true,
                                                          "quantization_config": {"quant_method": "mxfp4"})"));
    sampling::Random random(3);
    const auto random_bytes = [&](size_t n, int low, int range) {
        std::string out;
        for (size_t i = 0; i < n; i++) { out += char(low + int(random.uniform() * range)); }
        return out;
    };
    SafetensorsBytes file;
    for (const HfTensor& t : hf.tensors) { file.add(t, "BF16"); }
    const uint64_t n = tiny.n_expert, n_embd = tiny.n_embd, n_ff = tiny.n_ff;
    std::map<std::string, std::string> stored;
    for (uint32_t il = 0; il < tiny.n_layers; il++) {
        const std::string experts = fmt::format("model.layers.{}.mlp.experts.", il);
        const auto put = [&](const std::string& name, uint64_t n_out, uint64_t n_in) {
            stored[name + "_blocks"] = random_bytes(n * n_out * n_in / 2, 0, 256);
            stored[name + "_scales"] = random_bytes(n * n_out * n_in / 32, 120, 6);
            file.add(name + "_blocks", "U8", {n, n_out, n_in / 32, 16}, stored[name + "_blocks"]);
            file.add(name + "_scales", "U8", {n, n_out, n_in / 32}, stored[name + "_scales"]);
        };
        put(experts + "gate_up_proj", 2 * n_ff, n_embd);
        put(experts + "down_proj", n_embd, n_ff);
    }
    write_text(path_ + "/model.safetensors", file.build());
    const auto source = must(open_checkpoint(path_));
    constexpr double levels[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    const auto expect = [&](const std::string& ours, const std::string& theirs, uint64_t n_rows, uint64_t width,
                            uint64_t step, uint64_t first) {
        const gguf::Tensor* const tensor = source->find(ours);
        ASSERT_NE(tensor, nullptr);
        EXPECT_EQ(tensor->type, Type::mxfp4);
        const std::vector<float> values = must(gguf::read_floats(*source, *tensor, UINT64_MAX));
        for (uint64_t e = 0; e < n; e++) {
            for (uint64_t r = 0; r < n_rows; r++) {
                for (uint64_t c = 0; c < width; c++) {
                    const uint64_t at = (e * n_rows * step + r * step + first) * width + c;
                    const auto byte = uint8_t(stored[theirs + "_blocks"][at / 2]);
                    const int code = c % 2 == 0 ? byte & 15 : byte >> 4;
                    const double level = levels[code & 7] * (code < 8 ? 1 : -1);
                    const int exponent = uint8_t(stored[theirs + "_scales"][at / 32]) - 127;
                    ASSERT_EQ(double(values[(e * n_rows + r) * width + c]), std::ldexp(level, exponent)) << ours;
                }
            }
        }
    };
    expect("blk.1.ffn_gate_exps.weight", "model.layers.1.mlp.experts.gate_up_proj", n_ff, n_embd, 2, 0);
    expect("blk.1.ffn_up_exps.weight", "model.layers.1.mlp.experts.gate_up_proj", n_ff, n_embd, 2, 1);
    expect("blk.0.ffn_down_exps.weight", "model.layers.0.mlp.experts.down_proj", n_embd, n_ff, 1, 0);
    for (const float x : logits_of(*source)) { ASSERT_TRUE(std::isfinite(x)); }
}

// A disk that fails from some byte on, after the headers have been read: at the first tensor, or at any later one.
class Failing final : public base::ByteSource {
  public:
    Failing(std::unique_ptr<base::ByteSource> inner, const uint64_t& good) : inner_(std::move(inner)), good_(good) {}
    uint64_t size() const override { return inner_->size(); }
    Result<void> read(uint64_t offset, std::span<uint8_t> out) const override {
        if (offset + out.size() <= good_) { return inner_->read(offset, out); }
        return Error{ErrorCode::io, "no more", {inner_->name(), "", {}}, ""};
    }
    const std::string& name() const override { return inner_->name(); }

  private:
    std::unique_ptr<base::ByteSource> inner_;
    const uint64_t& good_;
};

TEST_F(ConvertCheckpoint, AReadThatFailsLeavesNothing) {
    const TinyModel tiny{.architecture = "gpt2", .n_heads_kv = 4, .tied = true, .biases = true};
    write_checkpoint(path_, tiny, HfModel(tiny).tensors);
    Safetensors stored = must(open_safetensors(path_));
    const std::string config = read_file(path_ + "/config.json");
    const ConfigModel model = must(model_of_config(config, "config.json", false));
    uint64_t good = UINT64_MAX;
    const uint64_t n_bytes = stored.files[0]->size();
    stored.files[0] = std::make_unique<Failing>(std::move(stored.files[0]), good);
    for (StoredTensor& t : stored.tensors) { t.file = stored.files[0].get(); }
    std::vector<AssembledTensor> tensors = must(bind_tensors(stored, path_, model));
    const auto source =
        must(AssembledSource::create(gguf::Draft(), std::move(tensors), std::move(stored.files), path_));
    const auto write = [&](bool encodes) {
        MemorySink::Seen seen;
        threads::Pool pool(2);
        const QuantizePlan plan = must(plan_quantize(*source, encodes ? "Q8_0" : "F32", {}, "out"));
        auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(seen), plan.draft));
        auto written = encodes ? [&] {
            auto types = quantize(*source, plan, std::move(writer), pool, {}, {});
            return types.ok() ? Result<void>() : Result<void>(types.error());
        }() : write_source(*source, std::move(writer), pool, {}, {});
        EXPECT_EQ(seen.committed, written.ok());
        return written;
    };
    for (const bool encodes : {false, true}) {
        for (int i = 0; i < 16; i++) {  // behind that lies the output's matrix, which is not read: it is tied
            good = n_bytes * uint64_t(i) / 20;
            const auto written = write(encodes);
            ASSERT_FALSE(written.ok());
            EXPECT_EQ(written.error().what, "no more");
        }
        good = UINT64_MAX;
        EXPECT_TRUE(write(encodes).ok());
    }
}

TEST_F(ConvertCheckpoint, TensorsThatDoNotFitAreNamed) {
    const TinyModel tiny;
    const HfModel hf(tiny);
    const auto with = [&](const auto& edit) {
        std::vector<HfTensor> tensors = hf.tensors;
        edit(tensors);
        return refusal(tiny, tensors);
    };
    EXPECT_EQ(with([](auto&) {}), "");
    for (size_t i = 0; i < hf.tensors.size(); i++) {
        expect_in(with([&](auto& tensors) { tensors.erase(tensors.begin() + std::ptrdiff_t(i)); }),
                  {"model.safetensors", "'" + hf.tensors[i].name + "'", "is missing"});
    }
    expect_in(with([](auto& t) {
                  t.push_back({"model.layers.0.self_attn.q_proj.bias", {64}, std::vector<float>(64)});
              }),
              {"'model.layers.0.self_attn.q_proj.bias'", "is not known"});
    expect_in(with([](auto& t) { t.push_back({"model.layers.2.mlp.up_proj.weight", {1}, {1}}); }), {"is not known"});
    EXPECT_EQ(with([](auto& t) { t.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {1}, {1}}); }), "");
    expect_in(with([](auto& t) { std::swap(t[0].dims[0], t[0].dims[1]); }),
              {"'" + hf.tensors[0].name + "'", "[64, 269]", "[269, 64]"});
    expect_in(with([](auto& t) { t.front().dims = {269 * 64}; }), {"has the shape"});
}

TEST_F(ConvertCheckpoint, TypesThatAreNoWeightsAreRefused) {
    const TinyModel tiny;
    const HfModel hf(tiny);
    write_checkpoint(path_, tiny, hf.tensors);
    for (const auto& [dtype, size, part] :
         {std::tuple("F8_E4M3", 1, "scales of their own"), std::tuple("I32", 4, "no type of weights"),
          std::tuple("F64", 8, "no type of weights")}) {
        SafetensorsBytes file;
        for (const HfTensor& t : hf.tensors) {
            if (t.name.ends_with("1.mlp.up_proj.weight")) {
                file.add(t.name, dtype, t.dims, std::string(t.values.size() * size_t(size), '\0'));
            } else {
                file.add(t, "F32");
            }
        }
        write_text(path_ + "/model.safetensors", file.build());
        expect_in(refusal(), {"model.layers.1.mlp.up_proj.weight", dtype, part, "BF16"});
    }
}

TEST_F(ConvertCheckpoint, ConfigurationsThatAreRefused) {
    const TinyModel tiny;
    const HfModel hf(tiny);
    const auto with = [&](const std::string& more) { return refusal(tiny, hf.tensors, {.more_config = more}); };
    expect_in(with(R"(, "quantization_config": {"quant_method": "gptq"})"), {"config.json", "'gptq'", "BF16"});
    expect_in(with(R"(, "quantization_config": {"quant_method": "mxfp4"})"), {"'mxfp4'"});
    expect_in(with(R"(, "hidden_act": "gelu")"), {"hidden_act", "'gelu'", "silu"});
    expect_in(with(R"(, "attention_bias": true)"), {"q_proj.bias", "is missing"});
    std::filesystem::remove(path_ + "/config.json");
    expect_in(refusal(), {"config.json", "cannot open"});
}

// The decoder of a model that sees images, under the names of both generations.
TEST_F(ConvertCheckpoint, DecoderOfAModelThatSees) {
    const TinyModel tiny{.architecture = "gemma3", .tied = true, .numbers = {{"attention.sliding_window", 6}}};
    const HfModel hf(tiny);
    const std::string text = hf_config(tiny, R"(, "sliding_window": 6, "query_pre_attn_scalar": 16)");
    for (const std::string root : {"language_model.model.", "model.language_model."}) {
        std::vector<HfTensor> tensors = hf.tensors;
        for (HfTensor& t : tensors) { t.name.replace(0, std::string("model.").size(), root); }
        tensors.push_back({"vision_tower.encoder.weight", {1}, {1}});
        write_checkpoint(path_, tiny, tensors);
        write_text(path_ + "/config.json", R"({"model_type": "gemma3", "text_config": )" + text + "}");
        EXPECT_EQ(relative_error(logits_of(*must(open_checkpoint(path_))), logits_of(*tiny.open())), 0.0);
    }
}

TEST_F(ConvertCheckpoint, GenerationsDefaults) {
    const TinyModel tiny;
    const HfModel hf(tiny);
    write_checkpoint(path_, tiny, hf.tensors);
    const auto with = [&](const std::string& text) {
        write_text(path_ + "/generation_config.json", text);
        return open_checkpoint(path_);
    };
    const auto source = must(with(R"({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": null,
                                      "repetition_penalty": 1.1, "eos_token_id": [2, 5, 7], "other": {"top_k": 3}})"));
    const gguf::Metadata& keys = source->metadata();
    EXPECT_EQ(must(keys.number("general.sampling.temp")), double(0.6f));
    EXPECT_EQ(keys.find("general.sampling.top_k")->type, gguf::ValueType::i32);
    EXPECT_EQ(must(keys.u32("general.sampling.top_k")), 20u);
    EXPECT_EQ(must(keys.number("general.sampling.top_p")), double(0.95f));
    EXPECT_FALSE(keys.has("general.sampling.min_p"));
    EXPECT_EQ(must(keys.number("general.sampling.penalty_repeat")), double(1.1f));
    EXPECT_EQ(must(keys.u32("tokenizer.ggml.eos_token_id")), 2u);
    EXPECT_EQ(must(keys.u32("tokenizer.ggml.eot_token_id")), 5u);
    EXPECT_EQ(must(keys.u32("tokenizer.ggml.eom_token_id")), 7u);
    for (const char* wrong : {R"({"temperature": "warm"})", R"({"temperature": -1})", R"({"top_k": 1.5})",
                              R"({"eos_token_id": 269})", R"({"eos_token_id": [2, -1]})", R"({"top_p": )"}) {
        const auto opened = with(wrong);
        ASSERT_FALSE(opened.ok()) << wrong;
        expect_in(opened.error().message(), {"generation_config.json"});
    }
}

TEST_F(ConvertCheckpoint, VocabularyAlone) {
    const TinyModel tiny;
    write_checkpoint(path_, tiny, {});
    std::filesystem::remove(path_ + "/model.safetensors");
    const auto source = must(open_checkpoint(path_, {.vocabulary_only = true}));
    EXPECT_TRUE(source->tensors().empty());
    EXPECT_EQ(must(source->metadata().u32("llama.embedding_length")), 64u);
    EXPECT_TRUE(source->metadata().has("tokenizer.ggml.tokens"));
}

}  // namespace
