#include "convert/allocate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using quant::Type;

constexpr Type types[] = {Type::q2_k, Type::q4_k, Type::q6_k, Type::f16};

// Tensors of four types each, losses and bytes drawn anew for each seed; not all choices lie on a hull.
std::vector<std::vector<TypeChoice>> drawn(uint64_t seed) {
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    const auto draw = [&](uint64_t below) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return (state >> 33) % below;
    };
    std::vector<std::vector<TypeChoice>> tensors(6);
    for (auto& choices : tensors) {
        for (const Type type : types) { choices.push_back({type, 1 + draw(40), double(draw(1000)) / 16}); }
    }
    return tensors;
}

// All 4^6 allocations.
template <class See>
void for_each_allocation(const std::vector<std::vector<TypeChoice>>& tensors, const See& see) {
    size_t n = 1;
    for (const auto& choices : tensors) { n *= choices.size(); }
    for (size_t code = 0; code < n; code++) {
        uint64_t n_bytes = 0;
        double loss = 0;
        size_t rest = code;
        for (const auto& choices : tensors) {
            n_bytes += choices[rest % choices.size()].n_bytes;
            loss += choices[rest % choices.size()].loss;
            rest /= choices.size();
        }
        see(n_bytes, loss);
    }
}

double least_loss(const std::vector<std::vector<TypeChoice>>& tensors, uint64_t max_bytes) {
    double least = std::numeric_limits<double>::infinity();
    for_each_allocation(tensors, [&](uint64_t n_bytes, double loss) {
        if (n_bytes <= max_bytes) { least = std::min(least, loss); }
    });
    return least;
}

uint64_t fewest_bytes(const std::vector<std::vector<TypeChoice>>& tensors, double max_loss) {
    uint64_t fewest = std::numeric_limits<uint64_t>::max();
    for_each_allocation(tensors, [&](uint64_t n_bytes, double loss) {
        if (loss <= max_loss) { fewest = std::min(fewest, n_bytes); }
    });
    return fewest;
}

// What the allocation says of itself is what its types add up to. Losses are sixteenths: sums are exact.
void expect_true(const std::vector<std::vector<TypeChoice>>& tensors, const Allocation& at) {
    ASSERT_EQ(at.types.size(), tensors.size());
    uint64_t n_bytes = 0;
    double loss = 0;
    for (size_t i = 0; i < tensors.size(); i++) {
        const auto choice = std::ranges::find(tensors[i], at.types[i], &TypeChoice::type);
        ASSERT_NE(choice, tensors[i].end());
        n_bytes += choice->n_bytes;
        loss += choice->loss;
    }
    EXPECT_EQ(at.n_bytes, n_bytes);
    EXPECT_EQ(at.loss, loss);
}

constexpr uint64_t longest_step = 39;  // of drawn bytes, 1 to 40

TEST(ConvertAllocate, LeastLossInSoManyBytes) {
    for (uint64_t seed = 0; seed < 40; seed++) {
        const auto tensors = drawn(seed);
        const Frontier frontier(tensors);
        for (uint64_t max_bytes = 6; max_bytes <= 240; max_bytes += 13) {
            const auto at = frontier.within_bytes(max_bytes);
            ASSERT_EQ(at.has_value(), least_loss(tensors, max_bytes) < std::numeric_limits<double>::infinity());
            if (!at) { continue; }
            expect_true(tensors, *at);
            EXPECT_LE(at->n_bytes, max_bytes);
            // One step of one tensor at most is missing to an optimum.
            if (max_bytes >= longest_step) { EXPECT_LE(at->loss, least_loss(tensors, max_bytes - longest_step)); }
            // Where the steps end exactly there, it is one.
            EXPECT_GE(at->loss, least_loss(tensors, max_bytes));
        }
    }
}

TEST(ConvertAllocate, FewestBytesWithSuchALoss) {
    for (uint64_t seed = 0; seed < 40; seed++) {
        const auto tensors = drawn(seed);
        const Frontier frontier(tensors);
        const double most = frontier.smallest().loss;
        for (double max_loss = 0; max_loss <= most; max_loss += most / 16) {
            const auto at = frontier.within_loss(max_loss);
            ASSERT_EQ(at.has_value(), fewest_bytes(tensors, max_loss) < std::numeric_limits<uint64_t>::max());
            if (!at) { continue; }
            expect_true(tensors, *at);
            EXPECT_LE(at->loss, max_loss);
            EXPECT_LE(at->n_bytes, fewest_bytes(tensors, max_loss) + longest_step);
            // Where it ends is an optimum: nothing of as few bytes loses less.
            EXPECT_EQ(at->loss, least_loss(tensors, at->n_bytes));
        }
    }
}

// Tensors of which each has many small steps, so that sizes lie close together.
std::vector<std::vector<TypeChoice>> fine() {
    std::vector<std::vector<TypeChoice>> tensors(200);
    for (size_t t = 0; t < tensors.size(); t++) {
        const double s = 1 + double(t % 7);
        tensors[t] = {{Type::q2_k, 2000, s / 16},
                      {Type::q4_k, 4000, s / 256},
                      {Type::q6_k, 6000, s / 4096},
                      {Type::f16, 16000, 0}};
    }
    return tensors;
}

TEST(ConvertAllocate, TheSmallestOfAMeasuredLoss) {
    const auto tensors = fine();
    const Frontier frontier(tensors);
    // Measured losses are in proportion to the sums, or grow faster or slower.
    for (const double power : {0.7, 1.0, 1.4}) {
        for (const double scale : {0.01, 1.0, 30.0}) {
            const auto truth = [&](const Allocation& at) { return scale * std::pow(at.loss, power); };
            for (const double part : {0.9, 0.5, 0.1, 0.01}) {
                const double wanted = part * truth(frontier.smallest());
                int n_measured = 0;
                const auto measure = [&](const Allocation& at) -> Result<double> {
                    n_measured++;
                    return truth(at);
                };
                const auto found = wallaby::testing::must(smallest_within(frontier, wanted, measure));
                ASSERT_TRUE(found.has_value());
                EXPECT_LE(truth(*found), wanted);
                EXPECT_LE(n_measured, 12);
                // Half a percent fewer bytes, and a step, lose too much.
                const auto less = frontier.within_bytes(uint64_t(0.995 * double(found->n_bytes)) - 12000);
                EXPECT_GT(truth(*less), wanted) << power << " " << scale << " " << part;
            }
        }
    }
}

TEST(ConvertAllocate, WhatAnyTypeGivesIsTheSmallest) {
    const Frontier frontier(fine());
    const auto nothing = [](const Allocation&) -> Result<double> { return 0.0; };
    const auto found = wallaby::testing::must(smallest_within(frontier, 0.5, nothing));
    EXPECT_EQ(found->n_bytes, frontier.smallest().n_bytes);
}

TEST(ConvertAllocate, ALossThatNothingGives) {
    const Frontier frontier(fine());
    const auto much = [](const Allocation&) -> Result<double> { return 3.0; };
    EXPECT_FALSE(wallaby::testing::must(smallest_within(frontier, 0.5, much)).has_value());
    const auto broken = [](const Allocation&) -> Result<double> {
        return Error{ErrorCode::cancelled, "stopped", {}, ""};
    };
    EXPECT_FALSE(smallest_within(frontier, 0.5, broken).ok());
}

TEST(ConvertAllocate, ATypeOffTheHullIsNeverChosen) {
    // 4 bits would cost more per byte saved than going from 2 to 6 at once.
    const std::vector<std::vector<TypeChoice>> tensors = {
        {{Type::q2_k, 10, 8}, {Type::q4_k, 20, 7}, {Type::q6_k, 30, 1}}};
    const Frontier frontier(tensors);
    EXPECT_EQ(frontier.within_bytes(29)->types[0], Type::q2_k);
    EXPECT_EQ(frontier.within_bytes(30)->types[0], Type::q6_k);
    EXPECT_EQ(frontier.within_loss(7)->types[0], Type::q6_k);
    EXPECT_FALSE(frontier.within_bytes(9).has_value());
    EXPECT_FALSE(frontier.within_loss(0.5).has_value());
}

}  // namespace
