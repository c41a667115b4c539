// stories260K, a trained model: the reference text, tokens, logits and perplexities of DATA.md.
#include <gtest/gtest.h>

#include "convert/quantize.h"
#include "engine/session.h"
#include "eval/divergence.h"
#include "eval/perplexity.h"
#include "support/data.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

std::vector<int32_t> read_ids(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::vector<int32_t> ids;
    for (int32_t id = 0; in >> id;) { ids.push_back(id); }
    return ids;
}

// A model loaded for chunks of n_ctx tokens.
struct Scorer {
    threads::Pool pool{2};
    std::shared_ptr<engine::Model> model;
    std::unique_ptr<engine::Session> session;

    Scorer(const std::filesystem::path& path, uint32_t n_ctx, const char* backend = "cpu") {
        const engine::LoadOptions options{
            .backend = {backend}, .n_ctx = n_ctx, .k_type = quant::Type::f32, .v_type = quant::Type::f32};
        model = must(engine::Model::load(path.string(), options, {pool, {}, {}, {}}));
        session = must(engine::Session::create(model, {}));
    }
};

class GoldenStories : public ::testing::Test {
  protected:
    std::filesystem::path folder_;
    void SetUp() override {
        WALLABY_NEED_DATA(data);
        folder_ = data / "models" / "stories260K";
    }
};

TEST_F(GoldenStories, GreedyTokensAndLogits) {
    const auto tokens = read_ids(folder_ / "greedy256_tokens.txt");  // BOS, then 255 greedy ones
    const auto golden = read_array<float>(folder_ / "greedy256_logits_f32le.bin");
    ASSERT_EQ(tokens.size(), 256u);
    ASSERT_EQ(golden.size(), 256u * 512);
    Runner runner((folder_ / "stories260K.gguf").string(), {});
    const double error = relative_error(runner.feed(tokens), golden);
    RecordProperty("relative_error", std::to_string(error));
    EXPECT_LE(error, 4e-7);  // required: 1e-5
    runner.reset();
    EXPECT_EQ(runner.greedy({tokens[0]}, 255), std::vector<int32_t>(tokens.begin() + 1, tokens.end()));
}

TEST_F(GoldenStories, PerplexityOfTheFirstWindow) {
    auto tokens = read_ids(folder_ / "tinystories_sample_tokens.txt");
    ASSERT_GE(tokens.size(), 512u);
    tokens.resize(512);
    const Scorer f32(folder_ / "stories260K.gguf", 512);
    const auto result = must(eval::perplexity(*f32.session, {tokens, 512, 0, 512}, nullptr, {}, {}));
    EXPECT_EQ(result.n_scored, 511u);
    EXPECT_NEAR(result.nll.value, 1.758743, 1e-6);
    EXPECT_NEAR(result.ppl.value, 5.80514, 1e-5);  // required: ± 0.001
}

// llama-perplexity -c 256: windows of 256 that begin with BOS, scored over their second half.
TEST_F(GoldenStories, PerplexityInWindowsOf256) {
    const auto tokens = read_ids(folder_ / "tinystories_sample_tokens.txt");
    const std::string text = read_file(folder_ / ".." / ".." / "text" / "tinystories_sample.txt");
    const std::pair<const char*, double> expected[] = {
        {"stories260K.gguf", 6.8981}, {"stories260K-Q8_0.gguf", 6.9245}, {"stories260K-Q4_0.gguf", 7.6621}};
    for (const auto& [name, perplexity] : expected) {
        const Scorer scorer(folder_ / name, 256);
        const auto chunks = must(eval::cut_text(*scorer.model, text, 256, {}));
        EXPECT_EQ(chunks.tokens, must(eval::cut(tokens, 256, {}, 1)).tokens);
        EXPECT_EQ(chunks.n_chunks(), 7u);
        const auto result = must(eval::perplexity(*scorer.session, chunks, nullptr, {}, {}));
        const double ours = result.ppl.value;
        std::printf("[ measured ] %s: perplexity %.4f +/- %.5f, llama.cpp %.4f (%+.3f %%)\n", name, ours,
                    result.ppl.error, perplexity, 100 * (ours / perplexity - 1));
        EXPECT_NEAR(ours / perplexity, 1, 0.005) << name;
    }
}

// Our own quantiser on the F32 file. Its rows of 64 are whole blocks of 32, those of 172 are not and stay F16.
TEST_F(GoldenStories, PerplexityOfWhatWeQuantise) {
    const auto tokens = read_ids(folder_ / "tinystories_sample_tokens.txt");
    const auto source = must(gguf::open_gguf((folder_ / "stories260K.gguf").string()));
    const std::string path = ::testing::TempDir() + "wallaby_" + std::to_string(::getpid()) + "_quantised.gguf";
    const std::pair<const char*, double> expected[] = {
        {"F32", 6.8979}, {"Q8_0", 6.8993}, {"IQ4_NL", 7.4435}, {"Q4_0", 7.9698}};
    for (const auto& [type, perplexity] : expected) {
        threads::Pool pool(2);
        const auto plan = must(convert::plan_quantize(*source, type, {.pure = true}, path));
        must(convert::quantize(*source, plan, must(gguf::Writer::create(path, plan.draft)), pool, {}, {}));
        const Scorer scorer(path, 256, "reference");
        const auto chunks = must(eval::cut(tokens, 256, {}, 1));
        const auto result = must(eval::perplexity(*scorer.session, chunks, nullptr, {}, {}));
        EXPECT_NEAR(result.ppl.value, perplexity, 1e-3) << type;
        // Activations in int8 cost some: 64 numbers share little in a model so small.
        const Scorer fast(path, 256);
        const auto rounded = must(eval::perplexity(*fast.session, chunks, nullptr, {}, {}));
        std::printf("[ measured ] %s: perplexity %.4f (required %.4f), with int8 activations %.4f\n", type,
                    result.ppl.value, perplexity, rounded.ppl.value);
        EXPECT_NEAR(rounded.ppl.value / perplexity, 1, 5e-3) << type;
    }
    std::filesystem::remove(path);
}

TEST_F(GoldenStories, DivergenceGrowsWithCoarserWeights) {
    const std::string path = ::testing::TempDir() + "wallaby_" + std::to_string(::getpid()) + "_stories.base";
    {
        const Scorer f32(folder_ / "stories260K.gguf", 256);
        const auto chunks = must(eval::cut(read_ids(folder_ / "tinystories_sample_tokens.txt"), 256, 3, 1));
        auto writer = must(eval::BaseWriter::create(path, chunks, f32.model->n_vocab(),
                                                    eval::vocabulary_digest(*must(f32.model->tokenizer()))));
        must(eval::perplexity(*f32.session, chunks, &writer, {}, {}));
        ASSERT_TRUE(writer.commit().ok());
    }
    std::vector<eval::Divergence> found;
    for (const char* name : {"stories260K.gguf", "stories260K-Q8_0.gguf", "stories260K-Q4_0.gguf"}) {
        const Scorer scorer(folder_ / name, 256);
        auto base = must(eval::BaseReader::open(must(base::open_file(path))));
        found.push_back(must(eval::divergence(*scorer.session, base, {}, {})));
        const eval::Divergence& d = found.back();
        std::printf("[ measured ] %s: KL %.6f +/- %.6f, same top %.2f %%, RMS dp %.3f %%\n", name, d.kld.value,
                    d.kld.error, 100 * d.same_top.value, 100 * d.dp_rms.value);
    }
    std::filesystem::remove(path);
    EXPECT_EQ(found[0].kld_max, 0);
    EXPECT_EQ(found[0].same_top.value, 1);
    EXPECT_GT(found[1].kld.value, 0);
    EXPECT_LT(100 * found[1].kld.value, found[2].kld.value);
    EXPECT_GT(found[1].same_top.value, found[2].same_top.value);
}

TEST_F(GoldenStories, EngineWritesTheReferenceText) {
    threads::Pool pool(2);
    auto model =
        must(engine::Model::load((folder_ / "stories260K.gguf").string(), {.n_ctx_at_least = 256}, {pool, {}, {}, {}}));
    engine::SessionOptions options;
    options.sampling.temperature = 0;
    options.max_tokens = 200;
    const auto session = must(engine::Session::create(model, options));
    const auto* tokenizer = must(model->tokenizer());
    ASSERT_TRUE(session->append(must(tokenizer->encode(""))).ok());
    std::string text;
    while (true) {
        const engine::Event event = must(session->next({}));
        text += event.text;
        if (event.finish) {
            EXPECT_EQ(*event.finish, engine::Finish::length);
            EXPECT_EQ(event.timings.n_generated, 200u);
            break;
        }
    }
    EXPECT_EQ(text + "\n", read_file(folder_ / "expected_stdout_n200_t0.txt"));
}

}  // namespace
