// How much each tensor's error counts for the whole model's, from a few measurements: not one per tensor, which would
// be hundreds, but one for all tensors of a kind ("ffn_down" of every layer) and one for all of a layer.
//
// To second order a model's KL divergence is a sum over small independent errors: Σ s_t E_t, with E_t a tensor's
// relative squared error. Taken as s_t = kind × layer, the measurements are the margins of a table whose cells are
// known but for a factor per row and per column, which iterative proportional fitting finds (Deming and Stephan 1940).
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wallaby::convert {

// Tensors that are disturbed together.
struct SensitivityGroup {
    std::string name;             // "ffn_down", "layer 12", "output"
    std::vector<size_t> tensors;  // indices
};

struct SensitivityGroups {
    std::vector<SensitivityGroup> kinds;   // each tensor is of one kind
    std::vector<SensitivityGroup> layers;  // and of one layer, if it has one ("blk.12.")
};
SensitivityGroups sensitivity_groups(std::span<const std::string_view> names);

// s of each tensor. errors: E of each, when its group was disturbed. of_kinds, of_layers: what was measured of each
// group, not negative. The layers' measurements are scaled to the kinds', which add up to something else as far as
// errors are not small.
std::vector<double> sensitivities(const SensitivityGroups& groups, std::span<const double> errors,
                                  std::span<const double> of_kinds, std::span<const double> of_layers);

}  // namespace wallaby::convert
