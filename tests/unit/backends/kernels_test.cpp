// The reference definitions one by one, against the C library in long double; and batches that must be refused.
#include <gtest/gtest.h>

#include <cmath>

#include "backends/layout.h"
#include "backends/reference/kernels.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
namespace reference = backends::reference;

// One rounding to float32 apart at most.
void expect_rounded(float got, long double exact) { EXPECT_NEAR(double(got / exact), 1, 1.2e-7) << double(exact); }

TEST(BackendsKernels, GeluAndGate) {
    for (const float x : {-4.0f, -1.5f, -0.3f, 0.01f, 0.7f, 2.0f, 5.0f}) {
        float y = 0;
        reference::pointwise({ops::Pointwise::Kind::gelu_tanh}, &x, &y, 1);
        const long double l = x;
        expect_rounded(y, 0.5L * l * (1 + std::tanh(std::sqrt(2 / M_PIl) * (l + 0.044715L * l * l * l))));
        const float other = 1.7f;
        reference::gate({}, &x, &other, &y, 1);
        expect_rounded(y, l / (1 + std::exp(-l)) * other);
    }
    const float extremes[] = {-1e30f, 0, 1e30f};
    float y[3];
    reference::pointwise({ops::Pointwise::Kind::gelu_tanh}, extremes, y, 3);
    EXPECT_TRUE(y[0] == 0 && y[1] == 0 && y[2] == 1e30f);
}

TEST(BackendsKernels, NormsByGroup) {
    const std::vector<float> x{1, 2, 3, 4, -1, 5, 0, 2}, gain{1, 2, 1, 0.5f}, bias{0, 1, -1, 2};
    std::vector<float> y(8);
    for (const auto kind : {ops::Norm::Kind::rms, ops::Norm::Kind::layer}) {
        reference::norm({kind, 1e-3f, 4}, {gain.data(), bias.data(), false}, x.data(), y.data(), 8);
        for (size_t g = 0; g < 8; g += 4) {
            long double mean = 0, square = 0;
            for (size_t i = 0; i < 4; i++) { mean += x[g + i] / 4.0L; }
            if (kind == ops::Norm::Kind::rms) { mean = 0; }
            for (size_t i = 0; i < 4; i++) { square += (x[g + i] - mean) * (x[g + i] - mean) / 4; }
            for (size_t i = 0; i < 4; i++) {
                EXPECT_NEAR(y[g + i],
                            double((x[g + i] - mean) / std::sqrt(square + (long double)(1e-3f)) * gain[i] + bias[i]),
                            3e-7);
            }
        }
    }
}

TEST(BackendsKernels, RoutingBreaksTiesByIndex) {
    const float logits[] = {1, 3, 2, 3, 3};
    float ids[3], weights[3];
    reference::route({5, 3, true, 2}, logits, ids, weights);
    EXPECT_EQ(std::bit_cast<int32_t>(ids[0]), 1);
    EXPECT_EQ(std::bit_cast<int32_t>(ids[1]), 3);
    EXPECT_EQ(std::bit_cast<int32_t>(ids[2]), 4);
    for (const float w : weights) { EXPECT_NEAR(w, 2.0 / 3, 1e-7); }
    const float with_nan[] = {NAN, 1, NAN, 0, 2};
    reference::route({5, 3, true, 1}, with_nan, ids, weights);
    EXPECT_EQ(std::bit_cast<int32_t>(ids[0]), 4);
    EXPECT_EQ(std::bit_cast<int32_t>(ids[1]), 1);
    EXPECT_EQ(std::bit_cast<int32_t>(ids[2]), 3);
}

// The rule of eight by its definition: the same cuts, the same order, the same tree, for eight rows at a time.
TEST(BackendsKernels, TheRuleOfEight) {
    constexpr uint32_t n_rows = reference::n_abreast;
    sampling::Random random(3);
    for (const auto& [k, block] : std::vector<std::pair<uint32_t, uint32_t>>{
             {1, 1}, {7, 1}, {8, 1}, {64, 32}, {172, 1}, {256, 1}, {2048, 32}, {2304, 256}, {96, 32}}) {
        std::vector<float> rows(size_t(n_rows) * k), abreast(rows.size(), NAN);
        std::vector<double> x(k);
        for (float& w : rows) { w = float(random.uniform() - 0.5); }
        for (double& v : x) { v = float(random.uniform() - 0.5); }
        reference::put_abreast(rows.data(), k, k, abreast.data());
        double got[n_rows];
        reference::EightRanges(k, block).dot(abreast.data(), x.data(), got);
        const uint64_t cut = k % 256 == 0 ? 256 : block, n = k / cut;
        for (uint32_t row = 0; row < n_rows; row++) {
            const float* w = rows.data() + size_t(row) * k;
            double sums[8] = {};
            for (uint64_t r = 0; r < 8; r++) {
                for (uint64_t i = r * n / 8 * cut; i < (r + 1) * n / 8 * cut; i++) { sums[r] += double(w[i]) * x[i]; }
            }
            const double expected =
                ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
            EXPECT_EQ(got[row], expected) << k << " row " << row;
        }
    }
}

// Rows decoded side by side are the rows decoded one by one, also where the row's length leaves a short piece.
TEST(BackendsKernels, RowsAbreast) {
    constexpr uint32_t n_all = 19;
    sampling::Random random(4);
    for (const auto& [type, n_in] : std::vector<std::pair<quant::Type, uint32_t>>{{quant::Type::f32, 1},
                                                                                  {quant::Type::f32, 301},
                                                                                  {quant::Type::f16, 512},
                                                                                  {quant::Type::q8_0, 288},
                                                                                  {quant::Type::q4_0, 640}}) {
        const quant::Format& format = quant::format_of(type);
        std::vector<float> weights(size_t(n_all) * n_in);
        for (float& w : weights) { w = float(random.uniform() - 0.5); }
        std::vector<uint8_t> bytes(weights.size() / format.block_len * format.block_bytes);
        format.encode(weights.data(), bytes.data(), weights.size() / format.block_len, nullptr);
        const reference::Matrix m{&format, bytes.data(), n_in, n_all};
        for (uint32_t first = 0; first < n_all; first += reference::n_abreast) {
            const uint32_t n_rows = std::min(reference::n_abreast, n_all - first);
            std::vector<float> abreast(size_t(n_in) * reference::n_abreast, NAN);
            reference::decode_abreast(m, first, n_rows, abreast.data());
            for (uint32_t row = 0; row < reference::n_abreast; row++) {
                std::vector<float> expected(n_in, 0.0f);
                if (row < n_rows) { m.decode_row(first + row, expected.data()); }
                for (uint32_t i = 0; i < n_in; i++) {
                    ASSERT_EQ(abreast[size_t(i) * reference::n_abreast + row], expected[i]) << format.name << " " << i;
                }
            }
        }
    }
}

TEST(BackendsKernels, AGateOfManyIsTheGateOfEach) {
    sampling::Random random(5);
    std::vector<float> x(150), other(x.size()), y(x.size());
    for (float& v : x) { v = float(random.uniform() * 40 - 20); }
    for (float& v : other) { v = float(random.uniform() * 4 - 2); }
    x[70] = -1e30f;  // whose exponential overflows
    for (const auto act : {ops::Gate::Act::silu, ops::Gate::Act::gelu_tanh, ops::Gate::Act::clamped_silu}) {
        const ops::Gate spec{act, 1.702f, 7};
        reference::gate(spec, x.data(), other.data(), y.data(), uint32_t(x.size()));
        for (size_t i = 0; i < x.size(); i++) {
            float alone = 0;
            reference::gate(spec, &x[i], &other[i], &alone, 1);
            EXPECT_EQ(y[i], alone) << i;
        }
    }
}

TEST(BackendsLayout, LivesThatOverlapDoNotShareAPlace) {
    const auto source = TinyModel{.n_expert = 4, .n_used = 2}.open();
    const ops::Model model = must(models::build(*source, {}));
    const ops::Program& program = model.programs[0];
    const backends::Layout layout = backends::lay_out(program);
    uint64_t total = 0;
    std::vector<size_t> first(program.values.size()), last(program.values.size());
    for (size_t i = 0; i < program.ops.size(); i++) {
        for (const auto v : program.ops[i].out) {
            if (v != ops::none) { first[v] = last[v] = i; }
        }
        for (const auto v : program.ops[i].in) {
            if (v != ops::none) { last[v] = i; }
        }
    }
    for (size_t a = 0; a < program.values.size(); a++) {
        total += program.values[a].width;
        for (size_t b = 0; b < a; b++) {
            if (a == program.logits || b == program.logits || first[a] > last[b] || first[b] > last[a]) { continue; }
            const bool apart = layout.offset[a] + program.values[a].width <= layout.offset[b] ||
                               layout.offset[b] + program.values[b].width <= layout.offset[a];
            EXPECT_TRUE(apart) << "values " << a << " and " << b;
        }
        if (a != program.logits) { EXPECT_LE(layout.offset[a] + program.values[a].width, layout.width); }
    }
    EXPECT_LT(layout.width, total / 3);
}

TEST(BackendsReference, BatchesThatCannotRunAreRefused) {
    threads::Pool pool(1);
    const auto source = TinyModel().open();
    const ops::Model model = must(models::build(*source, {}));
    const auto backend = backends::make_reference(pool);
    const auto plan = must(backend->plan(model, {.n_ctx = 70, .n_batch = 4}));
    EXPECT_EQ(plan.n_pages, 2u);
    const auto executable = must(backend->compile(model, *source, plan, {}, {}));
    const std::vector<kv::PageId> pages{0, 1}, bad_pages{0, 2}, one_page{0};
    const auto run = [&](std::vector<backends::Batch::Row> rows, std::span<const kv::PageId> table,
                         size_t n_rows_of_logits, uint32_t program = 0) {
        backends::Batch batch{std::move(rows), {{.pages = table}}};
        std::vector<float> logits(n_rows_of_logits * model.n_vocab);
        const auto ran = executable->run(program, batch, logits, {});
        return ran.ok() ? std::string() : ran.error().what;
    };
    EXPECT_EQ(run({{5, 0, 0, true}}, pages, 1), "");
    EXPECT_EQ(run({{5, 0, 0, false}}, pages, 0), "");
    EXPECT_NE(run({}, pages, 0), "");
    EXPECT_NE(run(std::vector<backends::Batch::Row>(5, {5, 0, 0, false}), pages, 0).find("1 to 4"), std::string::npos);
    EXPECT_NE(run({{-1, 0, 0, true}}, pages, 1).find("token -1"), std::string::npos);
    EXPECT_NE(run({{int32_t(model.n_vocab), 0, 0, true}}, pages, 1).find("token"), std::string::npos);
    EXPECT_NE(run({{5, 70, 0, true}}, pages, 1).find("context of 70"), std::string::npos);
    EXPECT_NE(run({{5, 64, 0, true}}, one_page, 1).find("no page"), std::string::npos);
    EXPECT_NE(run({{5, 0, 1, true}}, pages, 1).find("no page"), std::string::npos);
    EXPECT_NE(run({{5, 0, 0, true}}, bad_pages, 1).find("page 2 of 2"), std::string::npos);
    EXPECT_NE(run({{5, 0, 0, true}}, pages, 2).find("logits"), std::string::npos);
    EXPECT_NE(run({{5, 0, 0, true}}, pages, 1, 1).find("program 1"), std::string::npos);
}

// The plan is what compile allocates: one byte less than the weights need is noticed.
TEST(BackendsReference, APlanThatDoesNotHoldTheModelIsAnError) {
    threads::Pool pool(1);
    const auto source = TinyModel{.n_embd = 256, .n_ff = 2048, .n_layers = 3}.open();
    const ops::Model model = must(models::build(*source, {}));
    const auto backend = backends::make_reference(pool);
    auto plan = must(backend->plan(model, {.n_ctx = 64}));
    plan.weight_bytes -= uint64_t(4) << 20;
    const auto compiled = backend->compile(model, *source, plan, {}, {});
    ASSERT_FALSE(compiled.ok());
    EXPECT_EQ(compiled.error().code, ErrorCode::memory);
}

// A recurrent state can only be gone on with where it stands, and no step writes what another reads.
TEST(BackendsBatch, SlotsThatDoNotFitAreRefused) {
    threads::Pool pool(1);
    const auto source = TinyModel{.architecture = "mamba2"}.open();
    const ops::Model model = must(models::build(*source, {}));
    const auto backend = backends::make_reference(pool);
    EXPECT_FALSE(backend->plan(model, {.n_ctx = 64, .n_slots = 1}).ok());
    const auto plan = must(backend->plan(model, {.n_ctx = 64, .n_seqs = 2, .n_batch = 8, .n_slots = 2}));
    EXPECT_EQ(plan.n_slots, 4u);
    const auto executable = must(backend->compile(model, *source, plan, {}, {}));
    const std::vector<kv::PageId> pages{0};
    using Slots = std::pair<kv::SlotId, kv::SlotId>;
    const auto run = [&](std::vector<backends::Batch::Row> rows, const std::vector<Slots>& slots) {
        backends::Batch batch{std::move(rows), {}};
        for (const auto& [from, to] : slots) { batch.sequences.push_back({pages, from, to}); }
        const auto ran = executable->run(0, batch, {}, {});
        return ran.ok() ? std::string() : ran.error().what;
    };
    const auto none = kv::no_slot;
    EXPECT_EQ(run({{5, 0, 0}, {6, 1, 0}}, {{none, 0}}), "");
    EXPECT_EQ(run({{5, 2, 0}}, {{0, 1}}), "");
    EXPECT_EQ(run({{5, 2, 0}}, {{0, 1}}), "");  // slot 0 is as it was
    EXPECT_NE(run({{5, 1, 0}}, {{0, 1}}), "");
    EXPECT_NE(run({{5, 3, 0}}, {{0, 1}}), "");
    EXPECT_NE(run({{5, 1, 0}}, {{none, 1}}), "");
    EXPECT_NE(run({{5, 0, 0}, {5, 2, 0}}, {{none, 1}}), "");
    EXPECT_NE(run({{5, 2, 0}}, {{0, 0}}), "");
    EXPECT_NE(run({{5, 2, 0}}, {{0, 4}}), "");
    EXPECT_NE(run({{5, 2, 0}}, {{0, none}}), "");
    EXPECT_NE(run({{5, 0, 0}}, {{7, 1}}), "");
    EXPECT_NE(run({{5, 2, 0}, {5, 0, 1}}, {{0, 1}, {none, 1}}), "");
    EXPECT_NE(run({{5, 2, 0}, {5, 0, 1}}, {{0, 1}, {none, 0}}), "");
    EXPECT_EQ(run({{5, 2, 0}, {5, 0, 1}}, {{0, 1}, {none, 2}}), "");
    std::stop_source stop;
    stop.request_stop();
    backends::Batch batch{{{5, 1, 0}}, {{pages, 2, 3}}};
    EXPECT_FALSE(executable->run(0, batch, {}, stop.get_token()).ok());
    EXPECT_NE(run({{5, 2, 0}}, {{3, 1}}), "");  // what a stopped step has left is not a state
    EXPECT_EQ(run({{5, 1, 0}}, {{2, 3}}), "");
}

}  // namespace
