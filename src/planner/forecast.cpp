#include "planner/forecast.h"

#include "planner/limit.h"
#include "planner/predict.h"

namespace wallaby::planner {
namespace {

uint64_t n_steps(const Work& work) {
    const uint64_t per_prompt = (uint64_t(work.n_prompt) + work.n_batch - 1) / work.n_batch;
    return work.n_seqs * per_prompt + work.n_gen;
}

Estimate between(double seconds, const Spread& spread, std::string limiter) {
    return {seconds, seconds * spread.low, seconds * spread.high, std::move(limiter)};
}

class Here final : public Forecaster {
  public:
    Here(Speeds speeds, const Rates& now, const Spread& decode, const Spread& prompt)
        : speeds_(std::move(speeds)), now_(now), decode_(decode), prompt_(prompt) {}

    Result<Estimate> estimate(const ops::Model& model, const Work& work, quant::Type k_type,
                              quant::Type v_type) const override {
        WALLABY_TRY(const Prediction p, predict(model, work, k_type, v_type, speeds_, now_));
        return between(p.seconds(), work.n_prompt != 0 ? prompt_ : decode_, std::string(p.limiter()));
    }
    Rates rates() const override { return now_; }

  private:
    Speeds speeds_;
    Rates now_;
    Spread decode_, prompt_;
};

// Half precision stands for int8 and float32 where that is how a machine multiplies.
Rates published_rates(const Machine& machine) {
    const double ops = machine.prompt_ops_per_s();
    return {machine.bandwidth.value, ops, 0, ops};
}

class Elsewhere final : public Forecaster {
  public:
    Elsewhere(const Machine& machine, Learnt decode, Learnt prompt)
        : machine_(machine), decode_(std::move(decode)), prompt_(std::move(prompt)) {}

    Result<Estimate> estimate(const ops::Model& model, const Work& work, quant::Type k_type,
                              quant::Type v_type) const override {
        const Learnt& learnt = work.n_prompt != 0 ? prompt_ : decode_;
        const auto nothing = [&](std::string_view what) {
            return Error{ErrorCode::unsupported,
                         fmt::format("no {} is known of machines like it", what),
                         {"", machine_.id, {}},
                         ""};
        };
        if (learnt.n_machines == 0) { return nothing(work.n_prompt != 0 ? "speed of prompts" : "decode speed"); }
        if (work.n_prompt != 0 && machine_.prompt_ops_per_s() == 0) { return nothing("rate of multiplications"); }
        const Limit limit = limit_of(model, work, k_type, v_type, published_rates(machine_));
        const double ideal = limit.seconds();
        const double n_ops = double(model.programs.front().ops.size() * n_steps(work));
        const double seconds = learnt.efficiency.seconds(ideal, n_ops);
        const bool is_overhead = n_ops * learnt.efficiency.op_seconds > ideal / learnt.efficiency.share;
        return between(seconds, learnt.spread, is_overhead ? "starting ops" : std::string(limit.limiter()));
    }
    Rates rates() const override { return published_rates(machine_); }

  private:
    Machine machine_;
    Learnt decode_, prompt_;
};

}  // namespace

std::unique_ptr<Forecaster> forecast_here(Speeds speeds, const Rates& now, const Spread& decode, const Spread& prompt) {
    return std::make_unique<Here>(std::move(speeds), now, decode, prompt);
}

std::unique_ptr<Forecaster> forecast_machine(const Machine& machine, Learnt decode, Learnt prompt) {
    return std::make_unique<Elsewhere>(machine, std::move(decode), std::move(prompt));
}

Observation observe(const Machine& machine, const ops::Model& model, const Work& work, quant::Type k_type,
                    quant::Type v_type) {
    const auto n_tokens = double(work.n_tokens());
    Observation o{machine.id, machine.tier, work.n_prompt != 0};
    o.ideal_seconds = limit_of(model, work, k_type, v_type, published_rates(machine)).seconds() / n_tokens;
    o.n_ops = double(model.programs.front().ops.size() * n_steps(work)) / n_tokens;
    return o;
}

}  // namespace wallaby::planner
