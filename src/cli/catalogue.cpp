#include "cli/catalogue.h"

#include <algorithm>
#include <map>

#include "assets/catalogue.h"
#include "cli/app.h"
#include "cli/plan_model.h"

namespace wallaby::cli {
namespace {

constexpr uint32_t peer_batch = 512;  // llama.cpp's

}  // namespace

Result<Catalogue> open_catalogue() {
    Catalogue out;
    WALLABY_TRY(out.machines, planner::read_machines(assets::machines(), "machines.toml"));
    WALLABY_TRY(out.published, planner::read_published(assets::measurements(), "measurements.csv"));
    std::map<std::string, std::unique_ptr<PlanModel>> models;
    for (const planner::Published& p : out.published) {
        const planner::Machine* machine = planner::find_machine(out.machines, p.machine);
        if (machine == nullptr) {
            return Error{ErrorCode::format,
                         fmt::format("'{}' is no machine of machines.toml", p.machine),
                         {"measurements.csv", "machine", {}},
                         ""};
        }
        std::unique_ptr<PlanModel>& model = models[p.model];
        if (!model) { WALLABY_TRY(model, PlanModel::open(p.model)); }
        WALLABY_TRY(const PlanModel::Typed* typed, model->typed(p.format, 0));
        // What a token costs grows evenly with those before it: the one in the middle stands for all.
        const planner::Work work = p.is_prompt ? planner::Work{p.n_tokens, 0, 0, 1, peer_batch}
                                               : planner::Work{0, 1, p.n_tokens / 2, 1, peer_batch};
        planner::Observation o = planner::observe(*machine, typed->model, work, quant::Type::f16, quant::Type::f16);
        o.seconds = 1 / p.tokens_per_s;
        out.observations.push_back(std::move(o));
    }
    return out;
}

Result<planner::Machine> machine_named(const Catalogue& catalogue, const std::string& name) {
    if (name.ends_with(".toml")) {
        WALLABY_TRY(const std::string text, read_text(name));
        WALLABY_TRY(const std::vector<planner::Machine> machines, planner::read_machines(text, name));
        return machines.front();
    }
    const planner::Machine* machine = planner::find_machine(catalogue.machines, name);
    if (machine != nullptr) { return *machine; }
    std::vector<std::string> known{"here"};
    for (const planner::Machine& m : catalogue.machines) { known.push_back(m.id); }
    return Error{ErrorCode::argument,
                 fmt::format("'{}' is no machine that is known", name),
                 {"", "--on", {}},
                 fmt::format("Give a TOML file, or one of: {}", fmt::join(known, ", "))};
}

std::unique_ptr<planner::Forecaster> forecaster_of(const Catalogue& catalogue, const planner::Machine& machine) {
    return planner::forecast_machine(machine, planner::learn(catalogue.observations, machine.tier, false, ""),
                                     planner::learn(catalogue.observations, machine.tier, true, ""));
}

}  // namespace wallaby::cli
