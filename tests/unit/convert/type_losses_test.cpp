#include "convert/type_losses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/gguf_bytes.h"
#include "support/random_weights.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using namespace wallaby::testing;
using quant::Type;

constexpr Type tried[] = {Type::q2_k, Type::q4_k, Type::q8_0, Type::iq4_nl, Type::f16};

struct Made {
    std::vector<uint8_t> bytes;
    std::unique_ptr<gguf::WeightSource> source;
};

// A matrix that is looked at as a whole, one of which samples are, one whose rows Q4_K does not divide, and a vector.
Made made() {
    GgufBytes file;
    file.tensor_f32("blk.0.attn_q.weight", {256, 20}, random_weights("heavy-tailed", 256 * 20, 1));
    file.tensor_f32("blk.0.ffn_up.weight", {512, 400}, random_weights("normal", 512 * 400, 2));
    file.tensor_f32("blk.0.ffn_down.weight", {96, 40}, random_weights("normal", 96 * 40, 3));
    file.tensor_f32("blk.0.attn_norm.weight", {256}, random_weights("offset", 256, 4));
    Made out{file.build(), nullptr};
    out.source = must(gguf::open_gguf(std::make_unique<base::MemorySource>(out.bytes, "made")));
    return out;
}

std::vector<std::vector<TypeChoice>> choices_of(const gguf::WeightSource& source, const Imatrix* imatrix = nullptr,
                                                unsigned n_threads = 1) {
    const std::vector<Type> smallest = {Type::q2_k, Type::q2_k, Type::iq4_nl, Type::f32};
    const QuantizePlan plan = must(plan_types(source, smallest, {.imatrix = imatrix}, "out"));
    threads::Pool pool(n_threads);
    return must(type_choices(source, plan, tried, pool, {}, {}));
}

// Of a whole tensor, by the encoder itself.
double error_of(const gguf::WeightSource& source, const gguf::Tensor& tensor, Type type,
                const std::vector<float>& factors) {
    const std::vector<float> in = must(gguf::read_floats(source, tensor, tensor.n_elements()));
    const quant::Format& format = quant::format_of(type);
    std::vector<float> weights(in.size(), 1), out(in.size());
    for (size_t i = 0; i < in.size(); i++) {
        if (!factors.empty()) { weights[i] = factors[i % tensor.dims[0]]; }
    }
    std::vector<uint8_t> blocks(in.size() / format.block_len * format.block_bytes);
    format.encode(in.data(), blocks.data(), in.size() / format.block_len, factors.empty() ? nullptr : weights.data());
    format.decode(blocks.data(), out.data(), in.size() / format.block_len);
    double error = 0, size = 0;
    for (size_t i = 0; i < in.size(); i++) {
        error += double(weights[i]) * std::pow(double(out[i]) - in[i], 2);
        size += double(weights[i]) * in[i] * in[i];
    }
    return error / size;
}

TEST(ConvertTypeLosses, WhatEachTensorCanBe) {
    const Made file = made();
    const auto choices = choices_of(*file.source);
    const auto names = [&](size_t t) {
        std::string text;
        for (const TypeChoice& choice : choices[t]) { text += std::string(quant::format_of(choice.type).name) + " "; }
        return text;
    };
    EXPECT_EQ(names(0), "Q2_K Q4_K Q8_0 IQ4_NL F16 ");
    EXPECT_EQ(names(2), "Q8_0 IQ4_NL F16 ");
    EXPECT_EQ(names(3), "F32 ");
    EXPECT_EQ(choices[0][0].n_bytes, 20u * 84);
    EXPECT_EQ(choices[3][0].n_bytes, 256u * 4);
    EXPECT_EQ(choices[3][0].loss, 0);
}

TEST(ConvertTypeLosses, ATensorMayStayWhereItsTypeIsListed) {
    const Made file = made();
    const std::vector<Type> smallest = {Type::q2_k, Type::f32, Type::iq4_nl, Type::f32};
    const QuantizePlan plan = must(plan_types(*file.source, smallest, {}, "out"));
    threads::Pool pool(1);
    const auto choices = must(type_choices(*file.source, plan, std::vector{Type::q2_k, Type::f32}, pool, {}, {}));
    ASSERT_EQ(choices[0].size(), 2u);
    EXPECT_EQ(choices[0][1].type, Type::f32);
    EXPECT_EQ(choices[0][1].loss, 0);
    EXPECT_EQ(choices[1].size(), 1u);  // the plan leaves it
    EXPECT_EQ(choices[2].size(), 1u);  // no type of the list fits its rows
}

TEST(ConvertTypeLosses, SmallTensorsAreMeasuredInFull) {
    const Made file = made();
    for (const bool is_weighted : {false, true}) {
        Imatrix imatrix{"imatrix", {{"blk.0.attn_q.weight", {}, {1}}}, {}, 1, 8};
        std::vector<float> factors;
        for (int i = 0; i < 256; i++) {
            imatrix.tensors[0].squares.push_back(i % 4 == 0 ? 64 : 1);
            if (is_weighted) { factors.push_back(i % 4 == 0 ? 64 : 1); }
        }
        const auto choices = choices_of(*file.source, is_weighted ? &imatrix : nullptr);
        for (const TypeChoice& choice : choices[0]) {
            const double expected = error_of(*file.source, file.source->tensors()[0], choice.type, factors);
            // The importance is scaled by a power of two, and encoders keep factors relative to the largest.
            EXPECT_NEAR(choice.loss, expected, 1e-12 * expected) << quant::format_of(choice.type).name << is_weighted;
            EXPECT_GT(expected, 0);
        }
    }
}

// 32,768 of 204,800 normal weights: the error of a relative squared error of n weights is about sqrt(2 / n).
TEST(ConvertTypeLosses, LargeTensorsAreSampled) {
    const Made file = made();
    const auto choices = choices_of(*file.source);
    for (const TypeChoice& choice : choices[1]) {
        const double expected = error_of(*file.source, file.source->tensors()[1], choice.type, {});
        EXPECT_NEAR(choice.loss, expected, 4 * std::sqrt(2.0 / 32768) * expected) << quant::format_of(choice.type).name;
        EXPECT_NE(choice.loss, expected);
    }
}

TEST(ConvertTypeLosses, ThreadsChangeNothing) {
    const Made file = made();
    const auto one = choices_of(*file.source), three = choices_of(*file.source, nullptr, 3);
    for (size_t t = 0; t < one.size(); t++) {
        for (size_t i = 0; i < one[t].size(); i++) { EXPECT_EQ(one[t][i].loss, three[t][i].loss); }
    }
}

TEST(ConvertTypeLosses, DamagedWeightsAreErrors) {
    std::vector<float> weights = random_weights("normal", 256 * 20, 1);
    weights[700] = std::nanf("");
    GgufBytes file;
    file.tensor_f32("blk.0.attn_q.weight", {256, 20}, weights);
    const auto bytes = file.build();
    const auto source = must(gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "made")));
    const std::vector<Type> smallest = {Type::q2_k};
    const QuantizePlan plan = must(plan_types(*source, smallest, {}, "out"));
    threads::Pool pool(1);
    const auto choices = type_choices(*source, plan, tried, pool, {}, {});
    ASSERT_FALSE(choices.ok());
    EXPECT_NE(choices.error().message().find("row 2, column 188"), std::string::npos) << choices.error().message();
}

}  // namespace
