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
}

// Every id of every op is broken in turn: each must be noticed.
TEST(OpsCheck, EveryBrokenIdIsAnError) {
    const ops::Model good = tiny_program({.n_expert = 4, .n_used = 2});
    size_t n_tried = 0;
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
    EXPECT_GT(n_tried, 80u);
}

TEST(OpsCheck, WidthsMustFit) {
    const ops::Model good = tiny_program();
    for (size_t v = 0; v < good.programs[0].values.size(); v++) {
        ops::Model bad = good;
        bad.programs[0].values[v].width++;
        EXPECT_FALSE(ops::check(bad).ok()) << "value " << v;
    }
}

TEST(OpsCost, OneTokenOfALlamaByHand) {
    // Per layer: q 64·64, k and v 64·32 each, o 64·64, three of 64·96; the output 64·269.
    const ops::Model model = tiny_program();
    const ops::Program& program = model.programs[0];
    ops::Cost sum;
    uint64_t matmul_macs = 0, attend_macs = 0;
    for (const ops::Op& op : program.ops) {
        const ops::Cost c = ops::cost(model, program, op, {1, 1, 11, 11, 0}, quant::Type::f16, quant::Type::f16);
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
            return ops::cost(model, program, op, {n, n, n, n, experts}, quant::Type::f32, quant::Type::f32);
        };
        EXPECT_EQ(at(8, 4).macs, 8 * at(1, 4).macs);
        EXPECT_EQ(at(8, 4).weight_bytes, at(1, 4).weight_bytes);
        if (matmul->n_used != 0) { EXPECT_EQ(2 * at(1, 2).weight_bytes, at(1, 4).weight_bytes); }
    }
}

}  // namespace
