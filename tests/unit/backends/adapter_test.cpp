// LoRA: a model with an adapter is the model whose matrices have its product added; to the same bits whatever else is
// in the batch.
#include <gtest/gtest.h>

#include "convert/adapted.h"
#include "support/lora.h"
#include "support/runner.h"
#include "support/sanitized.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

std::vector<int32_t> some_tokens(size_t n, uint64_t seed = 1) {
    sampling::Random random(seed);
    std::vector<int32_t> out(n);
    for (int32_t& t : out) { t = int32_t(random.next() % TinyModel::n_vocab); }
    return out;
}

const std::pair<const char*, TinyModel> models[] = {
    {"llama", {.biases = true}},
    {"llama q8_0", {.type = quant::Type::q8_0}},
    {"llama moe", {.n_expert = 5, .n_used = 2, .biases = true}},
    {"gpt2", {.architecture = "gpt2", .n_ctx = 512, .biases = true}},
    {"phi3", {.architecture = "phi3"}},
    {"qwen3moe", {.architecture = "qwen3moe", .n_expert = 5, .n_used = 2}},
    {"gpt-oss",
     {.architecture = "gpt-oss",
      .n_expert = 5,
      .n_used = 2,
      .biases = true,
      .numbers = {{"attention.sliding_window", 33}}}},
    {"mamba2", {.architecture = "mamba2"}},
};

std::vector<float> logits_of(std::unique_ptr<gguf::WeightSource> source, const std::string& backend,
                             const std::vector<gguf::ScaledAdapter>& adapters = {}) {
    Runner runner(std::move(source), {.n_threads = 2, .backend = backend});
    runner.adapt(adapters);
    return runner.feed(some_tokens(50), 23);
}

// Two adapters at two scales against the matrices that they make, in double from the file.
TEST(BackendsAdapter, IsTheModelWithItsProductAdded) {
    for (const auto& entry : models) {
        const TinyModel& model = entry.second;
        SCOPED_TRACE(entry.first);
        const std::vector<gguf::ScaledAdapter> adapters{
            {TinyAdapter{.rank = 3}.open(*model.open()), 1},
            {TinyAdapter{.rank = 18, .alpha = 6, .seed = 8}.open(*model.open()), -0.7f}};
        const auto merged = [&] { return std::make_unique<convert::AdaptedSource>(model.open(), adapters); };
        const auto truth = logits_of(merged(), "reference");
        const auto plain = logits_of(model.open(), "reference");
        EXPECT_GT(relative_error(plain, truth), 0.05) << "the adapters change nothing";
        const auto reference = logits_of(model.open(), "reference", adapters);
        EXPECT_LT(relative_error(reference, truth), 2e-6);
        const auto cpu = logits_of(model.open(), "auto", adapters);
        const double bound = model.type == quant::Type::f32 ? 1e-5 : 0.05;
        EXPECT_LT(relative_error(cpu, reference), bound);
    }
}

TEST(BackendsAdapter, FactorsOfEveryPlainType) {
    const TinyModel model;
    for (const quant::Type type : {quant::Type::f32, quant::Type::f16, quant::Type::bf16}) {
        for (const uint64_t rank : {uint64_t(1), uint64_t(16), uint64_t(33)}) {
            SCOPED_TRACE(fmt::format("{} rank {}", quant::format_of(type).name, rank));
            const std::vector<gguf::ScaledAdapter> adapters{
                {TinyAdapter{.rank = rank, .type = type}.open(*model.open()), 0.5f}};
            EXPECT_LT(relative_error(logits_of(model.open(), "auto", adapters),
                                     logits_of(model.open(), "reference", adapters)),
                      1e-5);
        }
    }
}

void expect_same_bits(std::span<const float> a, std::span<const float> b, const std::string& what) {
    ASSERT_EQ(a.size(), b.size()) << what;
    for (size_t i = 0; i < a.size(); i++) {
        ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i])) << what << ", element " << i;
    }
}

// However a text is cut, on however many threads, on every instruction set, and beside sequences with other adapters or
// none.
TEST(BackendsAdapter, SameBitsWhateverElseIsInTheBatch) {
    for (const auto& [name, model] : models) {
        for (const char* backend : {"reference", "auto"}) {
            SCOPED_TRACE(std::string(name) + " " + backend);
            if (under_sanitizer && model.n_expert == 0 && model.architecture != "mamba2") { continue; }
            const auto a = TinyAdapter{.rank = 5}.open(*model.open()),
                       b = TinyAdapter{.rank = 16, .type = quant::Type::f16, .seed = 9}.open(*model.open());
            const std::vector<std::vector<gguf::ScaledAdapter>> adapters{{{a, 1}}, {{b, 0.5f}, {a, -1}}, {}};
            std::vector<std::vector<float>> alone;
            for (uint32_t s = 0; s < 3; s++) {
                Runner runner(model.open(), {.n_ctx = 256, .backend = backend});
                runner.adapt(adapters[s]);
                alone.push_back(runner.feed(some_tokens(90, s)));
                for (const size_t n_chunk : {size_t(1), size_t(7)}) {
                    runner.reset();
                    expect_same_bits(runner.feed(some_tokens(90, s), n_chunk), alone[s], fmt::format("by {}", n_chunk));
                }
            }
            std::vector<std::string> others{backend};
            if (others[0] == "auto") { others.emplace_back("portable"); }
            for (const std::string& other : others) {
                Runner together(model.open(), {.n_ctx = 256, .n_seqs = 3, .n_threads = 3, .backend = other});
                for (uint32_t s = 0; s < 3; s++) { together.adapt(adapters[s], s); }
                std::vector<std::vector<float>> got(3);
                for (size_t i = 0; i < 90; i += 30) {
                    std::vector<Runner::Part> parts;
                    for (uint32_t s = 0; s < 3; s++) {
                        const auto tokens = some_tokens(90, s);
                        parts.push_back({s, {tokens.begin() + ptrdiff_t(i), tokens.begin() + ptrdiff_t(i + 30)}});
                    }
                    const auto logits = together.step(parts);
                    const auto n = ptrdiff_t(logits.size() / 3);
                    for (ptrdiff_t s = 0; s < 3; s++) {
                        got[size_t(s)].insert(got[size_t(s)].end(), logits.begin() + s * n,
                                              logits.begin() + (s + 1) * n);
                    }
                }
                for (size_t s = 0; s < 3; s++) { expect_same_bits(got[s], alone[s], fmt::format("sequence {}", s)); }
            }
        }
    }
}

TEST(BackendsAdapter, AtScaleZeroIsTheModelItself) {
    const TinyModel model;
    const auto a = TinyAdapter{}.open(*model.open());
    for (const char* backend : {"reference", "auto"}) {
        expect_same_bits(logits_of(model.open(), backend, {{a, 0}}), logits_of(model.open(), backend), backend);
    }
}

TEST(BackendsAdapter, OnlyOfTheSameExecutableAndAtAFiniteScale) {
    const TinyModel model;
    const auto file = TinyAdapter{}.open(*model.open());
    for (const char* backend : {"reference", "auto"}) {
        Runner one(model.open(), {.backend = backend}), other(model.open(), {.backend = backend});
        const auto mine = must(one.executable().adapt(file)), theirs = must(other.executable().adapt(file));
        const std::vector<kv::PageId> pages{0};
        std::vector<float> logits(TinyModel::n_vocab);
        const auto run = [&](const backends::Adapter* adapter, float scale) {
            const backends::Batch::Sequence::Adapted adapted[] = {{adapter, scale}};
            backends::Batch batch;
            batch.rows.push_back({5, 0, 0, true});
            batch.sequences.push_back({.pages = pages, .adapters = adapted});
            return one.executable().run(0, batch, logits, {});
        };
        EXPECT_TRUE(run(mine.get(), 1).ok());
        for (const auto& [adapter, scale] : {std::pair{theirs.get(), 1.0f}, {nullptr, 1.0f}, {mine.get(), NAN}}) {
            const auto ran = run(adapter, scale);
            ASSERT_FALSE(ran.ok());
            EXPECT_EQ(ran.error().code, ErrorCode::argument);
        }
    }
}

TEST(BackendsAdapter, OfWhatNoMatmulReadsIsRefused) {
    const TinyModel model{.architecture = "mamba2"};
    const auto source = model.open();
    const gguf::Tensor* const conv = source->find("blk.0.ssm_conv1d.weight");
    GgufBytes file;
    file.kv("general.type", "adapter").kv("adapter.type", "lora").kv("general.architecture", "mamba2");
    file.tensor_f32("blk.0.ssm_conv1d.weight.lora_a", {conv->dims[0], 2}, std::vector<float>(2 * conv->dims[0], 1));
    file.tensor_f32("blk.0.ssm_conv1d.weight.lora_b", {2, conv->dims[1]}, std::vector<float>(2 * conv->dims[1], 1));
    const std::shared_ptr<const gguf::Adapter> adapter =
        must(gguf::Adapter::read(*TinyModel::open_bytes(file.build()), *source));
    for (const char* backend : {"reference", "auto"}) {
        Runner runner(*source, {.backend = backend});
        const auto made = runner.executable().adapt(adapter);
        ASSERT_FALSE(made.ok());
        EXPECT_EQ(made.error().code, ErrorCode::unsupported);
        EXPECT_NE(made.error().message().find("blk.0.ssm_conv1d.weight"), std::string::npos) << made.error().message();
    }
}

}  // namespace
