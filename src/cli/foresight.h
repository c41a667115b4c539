// What work should have taken on this machine, and why it took longer.
#pragma once
#include <optional>
#include <string>

#include "cli/speed_store.h"
#include "planner/cause.h"
#include "planner/limit.h"
#include "planner/predict.h"

namespace wallaby::cli {

// Work of less is not called slow: it is too little for the system's counters, and for what a first touch of memory
// costs.
inline constexpr double least_slow_seconds = 0.2;

class Foresight {
  public:
    // Of a model's first program, which must outlive this. Measures what is not kept yet (speeds_for), and the rates of
    // the moment.
    static Result<Foresight> create(const ops::Model& model, const WantedSpeeds& wanted, threads::Pool& pool,
                                    const std::stop_token& stop);

    // "predicted_tps 61.2, limit_tps 70.3, limiter read", in tokens a second; and where the work was slower than
    // planner::slow of that, the likely cause as another line. Error `unsupported`:
    // planner::predict.
    Result<std::string> lines(const planner::Work& work, double seconds, const base::Usage& used) const;

  private:
    Foresight(const ops::Model& model, const WantedSpeeds& wanted) : model_(&model), kv_(wanted.kv.front()) {}
    const ops::Model* model_;
    std::pair<quant::Type, quant::Type> kv_;
    SpeedsNow here_;
};

// "slow: …": the cause of work that n_threads did, or that none was seen. before, after: the machine at two moments.
std::string slow_line(double share_of_prediction, const base::Usage& used, uint32_t n_threads,
                      const planner::Rates& before, const planner::Rates& after);

}  // namespace wallaby::cli
