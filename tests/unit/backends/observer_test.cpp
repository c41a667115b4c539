// What an observer sees of a step: the rows that matmuls read, before any back end rounds them.
#include <gtest/gtest.h>

#include <map>

#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// By weight and expert, the rows end to end.
using Seen = std::map<std::pair<ops::WeightId, uint32_t>, std::vector<float>>;

std::vector<int32_t> some_tokens(size_t n) {
    std::vector<int32_t> out(n);
    for (size_t i = 0; i < n; i++) { out[i] = int32_t(i * i * 31 % TinyModel::n_vocab); }
    return out;
}

struct Observed {
    Seen seen;
    std::vector<float> logits;
};

Observed observe(const TinyModel& model, const RunnerOptions& options, size_t n_chunk = 128) {
    Runner runner(model.open(), options);
    Observed o;
    runner.observer = [&](ops::WeightId weight, uint32_t expert, std::span<const float* const> rows) {
        EXPECT_FALSE(rows.empty());
        const uint32_t n_in = runner.model().weights[weight].n_in;
        for (const float* row : rows) {
            std::vector<float>& all = o.seen[{weight, expert}];
            all.insert(all.end(), row, row + n_in);
        }
    };
    o.logits = runner.feed(some_tokens(40), n_chunk);
    return o;
}

const TinyModel models[] = {
    {},
    {.tied = true, .type = quant::Type::q8_0},
    {.n_expert = 5, .n_used = 2},
    {.architecture = "qwen3moe", .n_expert = 5, .n_used = 2, .type = quant::Type::q8_0},
    {.architecture = "gpt2", .n_ctx = 512, .biases = true},
    {.architecture = "phi3"},
    {.architecture = "mamba2"},
};

TEST(BackendsObserver, EveryMatmulAndAllItsRows) {
    for (const TinyModel& tiny : models) {
        for (const char* backend : {"reference", "auto"}) {
            SCOPED_TRACE(tiny.architecture + " " + backend);
            const Observed o = observe(tiny, {.backend = backend});
            const ops::Model model = must(models::build(*tiny.open(), {}));
            std::map<ops::WeightId, uint64_t> expected, got;
            for (const ops::Op& op : model.programs[0].ops) {
                const auto* matmul = std::get_if<ops::Matmul>(&op.spec);
                if (matmul == nullptr) { continue; }
                const ops::Weight& w = model.weights[op.weight[0]];
                const uint64_t n_inputs =
                    matmul->n_used != 0 ? matmul->n_used : model.programs[0].values[op.in[0]].width / w.n_in;
                expected[op.weight[0]] += 40 * n_inputs * w.n_in;
            }
            for (const auto& [key, rows] : o.seen) { got[key.first] += rows.size(); }
            EXPECT_EQ(got, expected);
        }
    }
}

// The rows of the output matrix, multiplied here, are the logits.
TEST(BackendsObserver, RowsAreWhatTheMatmulReads) {
    for (const char* backend : {"reference", "auto"}) {
        SCOPED_TRACE(backend);
        const TinyModel tiny;
        const Observed o = observe(tiny, {.backend = backend});
        const auto source = tiny.open();
        const ops::Model model = must(models::build(*source, {}));
        const ops::WeightId id = model.programs[0].ops.back().weight[0];
        ASSERT_EQ(model.weights[id].name, "output.weight");
        const std::vector<float> matrix = must(gguf::read_floats(*source, *source->find("output.weight"), 1 << 20));
        const std::vector<float>& rows = o.seen.at({id, 0});
        std::vector<float> product;
        const size_t n_in = model.weights[id].n_in;
        for (size_t i = 0; i < 40; i++) {
            for (size_t out = 0; out < model.n_vocab; out++) {
                double sum = 0;
                for (size_t k = 0; k < n_in; k++) { sum += double(matrix[out * n_in + k]) * rows[i * n_in + k]; }
                product.push_back(float(sum));
            }
        }
        EXPECT_LT(relative_error(o.logits, product), 1e-6);  // n_in products of float32, summed in float32 at worst
    }
}

TEST(BackendsObserver, TheSameBitsWhateverTheBatchAndTheThreads) {
    for (const TinyModel& tiny : models) {
        for (const char* backend : {"reference", "auto"}) {
            SCOPED_TRACE(tiny.architecture + " " + backend);
            const Observed once = observe(tiny, {.backend = backend});
            for (const size_t n_chunk : {size_t(1), size_t(7), size_t(16)}) {
                const Observed parts = observe(tiny, {.n_threads = 3, .backend = backend}, n_chunk);
                EXPECT_TRUE(parts.seen == once.seen) << n_chunk;
                EXPECT_TRUE(parts.logits == once.logits) << n_chunk;
            }
        }
    }
}

// Float32 weights leave rounding to float32 alone between the back ends. Where weights are blocks the CPU back end
// rounds the activations too, but not those of the first matmul: nothing was multiplied before it.
TEST(BackendsObserver, BackEndsAgree) {
    for (const TinyModel& tiny : models) {
        SCOPED_TRACE(tiny.architecture);
        const Observed reference = observe(tiny, {}), cpu = observe(tiny, {.backend = "auto"});
        const ops::Model model = must(models::build(*tiny.open(), {}));
        const auto first = std::ranges::find_if(
            model.programs[0].ops, [](const ops::Op& op) { return std::holds_alternative<ops::Matmul>(op.spec); });
        size_t n_compared = 0;
        for (const auto& [key, rows] : reference.seen) {
            if (tiny.type != quant::Type::f32 && key.first != first->weight[0]) { continue; }
            ASSERT_TRUE(cpu.seen.contains(key));
            EXPECT_LT(relative_error(cpu.seen.at(key), rows), 1e-6) << key.first << " " << key.second;
            n_compared++;
        }
        EXPECT_GE(n_compared, tiny.type == quant::Type::f32 ? reference.seen.size() : 1);
    }
}

// An observer changes nothing.
TEST(BackendsObserver, LogitsAreTheSameWithout) {
    for (const char* backend : {"reference", "auto"}) {
        const TinyModel tiny{.n_expert = 5, .n_used = 2};
        Runner plain(tiny.open(), {.backend = backend});
        EXPECT_TRUE(plain.feed(some_tokens(40)) == observe(tiny, {.backend = backend}).logits);
    }
}

}  // namespace
