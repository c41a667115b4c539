// Rotary frequencies: position * base^(-2i/n), and how the known ways of reaching beyond the trained context change it.
//   linear    every frequency divided by the factor                                   (Chen et al. 2023, arXiv
//   2306.15595) NTK       a larger base: base * alpha^(n/(n-2)), or a base written by the converter YaRN      slow
//   dimensions divided, fast ones kept, a ramp between; magnitude 1 + 0.1 ln(factor)
//                                                                                     (Peng et al. 2023, arXiv
//                                                                                     2309.00071)
//   llama3    a divisor per dimension, as a tensor (rope_freqs)
//   LongRoPE  divisors per dimension, one set for short and one for long contexts      (Ding et al. 2024, arXiv
//   2402.13753)
#include <algorithm>
#include <cmath>

#include "base/math.h"
#include "models/builder.h"

namespace wallaby::models {
namespace {

constexpr double pi = 3.14159265358979323846;

// YaRN's ramp: 1 where a dimension turns more often than beta_fast times in the original context (kept as it is),
// 0 where less often than beta_slow (divided by the factor).
class YarnRamp {
  public:
    YarnRamp(uint32_t n_dims, double base, double n_ctx_original, double beta_fast, double beta_slow) {
        const auto dimension = [&](double turns) {
            return n_dims * base::log(n_ctx_original / (turns * 2 * pi)) / (2 * base::log(base));
        };
        low_ = std::max(0.0, std::floor(dimension(beta_fast)));
        high_ = std::min(n_dims - 1.0, std::ceil(dimension(beta_slow)));
    }
    double operator()(uint32_t pair) const {
        return 1 - std::clamp((pair - low_) / std::max(0.001, high_ - low_), 0.0, 1.0);
    }

  private:
    double low_, high_;
};

}  // namespace

double Builder::rope_base() {
    if (options_.rope_freq_base != 0) { return options_.rope_freq_base; }
    return number_or("rope.freq_base", 10000, 1.0000001, 1e15);
}

uint32_t Builder::plain_rope_table(uint32_t n_dims, double base) {
    ops::RopeTable table;
    for (uint32_t i = 0; i < n_dims / 2; i++) { table.frequency.push_back(base::pow(base, -2.0 * i / n_dims)); }
    model_.rope_tables.push_back(std::move(table));
    return uint32_t(model_.rope_tables.size() - 1);
}

uint32_t Builder::rope_table(uint32_t n_dims, uint32_t n_ctx_train) {
    ops::RopeTable table;
    double base = rope_base();
    const std::string type = string_or("rope.scaling.type", "linear");
    if (type != "none" && type != "linear" && type != "yarn" && type != "longrope") {
        problem(source_.metadata().error(ErrorCode::unsupported, key("rope.scaling.type"),
                                         fmt::format("is '{}', which this build does not know", type)));
    }
    const double alpha = number_or("rope.scaling.alpha", 0, 0, 1e9);
    if (alpha > 0 && n_dims > 2) { base *= base::pow(alpha, n_dims / (n_dims - 2.0)); }

    double factor = number_or("rope.scaling.factor", number_or("rope.scale_linear", 0, 0, 1e9), 0, 1e9);
    if (options_.rope_freq_scale != 0) { factor = 1 / options_.rope_freq_scale; }
    if (factor == 0 || type == "none" || type == "longrope") { factor = 1; }
    const uint32_t n_ctx_original = u32_or("rope.scaling.original_context_length", n_ctx_train, 0, 1u << 30);
    table.magnitude = number_or("rope.scaling.attn_factor", 1, 0, 1e9);

    double extrapolated = number_or("rope.scaling.yarn_ext_factor", -1, -1, 1);  // YaRN's share of the ramp
    if (extrapolated < 0) { extrapolated = type == "yarn" ? 1 : 0; }
    const YarnRamp ramp(n_dims, base, n_ctx_original == 0 ? n_ctx_train : n_ctx_original,
                        number_or("rope.scaling.yarn_beta_fast", 32, 1e-9, 1e9),
                        number_or("rope.scaling.yarn_beta_slow", 1, 1e-9, 1e9));
    if (extrapolated != 0) {
        const auto magnitude = [&](double share) { return factor <= 1 ? 1 : 1 + 0.1 * share * base::log(factor); };
        const double all_dims = number_or("rope.scaling.yarn_log_multiplier", 0, -1e9, 1e9);
        table.magnitude *= magnitude(1) / (all_dims == 0 ? 1 : magnitude(all_dims));
    } else {
        table.magnitude *= number_or("rope.scaling.yarn_attn_factor", 1, 0, 1e9);
    }

    std::string divisors_name = "rope_freqs.weight";
    if (!has_tensor(divisors_name) && has_tensor("rope_factors_short.weight")) {
        const bool is_long = options_.n_ctx > n_ctx_original;
        divisors_name = is_long ? "rope_factors_long.weight" : "rope_factors_short.weight";
        ignore_ending(is_long ? "rope_factors_short.weight" : "rope_factors_long.weight");
    }
    const std::vector<float> divisors = values_of(divisors_name, n_dims / 2);
    table.frequency.resize(n_dims / 2);
    for (uint32_t i = 0; i < n_dims / 2; i++) {
        const double divisor = divisors.empty() ? 1 : divisors[i];
        if (!(std::fabs(divisor) >= 1e-9 && std::fabs(divisor) <= 1e9)) {
            problem({ErrorCode::model,
                     fmt::format("element {} is {}, no divisor of a frequency", i, divisor),
                     {source_.metadata().file(), fmt::format("tensor '{}'", divisors_name), {}},
                     ""});
            break;
        }
        const double plain = base::pow(base, -2.0 * i / n_dims) / divisor;
        const double kept = extrapolated * ramp(i);
        table.frequency[i] = plain / factor * (1 - kept) + plain * kept;
    }
    model_.rope_tables.push_back(std::move(table));
    return uint32_t(model_.rope_tables.size() - 1);
}

}  // namespace wallaby::models
