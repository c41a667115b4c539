// The CPU back end: plans from the model and its settings alone, then loads.
#include <cstdlib>

#include "backends/backend.h"
#include "backends/cpu/executable.h"
#include "backends/rules.h"

namespace wallaby::backends {
namespace {

class CpuBackend final : public Backend {
  public:
    CpuBackend(threads::Pool& pool, const kernels::Table& kernels, WeightsIn weights_in)
        : pool_(pool), kernels_(kernels), weights_in_(weights_in) {}

    Result<MemoryPlan> plan(const ops::Model& model, const Settings& settings) const override {
        WALLABY_OK(check_settings(model, settings));
        MemoryPlan plan;
        plan.settings = settings;
        plan.n_pages = kv::pages_for(settings.n_ctx) * settings.n_seqs;
        WALLABY_TRY(plan.n_slots, slots_of(model, settings));
        plan.weight_bytes = cpu::Weights::planned_bytes(model, weights_in_);
        WALLABY_TRY(plan.state_bytes, cpu::CpuExecutable::state_bytes(model, plan));
        plan.scratch_bytes =
            cpu::CpuExecutable::scratch_sizes(model, settings, kernels_, weights_in_).total(pool_.size());
        return plan;
    }
    Result<std::unique_ptr<Executable>> compile(const ops::Model& model, const gguf::WeightSource& source,
                                                const MemoryPlan& plan, const base::Progress& progress,
                                                std::stop_token stop) const override {
        auto executable = std::make_unique<cpu::CpuExecutable>(model, plan, kernels_, weights_in_, pool_);
        WALLABY_OK(executable->load(source, progress, stop));
        return std::unique_ptr<Executable>(std::move(executable));
    }

  private:
    threads::Pool& pool_;
    const kernels::Table& kernels_;
    WeightsIn weights_in_;
};

// Empty: what the environment says, or else the best.
Result<const kernels::Table*> table_of(std::string_view isa) {
    const char* wish = isa.empty() ? std::getenv("WALLABY_ISA") : nullptr;
    return kernels::choose(wish != nullptr ? wish : isa, base::cpu_features());
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu(threads::Pool& pool, std::string_view isa, WeightsIn weights_in) {
    WALLABY_TRY(const kernels::Table* chosen, table_of(isa));
    return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(pool, *chosen, weights_in));
}

std::vector<InstructionSet> instruction_sets() {
    std::vector<InstructionSet> out;
    for (kernels::Known& k : kernels::known(base::cpu_features())) {
        out.push_back({std::string(k.name), std::move(k.why_not), k.by_name_only});
    }
    return out;
}

Result<std::string> instruction_set(std::string_view isa) {
    WALLABY_TRY(const kernels::Table* chosen, table_of(isa));
    return std::string(chosen->isa.name);
}

}  // namespace wallaby::backends
