// How long work takes on a machine, with an interval: on this one by what was measured on it, on others by what is
// published of them.
#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "ops/program.h"
#include "planner/efficiency.h"
#include "planner/machine.h"
#include "planner/rates.h"
#include "planner/speeds.h"
#include "planner/work.h"

namespace wallaby::planner {

struct Estimate {
    double seconds = 0;
    double low = 0, high = 0;  // seconds: four of five results are thought to lie between
    std::string limiter;       // what most of the time goes to
};

class Forecaster {
  public:
    virtual ~Forecaster() = default;
    // work: a prompt or generation, not both. Error `unsupported`: nothing is known of what the model needs.
    virtual Result<Estimate> estimate(const ops::Model& model, const Work& work, quant::Type k_type,
                                      quant::Type v_type) const = 0;
    // What the machine gives, by measurement or by its data sheet.
    virtual Rates rates() const = 0;
};

// Four of five predictions here were off by no more, in the table of docs/arithmetic.md: time measured by predicted.
inline constexpr Spread decode_spread_here{0.89, 1.12}, prompt_spread_here{0.88, 1.12};

// This machine. now: what it gives at the moment; spread: what predictions here were off by.
std::unique_ptr<Forecaster> forecast_here(Speeds speeds, const Rates& now, const Spread& decode, const Spread& prompt);
// One of the catalogue.
std::unique_ptr<Forecaster> forecast_machine(const Machine& machine, Learnt decode, Learnt prompt);

// What the arithmetic alone says of work on a machine, per token.
Observation observe(const Machine& machine, const ops::Model& model, const Work& work, quant::Type k_type,
                    quant::Type v_type);

}  // namespace wallaby::planner
