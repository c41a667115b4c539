#include "eval/quantization_loss.h"

#include <gtest/gtest.h>

#include <numeric>

#include "convert/sensitivity.h"
#include "convert/type_losses.h"
#include "eval/divergence.h"
#include "eval/sensitivity.h"
#include "eval_model.h"
#include "support/memory_sink.h"

namespace {

using namespace wallaby;
using namespace wallaby::eval;
using namespace wallaby::testing;

constexpr uint32_t n_ctx = 16;

std::string some_text() {
    std::string text;
    for (int i = 0; i < 200; i++) { text += i % 3 == 0 ? "d" : i % 7 == 0 ? "a" : "e"; }
    return text;
}

struct Given {
    std::unique_ptr<gguf::WeightSource> source = TinyModel{.n_layers = 3}.open();
    threads::Pool pool{1};
    engine::Resources resources{pool, {}, {}, {}};
    engine::LoadOptions options{.k_type = quant::Type::f32, .v_type = quant::Type::f32};
    std::string text = some_text();
    QuantizationLoss loss = must(QuantizationLoss::create(*source, {text, n_ctx, 3}, options, resources));

    convert::QuantizePlan plan(std::string_view type) const {
        return must(convert::plan_quantize(*source, type, {.pure = true}, "out"));
    }
};

// What the quantised file itself loses, evaluated row by row beside the original.
double of_a_file(const Given& given, std::string_view type) {
    const convert::QuantizePlan plan = given.plan(type);
    MemorySink::Seen seen;
    threads::Pool pool(1);
    auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(seen), plan.draft));
    must(convert::quantize(*given.source, plan, std::move(writer), pool, {}, {}));
    const EvalModel base(TinyModel{.n_layers = 3}),
        quantized(must(gguf::open_gguf(std::make_unique<base::MemorySource>(seen.bytes, "file"))));
    const Chunks chunks = must(cut_text(*base.model, given.text, n_ctx, 3));
    std::vector<std::vector<float>> rows;
    const auto keep = [&](const ScoredRow& row) -> Result<void> {
        rows.emplace_back(row.logits.begin(), row.logits.end());
        return {};
    };
    DivergenceSum sum;
    size_t i = 0;
    const auto compare = [&](const ScoredRow& row) { return sum.add(rows[i++], row.logits, row.next); };
    for (size_t c = 0; c < chunks.n_chunks(); c++) {
        EXPECT_TRUE(score(*base.session, chunks, c, keep, {}).ok());
        EXPECT_TRUE(score(*quantized.session, chunks, c, compare, {}).ok());
    }
    return sum.result().kld.value;
}

TEST(EvalQuantizationLoss, NothingLostIsExactlyNothing) {
    const Given given;
    EXPECT_EQ(must(given.loss.measure(given.plan("COPY"))), 0);
}

TEST(EvalQuantizationLoss, IsThatOfTheFile) {
    const Given given;
    for (const char* type : {"Q8_0", "Q4_0"}) {
        const double lost = must(given.loss.measure(given.plan(type)));
        EXPECT_EQ(lost, of_a_file(given, type)) << type;
        EXPECT_GT(lost, 0);
    }
}

TEST(EvalQuantizationLoss, AStopIsAnError) {
    const Given given;
    std::stop_source stop;
    stop.request_stop();
    const engine::Resources stopped{*const_cast<threads::Pool*>(&given.pool), {}, {}, stop.get_token()};
    const auto loss = QuantizationLoss::create(*given.source, {given.text, n_ctx, 3}, given.options, stopped);
    ASSERT_FALSE(loss.ok());
    EXPECT_EQ(loss.error().code, ErrorCode::cancelled);
}

// What is found for the tensors of a kind adds up to what disturbing them all costs.
TEST(EvalSensitivity, KindsCostWhatWasMeasured) {
    Given given;
    const convert::QuantizePlan coarse = given.plan("Q4_0");
    std::map<std::string, double> measured;
    const auto keep = [&](size_t, size_t, std::string_view group, double kld) { measured[std::string(group)] = kld; };
    const std::vector<double> s =
        must(measure_sensitivities(*given.source, coarse, {}, given.loss, given.resources, keep));
    ASSERT_EQ(s.size(), given.source->tensors().size());

    const auto choices =
        must(convert::type_choices(*given.source, coarse, std::vector{quant::Type::q4_0}, given.pool, {}, {}));
    std::map<std::string, double> sums;
    std::vector<std::string_view> names;
    for (const gguf::Tensor& tensor : given.source->tensors()) { names.push_back(tensor.name); }
    for (const convert::SensitivityGroup& kind : convert::sensitivity_groups(names).kinds) {
        for (const size_t t : kind.tensors) {
            if (choices[t][0].type == quant::Type::f32) {
                EXPECT_EQ(s[t], 0) << names[t];
            } else {
                sums[kind.name] += s[t] * choices[t][0].loss;
            }
        }
    }
    EXPECT_EQ(sums.size(), 9u);  // seven of the layers, the embedding and the output
    for (const auto& [name, sum] : sums) {
        EXPECT_NEAR(sum, measured.at(name), 1e-9 * measured.at(name)) << name;
        EXPECT_GT(sum, 0) << name;
    }
    EXPECT_EQ(measured.size(), sums.size() + 3);  // and three layers
    // All together cost more than any alone.
    const double all = must(given.loss.measure(coarse));
    for (const auto& [name, kld] : measured) { EXPECT_LT(kld, all) << name; }
}

}  // namespace
