#include "ops/program.h"

#include <gtest/gtest.h>

#include "models/models.h"
#include "ops/cost.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

ops::Model tiny_program(const TinyModel& tiny = {}) { return must(models::build(*tiny.open(), {})); }

TEST(OpsCheck, WhatFamiliesBuildFits) {
    EXPECT_TRUE(ops::check(tiny_program()).ok());
    EXPECT_TRUE(ops::check(tiny_program({.n_expert = 4, .n_used = 2})).ok());
    EXPECT_TRUE(ops::check(tiny_program({.architecture = "mamba2"})).ok());
}

// Every id of every op is broken in turn: each must be noticed.
TEST(OpsCheck, EveryBrokenIdIsAnError) {
    size_t n_tried = 0;
    for (const ops::Model& good :
         {tiny_program({.n_expert = 4, .n_used = 2}), tiny_program({.architecture = "mamba2"}),
          tiny_program(
              {.architecture = "gpt-oss", .n_expert = 4, .n_used = 2, .numbers = {{"attention.sliding_window", 8}}})}) {
        for (size_t i = 0; i < good.programs[0].ops.size(); i++) {
            const auto expect_noticed = [&](const auto& breakage) {
                ops::Model bad = good;
                breakage(bad.programs[0].ops[i]);
                EXPECT_FALSE(ops::check(bad).ok()) << "op " << i << " " << ops::name_of(good.programs[0].ops[i].spec);
                n_tried++;
            };
            const ops::Op& op = good.programs[0].ops[i];
            for (size_t j = 0; j < 2; j++) {
                if (op.in[j] != ops::none) {
                    expect_noticed([&](ops::Op& o) { o.in[j] = 1u << 20; });
                }
                if (op.in[j] != ops::none) {
                    expect_noticed([&](ops::Op& o) { o.in[j] = good.programs[0].logits; });
                }
                if (op.out[j] != ops::none) {
                    expect_noticed([&](ops::Op& o) { o.out[j] = 1u << 20; });
                }
            }
            if (op.weight[0] != ops::none) {
                expect_noticed([&](ops::Op& o) { o.weight[0] = 1u << 20; });
            }
            if (op.state != ops::none) {
                expect_noticed([&](ops::Op& o) { o.state = ops::none; });
            }
        }
    }
    EXPECT_GT(n_tried, 80u);
}

TEST(OpsCheck, WidthsMustFit) {
    for (const char* architecture : {"llama", "mamba2", "gemma3"}) {
        const ops::Model good = tiny_program({.architecture = architecture});
        for (size_t v = 0; v < good.programs[0].values.size(); v++) {
            ops::Model bad = good;
            bad.programs[0].values[v].width++;
            EXPECT_FALSE(ops::check(bad).ok()) << "value " << v;
        }
    }
}

TEST(OpsCost, OneTokenOfALlamaByHand) {
    // Per layer: q 64·64, k and v 64·32 each, o 64·64, three of 64·96; the output 64·269.
    const ops::Model model = tiny_program();
    const ops::Program& program = model.programs[0];
    ops::Cost sum;
    uint64_t matmul_macs = 0, attend_macs = 0;
    for (const ops::Op& op : program.ops) {
        const ops::Cost c = ops::cost(model, program, op, {{{.n_past = 10}}, 0}, quant::Type::f16, quant::Type::f16);
        if (std::holds_alternative<ops::Matmul>(op.spec)) { matmul_macs += c.macs; }
        if (std::holds_alternative<ops::Attend>(op.spec)) { attend_macs += c.macs; }
        sum += c;
    }
    EXPECT_EQ(matmul_macs, 2u * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96) + 64 * 269);
    EXPECT_EQ(attend_macs, 2u * (2 * 11 * 64));
    EXPECT_EQ(sum.state_read, 2u * 11 * (2 * 32 * 2));
    EXPECT_EQ(sum.state_written, 2u * (2 * 32 * 2));
    // Every weight once but the embedding, of which one row: float32.
    EXPECT_EQ(sum.weight_bytes, 4u * (2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64) + 64 * 269 + 64 + 64));
}

TEST(OpsCost, ABatchReadsItsWeightsOnceAndExpertsByShare) {
    const ops::Model model = tiny_program({.n_expert = 4, .n_used = 2});
    const ops::Program& program = model.programs[0];
    for (const ops::Op& op : program.ops) {
        const auto* matmul = std::get_if<ops::Matmul>(&op.spec);
        if (matmul == nullptr) { continue; }
        const auto at = [&](uint64_t n, double experts) {
            return ops::cost(model, program, op, {{{0, n, n}}, experts}, quant::Type::f32, quant::Type::f32);
        };
        EXPECT_EQ(at(8, 4).macs, 8 * at(1, 4).macs);
        EXPECT_EQ(at(8, 4).weight_bytes, at(1, 4).weight_bytes);
        if (matmul->n_used != 0) { EXPECT_EQ(2 * at(1, 2).weight_bytes, at(1, 4).weight_bytes); }
    }
}

TEST(OpsCost, KeysUnderAWindowByCounting) {
    for (const uint64_t window : {0u, 1u, 3u, 64u}) {
        for (const uint64_t n_past : {0u, 1u, 2u, 5u, 70u}) {
            for (const uint64_t n_tokens : {1u, 2u, 7u, 100u}) {
                uint64_t visited = 0, oldest = ~uint64_t(0);
                for (uint64_t p = n_past; p < n_past + n_tokens; p++) {
                    const uint64_t first = window == 0 || p + 1 < window ? 0 : p + 1 - window;
                    visited += p + 1 - first;
                    oldest = std::min(oldest, first);
                }
                const ops::Extent extent{{{n_past, n_tokens, 1}, {n_past, n_tokens, 1}}, 0};
                EXPECT_EQ(extent.keys_visited(window), 2 * visited) << window << " " << n_past << " " << n_tokens;
                EXPECT_EQ(extent.keys_stored(window), 2 * (n_past + n_tokens - oldest));
            }
        }
    }
}

TEST(OpsCost, AScanReadsItsStateOnceAStepAndWorksPerToken) {
    const ops::Model model = tiny_program({.architecture = "mamba2"});
    const ops::Program& program = model.programs[0];
    ops::Cost one, many;
    for (const ops::Op& op : program.ops) {
        if (op.state == ops::none) { continue; }
        one += ops::cost(model, program, op, {{{0, 1, 1}}, 0}, quant::Type::f16, quant::Type::f16);
        many += ops::cost(model, program, op, {{{0, 10, 1}}, 0}, quant::Type::f16, quant::Type::f16);
    }
    // Two layers; scan: 128 channels of 24; convolution: 3 inputs of 128 + 2·2·24 channels.
    EXPECT_EQ(one.state_read, 2u * 4 * (128 * 24 + 3 * 224));
    EXPECT_EQ(many.state_read, one.state_read);
    EXPECT_EQ(one.macs, 2u * (3 * 128 * 24 + 128 + 4 * 224));
    EXPECT_EQ(many.macs, 10 * one.macs);
}

}  // namespace
