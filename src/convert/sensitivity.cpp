#include "convert/sensitivity.h"

#include <algorithm>
#include <numeric>

#include "convert/mixes.h"

namespace wallaby::convert {
namespace {

constexpr int n_turns = 64;  // each halves what is wrong, or better

SensitivityGroup& group_of(std::vector<SensitivityGroup>& groups, std::string name) {
    const auto at = std::ranges::find(groups, name, &SensitivityGroup::name);
    return at != groups.end() ? *at : groups.emplace_back(SensitivityGroup{std::move(name), {}});
}

// Multiplies each group's tensors by what makes them add up to `wanted`.
void scale_to(std::span<const SensitivityGroup> groups, std::span<const double> wanted, double scale,
              std::span<const double> errors, std::vector<double>& s) {
    for (size_t g = 0; g < groups.size(); g++) {
        double sum = 0;
        for (const size_t t : groups[g].tensors) { sum += s[t] * errors[t]; }
        if (!(sum > 0)) { continue; }
        for (const size_t t : groups[g].tensors) { s[t] *= scale * wanted[g] / sum; }
    }
}

}  // namespace

SensitivityGroups sensitivity_groups(std::span<const std::string_view> names) {
    SensitivityGroups groups;
    for (size_t t = 0; t < names.size(); t++) {
        std::string_view kind = names[t];
        if (const auto layer = layer_of(kind)) {
            group_of(groups.layers, fmt::format("layer {}", *layer)).tensors.push_back(t);
            kind.remove_prefix(kind.find('.') + 1);
            kind.remove_prefix(kind.find('.') + 1);
        }
        if (kind.ends_with(".weight")) { kind.remove_suffix(std::string_view(".weight").size()); }
        group_of(groups.kinds, std::string(kind)).tensors.push_back(t);
    }
    return groups;
}

std::vector<double> sensitivities(const SensitivityGroups& groups, std::span<const double> errors,
                                  std::span<const double> of_kinds, std::span<const double> of_layers) {
    std::vector<double> s(errors.size(), 1);
    scale_to(groups.kinds, of_kinds, 1, errors, s);
    double in_layers = 0;  // of what kinds cost, the part of tensors that have a layer
    for (const SensitivityGroup& layer : groups.layers) {
        for (const size_t t : layer.tensors) { in_layers += s[t] * errors[t]; }
    }
    const double of_all_layers = std::accumulate(of_layers.begin(), of_layers.end(), 0.0);
    if (!(of_all_layers > 0)) { return s; }
    for (int turn = 0; turn < n_turns; turn++) {
        scale_to(groups.layers, of_layers, in_layers / of_all_layers, errors, s);
        scale_to(groups.kinds, of_kinds, 1, errors, s);
    }
    return s;
}

}  // namespace wallaby::convert
