#include "convert/sensitivity.h"

#include <gtest/gtest.h>

#include <numeric>

namespace {

using namespace wallaby::convert;

const std::vector<std::string_view> names = {
    "token_embd.weight",     "blk.0.attn_v.weight", "blk.0.ffn_down.weight", "blk.1.attn_v.weight",
    "blk.1.ffn_down.weight", "blk.2.attn_v.weight", "blk.2.ffn_down.weight", "output.weight",
};

TEST(ConvertSensitivity, KindsAndLayers) {
    const SensitivityGroups groups = sensitivity_groups(names);
    const auto said = [](const std::vector<SensitivityGroup>& of) {
        std::string text;
        for (const SensitivityGroup& group : of) {
            text += group.name + ":";
            for (const size_t t : group.tensors) { text += " " + std::to_string(t); }
            text += "; ";
        }
        return text;
    };
    EXPECT_EQ(said(groups.kinds), "token_embd: 0; attn_v: 1 3 5; ffn_down: 2 4 6; output: 7; ");
    EXPECT_EQ(said(groups.layers), "layer 0: 1 2; layer 1: 3 4; layer 2: 5 6; ");
}

TEST(ConvertSensitivity, ProductsOfKindAndLayerAreFoundAgain) {
    const SensitivityGroups groups = sensitivity_groups(names);
    // What is to be found: kind (0.5, 2, 1, 8) times layer (3, 1, 1.5); errors differ from tensor to tensor.
    const std::vector<double> wanted = {0.5, 6, 3, 2, 1, 3, 1.5, 8};
    const std::vector<double> errors = {0.25, 0.5, 0.125, 0.375, 0.5, 0.75, 0.25, 0.5};
    const auto measured = [&](const std::vector<SensitivityGroup>& of, double scale) {
        std::vector<double> sums;
        for (const SensitivityGroup& group : of) {
            double sum = 0;
            for (const size_t t : group.tensors) { sum += wanted[t] * errors[t]; }
            sums.push_back(scale * sum);
        }
        return sums;
    };
    for (const double scale : {1.0, 1.5}) {  // whole layers disturb each other more than the kinds
        const auto s = sensitivities(groups, errors, measured(groups.kinds, 1), measured(groups.layers, scale));
        for (size_t t = 0; t < names.size(); t++) { EXPECT_NEAR(s[t], wanted[t], 1e-9 * wanted[t]) << names[t]; }
    }
}

TEST(ConvertSensitivity, WhatIsMeasuredOfKindsIsKept) {
    const SensitivityGroups groups = sensitivity_groups(names);
    const std::vector<double> errors = {0.25, 0.5, 0.125, 0.375, 0.5, 0.75, 0.25, 0};  // the output is kept exactly
    const std::vector<double> of_kinds = {1, 2, 3, 0};
    const std::vector<double> of_layers = {1, 0, 1};  // no product of factors gives this, but nothing becomes NaN
    const auto s = sensitivities(groups, errors, of_kinds, of_layers);
    for (size_t k = 0; k < groups.kinds.size(); k++) {
        double sum = 0;
        for (const size_t t : groups.kinds[k].tensors) { sum += s[t] * errors[t]; }
        EXPECT_NEAR(sum, of_kinds[k], 1e-12 * of_kinds[k]) << groups.kinds[k].name;
    }
    EXPECT_EQ(s[3], 0);
    EXPECT_EQ(s[4], 0);
}

}  // namespace
