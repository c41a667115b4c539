// Quantising by an importance matrix: whose factor meets which weight, and what becomes of matrices that do not fit.
#include <gtest/gtest.h>

#include <cmath>

#include "base/math.h"
#include "convert/quantize.h"
#include "support/gguf_bytes.h"
#include "support/memory_sink.h"
#include "support/random_weights.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using namespace wallaby::testing;
using Bytes = std::vector<uint8_t>;

struct Given {
    std::string name;
    std::vector<uint64_t> dims;

    uint64_t n() const {
        uint64_t n = 1;
        for (const uint64_t d : dims) { n *= d; }
        return n;
    }
    uint64_t n_matrices() const { return dims.size() == 3 ? dims[2] : 1; }
    std::vector<float> values() const { return random_weights("heavy-tailed", n(), 1 + dims[0]); }
};

// Pieces have 32,768 weights: rows that they cut, rows longer than they are, and experts that they run across.
const std::vector<Given> shapes = {{"blk.0.attn_q.weight", {96, 400}},
                                   {"blk.0.ffn_down.weight", {40960, 2}},
                                   {"blk.0.ffn_up_exps.weight", {256, 90, 3}}};

Bytes file_of(const std::vector<Given>& tensors) {
    GgufBytes file;
    for (const Given& t : tensors) { file.tensor_f32(t.name, t.dims, t.values()); }
    return file.build();
}

std::unique_ptr<gguf::WeightSource> open(const Bytes& bytes) {
    return must(gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "source")));
}

// Factors from 1/50 to 50, another for each column of each matrix; of experts the second was never asked.
Imatrix imatrix_of(const std::vector<Given>& tensors) {
    Imatrix out{"the.imatrix", {}, {"a text", "another"}, 12, 4};
    for (const Given& t : tensors) {
        sampling::Random random(t.dims[0]);
        InputSums sums{t.name, {}, std::vector<uint64_t>(t.n_matrices(), 48)};
        for (uint64_t i = 0; i < t.dims[0] * t.n_matrices(); i++) {
            sums.squares.push_back(48 * base::exp(8 * random.uniform() - 4));
        }
        if (t.n_matrices() > 1) { sums.counts[1] = 0; }
        out.tensors.push_back(std::move(sums));
    }
    return out;
}

// One factor a weight, in the tensor's order.
std::vector<float> laid_out(const Given& t, const Imatrix& imatrix) {
    const std::vector<float> factors = importance_of(*imatrix.find(t.name));
    std::vector<float> out(t.n());
    for (uint64_t i = 0; i < out.size(); i++) {
        out[i] = factors[i / (t.dims[0] * t.dims[1]) * t.dims[0] + i % t.dims[0]];
    }
    return out;
}

Bytes quantized(const gguf::WeightSource& source, std::string_view type, const Imatrix* imatrix,
                unsigned n_threads = 1) {
    const QuantizePlan plan = must(plan_quantize(source, type, {.imatrix = imatrix}, "out"));
    MemorySink::Seen seen;
    threads::Pool pool(n_threads);
    auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(seen), plan.draft));
    must(quantize(source, plan, std::move(writer), pool, {}, {}));
    return std::move(seen.bytes);
}

std::string refusal(const std::vector<Given>& tensors, std::string_view type, const Imatrix& imatrix) {
    const Bytes file = file_of(tensors);
    const auto plan = plan_quantize(*open(file), type, {.imatrix = &imatrix}, "out");
    return plan.ok() ? "" : plan.error().message();
}

TEST(ConvertQuantizeImportance, EachWeightMeetsItsColumnsFactor) {
    const Bytes file = file_of(shapes);
    const auto source = open(file);
    const Imatrix imatrix = imatrix_of(shapes);
    const Bytes weighted_file = quantized(*source, "IQ4_NL", &imatrix, 3),
                plain_file = quantized(*source, "IQ4_NL", nullptr);
    const auto weighted = open(weighted_file), plain = open(plain_file);
    const quant::Format& format = quant::format_of(quant::Type::iq4_nl);
    for (const Given& t : shapes) {
        Bytes expected(t.n() / format.block_len * format.block_bytes), got(expected.size()), without(expected.size());
        format.encode(t.values().data(), expected.data(), t.n() / format.block_len, laid_out(t, imatrix).data());
        must(weighted->read(*weighted->find(t.name), 0, got).ok() ? Result<int>(0) : Error{});
        must(plain->read(*plain->find(t.name), 0, without).ok() ? Result<int>(0) : Error{});
        EXPECT_TRUE(got == expected) << t.name;
        EXPECT_FALSE(got == without) << t.name;
    }
}

// As large as a file can say, or as small: only how they compare matters.
TEST(ConvertQuantizeImportance, FactorsMayBeHuge) {
    const std::vector<Given> tensors = {{"blk.0.ffn_up.weight", {256, 20}}};
    const Bytes file = file_of(tensors);
    const auto source = open(file);
    const Imatrix imatrix = imatrix_of(tensors);
    for (const char* type : {"Q2_K", "Q3_K", "Q4_K", "Q6_K", "IQ4_NL"}) {
        const Bytes expected = quantized(*source, type, &imatrix);
        for (const int exponent : {120, -100}) {
            Imatrix scaled = imatrix;
            for (double& v : scaled.tensors[0].squares) { v = std::ldexp(v, exponent); }
            EXPECT_TRUE(quantized(*source, type, &scaled) == expected) << type << " " << exponent;
        }
    }
}

TEST(ConvertQuantizeImportance, WeightedErrorsFall) {
    const std::vector<Given> tensors = {{"blk.0.ffn_up.weight", {512, 100}}};
    const Bytes file = file_of(tensors);
    const auto source = open(file);
    const Imatrix imatrix = imatrix_of(tensors);
    const std::vector<float> values = tensors[0].values(), factors = laid_out(tensors[0], imatrix);
    for (const char* type : {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"}) {
        double errors[2];
        for (const bool is_weighted : {false, true}) {
            const Bytes out_file = quantized(*source, type, is_weighted ? &imatrix : nullptr);
            const auto out = open(out_file);
            const auto decoded = must(gguf::read_floats(*out, out->tensors()[0], UINT64_MAX));
            double sum = 0;
            for (size_t i = 0; i < values.size(); i++) {
                sum += double(factors[i]) * (double(decoded[i]) - values[i]) * (double(decoded[i]) - values[i]);
            }
            errors[is_weighted] = sum;
        }
        std::printf("[ measured ] %s: %.4f of the error without\n", type, errors[1] / errors[0]);
        EXPECT_LT(errors[1], errors[0]) << type;
    }
}

TEST(ConvertQuantizeImportance, KeysAreLlamaCpps) {
    const Bytes file = file_of(shapes);
    const Imatrix imatrix = imatrix_of(shapes);
    const Bytes out_file = quantized(*open(file), "Q8_0", &imatrix);
    const auto out = open(out_file);
    EXPECT_EQ(must(out->metadata().string("quantize.imatrix.file")), "the.imatrix");
    EXPECT_EQ(must(out->metadata().string("quantize.imatrix.dataset")), "a text");
    for (const auto& [key, value] :
         {std::pair("quantize.imatrix.entries_count", 3u), std::pair("quantize.imatrix.chunks_count", 12u)}) {
        EXPECT_EQ(must(out->metadata().u32(key)), value);
        EXPECT_EQ(out->metadata().find(key)->type, gguf::ValueType::i32);
    }
    const Bytes plain_file = quantized(*open(file), "Q8_0", nullptr);
    EXPECT_FALSE(open(plain_file)->metadata().has("quantize.imatrix.file"));
}

TEST(ConvertQuantizeImportance, OtherSizesAreNamed) {
    for (const size_t which : {0u, 2u}) {
        Imatrix imatrix = imatrix_of(shapes);
        imatrix.tensors[which].squares.pop_back();
        const std::string message = refusal(shapes, "Q4_K", imatrix);
        for (const std::string& part : {std::string("source"), shapes[which].name, std::string("the.imatrix")}) {
            EXPECT_NE(message.find(part), std::string::npos) << message;
        }
    }
    Imatrix counts = imatrix_of(shapes);
    counts.tensors[2].counts.pop_back();
    EXPECT_NE(refusal(shapes, "Q4_K", counts).find(shapes[2].name), std::string::npos);
    counts.tensors[2].counts.resize(1);  // as .dat files have them
    EXPECT_EQ(refusal(shapes, "Q4_K", counts), "");
}

TEST(ConvertQuantizeImportance, MatricesThatItDoesNotNameAreCounted) {
    const Bytes file = file_of(shapes);
    Imatrix imatrix = imatrix_of(shapes);
    EXPECT_EQ(must(plan_quantize(*open(file), "Q4_K", {.imatrix = &imatrix}, "out")).n_unweighted, 0u);
    imatrix.tensors.pop_back();
    EXPECT_EQ(must(plan_quantize(*open(file), "Q4_K", {.imatrix = &imatrix}, "out")).n_unweighted, 1u);
    // Nothing is searched for in F16, so that nothing is missing.
    EXPECT_EQ(must(plan_quantize(*open(file), "F16", {.imatrix = &imatrix}, "out")).n_unweighted, 0u);
    for (InputSums& t : imatrix.tensors) { t.name = "of another model." + t.name; }
    EXPECT_NE(refusal(shapes, "Q4_K", imatrix).find("the.imatrix"), std::string::npos);
}

}  // namespace
