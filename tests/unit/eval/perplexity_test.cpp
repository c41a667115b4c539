#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include "unit/eval/eval_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using eval::Chunks;

TEST(EvalChunks, WholeChunksThatBeginWithBos) {
    const std::vector<int32_t> tokens{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    const Chunks all = must(eval::cut(tokens, 4, std::nullopt, 1));
    EXPECT_EQ(all.tokens, (std::vector<int32_t>{1, 11, 12, 13, 1, 15, 16, 17}));
    EXPECT_EQ(all.n_chunks(), 2u);
    EXPECT_EQ(all.first, 2u);
    EXPECT_EQ(all.n_scored(), 1u);
    EXPECT_EQ(must(eval::cut(tokens, 5, 1, {})).tokens, (std::vector<int32_t>{10, 11, 12, 13, 14}));
    EXPECT_EQ(must(eval::cut(tokens, 5, 7, {})).n_chunks(), 2u);
    const Chunks odd = must(eval::cut(tokens, 5, {}, {}));
    EXPECT_EQ(odd.first, 2u);
    EXPECT_EQ(odd.n_scored(), 2u);
}

TEST(EvalChunks, ATextShorterThanAChunkIsAnErrorWithBothNumbers) {
    const auto chunks = eval::cut(std::vector<int32_t>(99, 5), 100, {}, {});
    ASSERT_FALSE(chunks.ok());
    EXPECT_EQ(chunks.error().code, ErrorCode::capacity);
    EXPECT_NE(chunks.error().what.find("99 tokens"), std::string::npos) << chunks.error().what;
    EXPECT_NE(chunks.error().what.find("a chunk has 100"), std::string::npos) << chunks.error().what;
    EXPECT_TRUE(eval::cut(std::vector<int32_t>(100, 5), 100, {}, {}).ok());
    EXPECT_FALSE(eval::cut(std::vector<int32_t>(100, 5), 2, {}, {}).ok());
    EXPECT_FALSE(eval::cut(std::vector<int32_t>(100, 5), 10, 0, {}).ok());
}

TEST(EvalChunks, WithAStrideTheyOverlap) {
    const std::vector<int32_t> tokens{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    const Chunks chunks = must(eval::cut_with_stride(tokens, 5, 2, {}));
    ASSERT_EQ(chunks.n_chunks(), 3u);  // the one from token 16 on has none beyond it
    EXPECT_EQ(chunks.n_scored(), 2u);
    for (size_t i = 0; i < 3; i++) {
        const auto chunk = chunks.chunk(i);
        EXPECT_TRUE(std::equal(chunk.begin(), chunk.end(), tokens.begin() + ptrdiff_t(2 * i),
                               tokens.begin() + ptrdiff_t(2 * i + 5)));
    }
    EXPECT_EQ(chunks.first, 2u);  // whose logits predict the last token but one
    EXPECT_EQ(must(eval::cut_with_stride(tokens, 5, 4, {})).n_chunks(), 2u);
    EXPECT_EQ(must(eval::cut_with_stride(tokens, 5, 3, {})).n_chunks(), 2u);
    EXPECT_EQ(must(eval::cut_with_stride(tokens, 5, 1, 4)).n_chunks(), 4u);
    EXPECT_EQ(must(eval::cut_with_stride(tokens, 10, 1, {})).n_chunks(), 1u);
    EXPECT_EQ(eval::cut_with_stride(tokens, 11, 1, {}).error().code, ErrorCode::capacity);
    EXPECT_EQ(eval::cut_with_stride(tokens, 5, 5, {}).error().where.field, "--stride");
    EXPECT_EQ(eval::cut_with_stride(tokens, 5, 0, {}).error().where.field, "--stride");
    EXPECT_EQ(must(eval::n_ctx_with_stride(128, 65)), 160u);
    EXPECT_FALSE(eval::n_ctx_with_stride(INT32_MAX, 2).ok());
}

TEST(EvalChunks, TextIsCutByTheModelsPolicy) {
    EvalModel m;
    // BOS, "▁abc", then "▁abc" again and again; control tokens spelled out are text.
    EXPECT_EQ(must(eval::cut_text(*m.model, "abc abc abc abc", 3, {})).tokens.front(), 1);
    const Chunks chunks = must(eval::cut_text(*m.model, "abc </s>", 3, {}));
    EXPECT_EQ(std::count(chunks.tokens.begin(), chunks.tokens.end(), 2), 0);
}

TEST(EvalScore, EveryChunkStandsAloneAndOnlyItsSecondHalfIsScored) {
    EvalModel m;
    const Chunks chunks = must(eval::cut(random_tokens(25), 8, {}, 1));
    std::vector<float> rows;
    std::vector<int32_t> next;
    const auto sink = [&](const eval::ScoredRow& r) -> Result<void> {
        EXPECT_EQ(r.chunk * 3 + r.index, next.size());
        rows.insert(rows.end(), r.logits.begin(), r.logits.end());
        next.push_back(r.next);
        return {};
    };
    ASSERT_TRUE(m.session->append(random_tokens(5)).ok());  // is thrown away
    for (size_t c = 0; c < 3; c++) { ASSERT_TRUE(eval::score(*m.session, chunks, c, sink, {}).ok()); }
    Runner runner(TinyModel().open(), {.n_ctx = 256, .backend = "auto"});
    std::vector<float> expected;
    std::vector<int32_t> expected_next;
    for (size_t c = 0; c < 3; c++) {
        const auto tokens = chunks.chunk(c);
        runner.reset();
        const auto logits = runner.feed({tokens.begin(), tokens.end()});
        expected.insert(expected.end(), logits.begin() + 4 * TinyModel::n_vocab,
                        logits.begin() + 7 * TinyModel::n_vocab);
        expected_next.insert(expected_next.end(), tokens.begin() + 5, tokens.end());
    }
    EXPECT_EQ(rows, expected);
    EXPECT_EQ(next, expected_next);
}

// The sums as llama-perplexity forms them, in long double with the C library's functions.
TEST(EvalPerplexity, IsTheExponentialOfTheMeanWithItsStandardError) {
    EvalModel m;
    const Chunks chunks = must(eval::cut(random_tokens(50), 16, {}, 1));
    Runner runner(TinyModel().open(), {.n_ctx = 256, .backend = "auto"});
    std::vector<eval::Estimate> running;
    long double sum = 0, sum2 = 0;
    size_t n = 0;
    for (size_t c = 0; c < chunks.n_chunks(); c++) {
        const auto tokens = chunks.chunk(c);
        runner.reset();
        const auto logits = runner.feed({tokens.begin(), tokens.end()});
        for (size_t i = 8; i < 15; i++, n++) {
            long double total = 0;
            for (size_t v = 0; v < TinyModel::n_vocab; v++) {
                total += std::exp((long double)logits[i * TinyModel::n_vocab + v]);
            }
            const long double nll = std::log(total) - logits[i * TinyModel::n_vocab + size_t(tokens[i + 1])];
            sum += nll;
            sum2 += nll * nll;
        }
        const long double mean = sum / n, variance = sum2 / n - mean * mean;
        const long double ppl = std::exp(mean);
        running.push_back({double(ppl), double(ppl * std::sqrt(variance / (n - 1)))});
    }
    std::vector<size_t> called;
    const auto result = must(eval::perplexity(*m.session, chunks, nullptr,
                                              [&](size_t done, size_t total, const eval::Estimate& ppl) {
                                                  EXPECT_EQ(total, 3u);
                                                  EXPECT_NEAR(ppl.value, running[done - 1].value, 1e-9 * ppl.value);
                                                  called.push_back(done);
                                              },
                                              {}));
    EXPECT_EQ(called, (std::vector<size_t>{1, 2, 3}));
    EXPECT_EQ(result.n_scored, n);
    ASSERT_EQ(result.running.size(), running.size());
    for (size_t i = 0; i < running.size(); i++) {
        EXPECT_NEAR(result.running[i].value / running[i].value, 1, 1e-12);
        EXPECT_NEAR(result.running[i].error / running[i].error, 1, 1e-12);
    }
    EXPECT_EQ(result.ppl.value, result.running.back().value);
    EXPECT_EQ(result.ppl.error, result.running.back().error);
    EXPECT_NEAR(result.nll.value, std::log(result.ppl.value), 1e-14);
}

// Every scored token from the window that llama-perplexity has for it, evaluated anew, in long double.
TEST(EvalPerplexity, WithAStrideIsThatOfTheWindowsLastTokens) {
    EvalModel m;
    const std::vector<int32_t> tokens = random_tokens(60);
    constexpr size_t n_ctx = 20, stride = 6;
    Runner runner(TinyModel().open(), {.n_ctx = 256, .backend = "auto"});
    long double sum = 0;
    size_t n = 0;
    for (size_t begin = 0; begin + n_ctx < tokens.size(); begin += stride) {
        runner.reset();
        const auto logits = runner.feed({tokens.begin() + ptrdiff_t(begin), tokens.begin() + ptrdiff_t(begin + n_ctx)});
        for (size_t i = n_ctx - stride; i < n_ctx; i++, n++) {
            const float* row = logits.data() + (i - 1) * TinyModel::n_vocab;
            long double total = 0;
            for (size_t v = 0; v < TinyModel::n_vocab; v++) { total += std::exp((long double)row[v]); }
            sum += std::log(total) - row[tokens[begin + i]];
        }
    }
    const auto chunks = must(eval::cut_with_stride(tokens, n_ctx, stride, {}));
    const auto result = must(eval::perplexity(*m.session, chunks, nullptr, {}, {}));
    EXPECT_EQ(result.n_scored, n);
    EXPECT_NEAR(result.ppl.value / double(std::exp(sum / n)), 1, 1e-12);
}

TEST(EvalPerplexity, DoesNotDependOnBatchAndThreads) {
    const Chunks chunks = must(eval::cut(random_tokens(70), 32, {}, 1));
    EvalModel a, b(TinyModel(), 5, 3);
    const auto x = must(eval::perplexity(*a.session, chunks, nullptr, {}, {}));
    const auto y = must(eval::perplexity(*b.session, chunks, nullptr, {}, {}));
    EXPECT_EQ(x.ppl.value, y.ppl.value);
    EXPECT_EQ(x.ppl.error, y.ppl.error);
}

TEST(EvalPerplexity, AStopEndsIt) {
    EvalModel m;
    std::stop_source source;
    size_t n = 0;
    const auto result = eval::perplexity(
        *m.session, must(eval::cut(random_tokens(100), 10, {}, 1)), nullptr,
        [&](size_t done, size_t, const eval::Estimate&) {
            n = done;
            if (done == 3) { source.request_stop(); }
        },
        source.get_token());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::cancelled);
    EXPECT_EQ(n, 3u);
}

TEST(EvalPerplexity, ChunksBeyondTheModelsContextAreRefused) {
    EvalModel m;
    const auto result = eval::perplexity(*m.session, must(eval::cut(random_tokens(600), 600, {}, 1)), nullptr, {}, {});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::capacity);
}

}  // namespace
