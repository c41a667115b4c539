// stories260K, a trained model: the reference text, tokens, logits and perplexities of DATA.md.
#include <gtest/gtest.h>

#include "base/math.h"
#include "engine/session.h"
#include "sampling/sampler.h"
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

// Mean negative log-likelihood of tokens[first + 1 …] given those before.
double mean_nll(const std::vector<float>& logits, const std::vector<int32_t>& tokens, size_t first, uint32_t n_vocab) {
    double sum = 0;
    for (size_t i = first; i + 1 < tokens.size(); i++) {
        sum -= sampling::log_probability(std::span(logits).subspan(i * n_vocab, n_vocab), tokens[i + 1]);
    }
    return sum / double(tokens.size() - 1 - first);
}

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
    Runner runner((folder_ / "stories260K.gguf").string(), {});
    const double nll = mean_nll(runner.feed(tokens), tokens, 0, 512);
    EXPECT_NEAR(nll, 1.758743, 1e-6);
    EXPECT_NEAR(base::exp(nll), 5.80514, 1e-5);  // required: ± 0.001
}

// llama-perplexity -c 256: windows of 256 that begin with BOS, scored over their second half.
TEST_F(GoldenStories, PerplexityInWindowsOf256) {
    const auto tokens = read_ids(folder_ / "tinystories_sample_tokens.txt");
    const std::pair<const char*, double> expected[] = {
        {"stories260K.gguf", 6.8981}, {"stories260K-Q8_0.gguf", 6.9245}, {"stories260K-Q4_0.gguf", 7.6621}};
    for (const auto& [name, perplexity] : expected) {
        Runner runner((folder_ / name).string(), {});
        double sum = 0;
        size_t n = 0;
        for (size_t first = 0; first + 256 <= tokens.size(); first += 256) {
            std::vector<int32_t> window(tokens.begin() + std::ptrdiff_t(first),
                                        tokens.begin() + std::ptrdiff_t(first) + 256);
            window[0] = 1;
            runner.reset();
            sum += mean_nll(runner.feed(window), window, 128, 512);
            n++;
        }
        const double ours = base::exp(sum / double(n));
        std::printf("[ measured ] %s: perplexity %.4f, llama.cpp %.4f (%+.3f %%)\n", name, ours, perplexity,
                    100 * (ours / perplexity - 1));
        EXPECT_NEAR(ours / perplexity, 1, 0.005) << name;
    }
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
