// Sessions over a trained model: the same tokens with the same probabilities, to the bit, however the prompt is cut and
// how many threads run, for every type of the KV cache.
#include "support/joey.h"

#include "engine/session.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

struct Written {
    std::vector<int32_t> ids;
    std::vector<double> log_probabilities;
    bool operator==(const Written&) const = default;
};

Written write(quant::Type kv, uint32_t n_batch, unsigned n_threads) {
    threads::Pool pool(n_threads);
    const auto model = must(engine::Model::load(
        open_joey(), {.n_ctx = 128, .n_batch = n_batch, .k_type = kv, .v_type = kv}, {pool, {}, {}, {}}));
    engine::SessionOptions options;
    options.sampling.temperature = 0;
    options.max_tokens = 6;
    options.ignore_eos = true;
    const auto session = must(engine::Session::create(model, options));
    const text::Tokenizer* tokenizer = must(model->tokenizer());
    EXPECT_TRUE(session->append(must(tokenizer->encode("Once upon a time there was a wombat", {true, true}))).ok());
    Written written;
    for (bool finished = false; !finished;) {
        const engine::Event event = must(session->next({}));
        written.ids.insert(written.ids.end(), event.ids.begin(), event.ids.end());
        written.log_probabilities.insert(written.log_probabilities.end(), event.log_probabilities.begin(),
                                         event.log_probabilities.end());
        finished = event.finish.has_value();
    }
    return written;
}

void expect_same_however_it_runs(quant::Type kv) {
    const Written expected = write(kv, 256, 1);
    EXPECT_EQ(expected.ids.size(), 6u);
    EXPECT_EQ(write(kv, 256, 2), expected);
    EXPECT_EQ(write(kv, 1, 2), expected);
    EXPECT_EQ(write(kv, 5, 3), expected);
}

TEST(EngineJoey, F32CacheSameHoweverItRuns) { expect_same_however_it_runs(quant::Type::f32); }
TEST(EngineJoey, F16CacheSameHoweverItRuns) { expect_same_however_it_runs(quant::Type::f16); }
TEST(EngineJoey, Bf16CacheSameHoweverItRuns) { expect_same_however_it_runs(quant::Type::bf16); }

TEST(EngineJoey, TheTypeOfTheCacheMatters) {
    const Written f32 = write(quant::Type::f32, 256, 2);
    EXPECT_NE(write(quant::Type::f16, 256, 2).log_probabilities, f32.log_probabilities);
    EXPECT_NE(write(quant::Type::bf16, 256, 2).log_probabilities, f32.log_probabilities);
}

}  // namespace
