#include "cli/foresight.h"

#include <fmt/format.h>

#include "threads/cpus.h"

namespace wallaby::cli {

Result<Foresight> Foresight::create(const ops::Model& model, const WantedSpeeds& wanted, threads::Pool& pool,
                                    const std::stop_token& stop) {
    Foresight f(model, wanted);
    WALLABY_TRY(f.here_, speeds_now(wanted, pool, stop));
    return f;
}

Result<std::string> Foresight::lines(const planner::Work& work, double seconds, const base::Usage& used) const {
    WALLABY_TRY(const planner::Prediction predicted,
                planner::predict(*model_, work, kv_.first, kv_.second, here_.speeds, here_.now));
    const planner::Limit limit = planner::limit_of(*model_, work, kv_.first, kv_.second, here_.now);
    const auto rate = [&](double s) { return s > 0 ? double(work.n_tokens()) / s : 0; };
    std::string text = fmt::format("predicted_tps {:.2f}, limit_tps {:.2f}, limiter {}", rate(predicted.seconds()),
                                   rate(limit.seconds()), limit.limiter());
    const double share = predicted.seconds() / std::max(seconds, 1e-9);
    if (share < planner::slow && seconds >= least_slow_seconds) {
        text += "\n" + slow_line(share, used, here_.speeds.n_threads, here_.speeds.rates, here_.now);
    }
    return text;
}

std::string slow_line(double share_of_prediction, const base::Usage& used, uint32_t n_threads,
                      const planner::Rates& before, const planner::Rates& after) {
    const threads::CpuCount cpus = threads::count_cpus();
    const auto cause = planner::likely_cause({used, n_threads, cpus.physical, cpus.quota, before, after});
    return fmt::format("slow: {:.0f} % of the predicted speed; {}", 100 * share_of_prediction,
                       cause ? "likely cause: " + *cause : "no cause was seen");
}

}  // namespace wallaby::cli
