#include "eval/sensitivity.h"

#include <algorithm>

#include "convert/sensitivity.h"
#include "convert/type_losses.h"

namespace wallaby::eval {
namespace {

using quant::Type;

// The relative squared error of each tensor in the type that the plan gives it.
Result<std::vector<double>> errors_of(const gguf::WeightSource& source, const convert::QuantizePlan& plan,
                                      const engine::Resources& resources) {
    const std::vector<Type> types = convert::tensor_types(plan.layout.tensors);
    std::vector<Type> different = types;
    std::ranges::sort(different);
    different.erase(std::unique(different.begin(), different.end()), different.end());
    WALLABY_TRY(const auto choices, convert::type_choices(source, plan, different, resources.pool, {}, resources.stop));
    std::vector<double> errors;
    for (size_t t = 0; t < types.size(); t++) {
        const auto choice = std::ranges::find(choices[t], types[t], &convert::TypeChoice::type);
        errors.push_back(choice == choices[t].end() ? 0 : choice->loss);
    }
    return errors;
}

// Without tensors that have no error, and without groups that are left empty.
void leave_errors(std::vector<convert::SensitivityGroup>& groups, const std::vector<double>& errors) {
    for (convert::SensitivityGroup& group : groups) {
        std::erase_if(group.tensors, [&](size_t t) { return errors[t] == 0; });
    }
    std::erase_if(groups, [](const convert::SensitivityGroup& group) { return group.tensors.empty(); });
}

}  // namespace

Result<std::vector<double>> measure_sensitivities(const gguf::WeightSource& source, const convert::QuantizePlan& coarse,
                                                  const convert::TypesOptions& options, const QuantizationLoss& loss,
                                                  const engine::Resources& resources,
                                                  const SensitivityProgress& progress) {
    WALLABY_TRY(const std::vector<double> errors, errors_of(source, coarse, resources));
    std::vector<std::string_view> names;
    for (const gguf::Tensor& tensor : source.tensors()) { names.push_back(tensor.name); }
    convert::SensitivityGroups groups = convert::sensitivity_groups(names);
    leave_errors(groups.kinds, errors);
    leave_errors(groups.layers, errors);

    const std::vector<Type> coarse_types = convert::tensor_types(coarse.layout.tensors);
    const size_t n_total = groups.kinds.size() + groups.layers.size();
    size_t n_done = 0;
    const auto measure = [&](const std::vector<convert::SensitivityGroup>& of) -> Result<std::vector<double>> {
        std::vector<double> klds;
        for (const convert::SensitivityGroup& group : of) {
            std::vector<Type> types = convert::tensor_types(source.tensors());
            for (const size_t t : group.tensors) { types[t] = coarse_types[t]; }
            WALLABY_TRY(const convert::QuantizePlan plan, convert::plan_types(source, types, options, ""));
            WALLABY_TRY(const double kld, loss.measure(plan));
            klds.push_back(std::max(0.0, kld));  // rounding may leave less than nothing
            if (progress) { progress(++n_done, n_total, group.name, kld); }
        }
        return klds;
    };
    WALLABY_TRY(const std::vector<double> of_kinds, measure(groups.kinds));
    WALLABY_TRY(const std::vector<double> of_layers, measure(groups.layers));
    std::vector<double> s = convert::sensitivities(groups, errors, of_kinds, of_layers);
    for (size_t t = 0; t < s.size(); t++) {
        if (errors[t] == 0) { s[t] = 0; }
    }
    return s;
}

}  // namespace wallaby::eval
