// A tiny model with a session on it, and chunks of tokens for it.
#pragma once
#include "eval/chunks.h"
#include "sampling/random.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace wallaby::testing {

struct EvalModel {
    threads::Pool pool;
    std::shared_ptr<engine::Model> model;
    std::unique_ptr<engine::Session> session;

    explicit EvalModel(const TinyModel& tiny = {}, uint32_t n_batch = 256, uint32_t n_threads = 1)
        : EvalModel(tiny.open(), n_batch, n_threads) {}
    explicit EvalModel(std::unique_ptr<gguf::WeightSource> source, uint32_t n_batch = 256, uint32_t n_threads = 1)
        : pool(n_threads) {
        const engine::LoadOptions options{.n_batch = n_batch, .k_type = quant::Type::f32, .v_type = quant::Type::f32};
        model = must(engine::Model::load(std::move(source), options, {pool, {}, {}, {}}));
        session = must(engine::Session::create(model, {}));
    }
};

inline std::vector<int32_t> random_tokens(size_t n) {
    sampling::Random random(7);
    std::vector<int32_t> tokens(n);
    for (int32_t& t : tokens) { t = int32_t(random.uniform() * TinyModel::n_vocab); }
    return tokens;
}

}  // namespace wallaby::testing
