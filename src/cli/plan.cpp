// wallaby plan: whether a model fits a machine and how fast it will be there, before anything is downloaded or loaded.
#include "cli/plan.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/system.h"
#include "cli/app.h"
#include "cli/catalogue.h"
#include "cli/interrupt.h"
#include "cli/plan_tables.h"
#include "cli/speed_store.h"
#include "convert/mixes.h"
#include "kv/checkpoints.h"
#include "planner/footprint.h"
#include "planner/predict.h"

namespace wallaby::cli {
namespace {

struct Flags {
    std::string model = "joey";
    std::vector<std::string> machines;
    uint32_t n_ctx = 0, n_seqs = 1, n_prompt = 512, n_batch = 256, n_threads = 0;
    std::string k_type = "f16", v_type = "f16", type, output = "table", isa = "auto";
    std::string want;
    std::vector<double> speculate;  // drafts, acceptance, and what a draft costs in steps
    bool article = false, validate = false, list = false;

    bool draws() const { return output == "svg" || output == "plot"; }
};

constexpr uint32_t usual_n_ctx = 4096, most_sequences = 4096;

// The mixes that people choose from, fewest bits last.
constexpr std::array<std::string_view, 8> ladder{"F16",    "Q8_0",   "Q6_K", "Q5_K_M",
                                                 "Q4_K_M", "Q3_K_M", "Q2_K", "IQ2_XXS"};

constexpr std::array kv_types{quant::Type::f16, quant::Type::q8_0, quant::Type::q4_0};

// A machine that is planned for.
struct Target {
    std::string id, name;
    double memory_bytes = 0, bandwidth = 0;                                       // bytes, bytes per second
    std::unique_ptr<planner::Forecaster> now = nullptr, faster_memory = nullptr;  // and with twice the bandwidth
};

class Planner {
  public:
    Planner(const Flags& flags, const std::stop_token& stop) : flags_(flags), stop_(stop), pool_(flags.n_threads) {}

    Result<PlanReport> run() {
        WALLABY_TRY(model_, PlanModel::open(flags_.model));
        WALLABY_TRY(backend_, backends::make_cpu(pool_, flags_.isa));
        report_.model = model_->name();
        report_.type = flags_.type.empty() ? model_->usual_type() : flags_.type;
        report_.n_prompt = flags_.n_prompt;
        if (!flags_.want.empty()) { WALLABY_TRY(report_.want, planner::parse_want(flags_.want)); }
        WALLABY_OK(check_speculation());
        WALLABY_OK(choose_settings());
        WALLABY_TRY(const PlanModel::Typed* typed, model_->typed(report_.type, report_.settings.n_ctx));
        report_.n_params = double(typed->n_params);
        report_.n_bytes = double(typed->n_bytes);
        const std::vector<std::string> here{"here"};
        for (const std::string& name : flags_.machines.empty() ? here : flags_.machines) {
            WALLABY_TRY(Target target, target_of(name, *typed));
            if (report_.want && report_.want->memory_bytes != 0) {
                target.memory_bytes = std::min(target.memory_bytes, report_.want->memory_bytes);
            }
            WALLABY_TRY(MachinePlan plan, plan_on(target, *typed));
            if (report_.want) { WALLABY_OK(find_choices(target, plan)); }
            report_.machines.push_back(std::move(plan));
        }
        return std::move(report_);
    }

  private:
    Result<void> choose_settings() {
        backends::Settings& s = report_.settings;
        WALLABY_TRY(s.k_type, kv_type("--ctk", flags_.k_type));
        WALLABY_TRY(s.v_type, kv_type("--ctv", flags_.v_type));
        s.n_seqs = flags_.n_seqs;
        s.n_batch = std::max(flags_.n_batch, flags_.n_seqs);
        s.n_slots = kv::slots_per_sequence;
        s.n_ctx = report_.want && report_.want->n_ctx != 0 ? report_.want->n_ctx : flags_.n_ctx;
        if (s.n_ctx == 0) {
            WALLABY_TRY(const PlanModel::Typed* typed, model_->typed(report_.type, 0));
            s.n_ctx = std::max(1u, std::min(typed->model.n_ctx_train, usual_n_ctx));
        }
        return {};
    }

    Result<void> check_speculation() const {
        const std::vector<double>& s = flags_.speculate;
        const bool is_good = s.size() >= 2 && s.size() <= 3 && s[0] >= 1 && s[0] <= 64 && s[0] == std::floor(s[0]) &&
                             s[1] >= 0 && s[1] <= 1 && (s.size() == 2 || (s[2] >= 0 && s[2] <= 100));
        if (s.empty() || is_good) { return {}; }
        return Error{
            ErrorCode::argument,
            "must be 1 to 64 drafts a step, the probability that one is accepted, and then perhaps what making "
            "one costs in steps",
            {"", "--speculate", {}},
            "For example --speculate 4,0.7 or --speculate 4,0.7,0.05"};
    }

    Result<Target> target_of(const std::string& name, const PlanModel::Typed& typed) {
        Target t{name, name};
        if (name == "here") { return here(typed); }
        if (!catalogue_) { WALLABY_TRY(catalogue_, open_catalogue()); }
        WALLABY_TRY(planner::Machine machine, machine_named(*catalogue_, name));
        t.id = machine.id;
        t.name = machine.name;
        t.memory_bytes = machine.memory.value;
        t.bandwidth = machine.bandwidth.value;
        t.now = forecaster_of(*catalogue_, machine);
        machine.bandwidth.value *= 2;
        t.faster_memory = forecaster_of(*catalogue_, machine);
        return t;
    }

    // Whatever a plan may look at is measured together.
    Result<Target> here(const PlanModel::Typed& typed) {
        const backends::Settings& s = report_.settings;
        WantedSpeeds wanted{{"cpu", flags_.isa}, planner::matrix_types(typed.model), {{s.k_type, s.v_type}}};
        std::vector<std::string_view> types{fewer_bits(typed.bits())};
        if (report_.want) {
            for (const planner::Quality& q : planner::qualities()) { types.push_back(q.type); }
        }
        for (const std::string_view type : types) {
            if (type.empty()) { continue; }
            const auto other = model_->typed(type, s.n_ctx);
            if (!other.ok()) { continue; }
            const std::vector<quant::Type> more = planner::matrix_types((*other)->model);
            wanted.formats.insert(wanted.formats.end(), more.begin(), more.end());
        }
        for (const quant::Type type : kv_types) { wanted.kv.emplace_back(type, type); }
        WALLABY_TRY(const SpeedsNow here, speeds_now(wanted, pool_, stop_));
        Target t{"here", "this machine", double(base::available_memory().value_or(0)), here.now.read_bytes_per_s};
        t.now = planner::forecast_here(here.speeds, here.now, planner::decode_spread_here, planner::prompt_spread_here);
        planner::Rates doubled = here.now;
        doubled.read_bytes_per_s *= 2;
        t.faster_memory =
            planner::forecast_here(here.speeds, doubled, planner::decode_spread_here, planner::prompt_spread_here);
        return t;
    }

    Result<MachinePlan> plan_on(const Target& target, const PlanModel::Typed& typed) {
        const backends::Settings& s = report_.settings;
        MachinePlan out;
        out.id = target.id;
        out.name = target.name;
        out.memory_bytes = target.memory_bytes;
        out.process_bytes = process_bytes(typed.model);
        WALLABY_TRY(out.memory, backend_->plan(typed.model, s));
        const auto fits = [&](const backends::Settings& settings) {
            const auto plan = backend_->plan(typed.model, settings);
            return plan.ok() && double(plan->total() + out.process_bytes) <= target.memory_bytes;
        };
        const uint32_t most_ctx =
            typed.model.n_ctx_max != 0 ? typed.model.n_ctx_max : std::max(typed.model.n_ctx_train, s.n_ctx);
        out.largest_context = planner::largest(most_ctx, [&](uint32_t n_ctx) {
            backends::Settings other = s;
            other.n_ctx = n_ctx;
            return fits(other);
        });
        out.largest_sequences = planner::largest(most_sequences, [&](uint32_t n_seqs) {
            backends::Settings other = s;
            other.n_seqs = n_seqs;
            other.n_batch = std::max(s.n_batch, n_seqs);
            return fits(other);
        });
        const planner::Work prompt{flags_.n_prompt, 0, 0, 1, flags_.n_batch};
        if (flags_.n_prompt != 0) { out.prompt = target.now->estimate(typed.model, prompt, s.k_type, s.v_type); }
        if (flags_.draws()) {
            out.roofline = planner::roofline_of(typed.model, decode_at(flags_.n_prompt), prompt, s.k_type, s.v_type,
                                                target.now->rates());
        }
        out.decode = target.now->estimate(typed.model, decode_at(flags_.n_prompt), s.k_type, s.v_type);
        out.decode_full = target.now->estimate(typed.model, decode_at(s.n_ctx), s.k_type, s.v_type);
        if (out.decode_full.ok()) {
            find_changes(target, typed, out);
            if (!flags_.speculate.empty()) { WALLABY_TRY(out.speculation, speculate(target, typed, *out.decode)); }
        }
        return out;
    }

    // A token of every sequence, with `depth` tokens before it.
    planner::Work decode_at(uint32_t depth) const {
        return {0, 1, depth == 0 ? 0 : std::min(depth, report_.settings.n_ctx) - 1, flags_.n_seqs, flags_.n_batch};
    }

    // Of `wallaby run`, which has a tokenizer.
    uint64_t process_bytes(const ops::Model& model) const {
        return planner::run_bytes(model, model_->metadata_bytes().value_or(planner::usual_metadata_bytes(model)));
    }

    // What verifying k drafts and one more costs beside a step of one.
    Result<Speculation> speculate(const Target& target, const PlanModel::Typed& typed,
                                  const planner::Estimate& step) const {
        Speculation out;
        out.n_drafts = uint32_t(flags_.speculate[0]);
        out.acceptance = flags_.speculate[1];
        out.draft_steps = flags_.speculate.size() == 3 ? flags_.speculate[2] : 0;
        planner::Work verify = decode_at(flags_.n_prompt);
        verify.n_step = out.n_drafts + 1;
        const backends::Settings& s = report_.settings;
        WALLABY_TRY(const planner::Estimate e, target.now->estimate(typed.model, verify, s.k_type, s.v_type));
        out.verify_steps = e.seconds / step.seconds;
        out.gain = planner::speculation_gain(out.n_drafts, out.acceptance, out.verify_steps, out.draft_steps);
        out.break_even = planner::speculation_break_even(out.n_drafts, out.verify_steps, out.draft_steps);
        return out;
    }

    // Types of weights and of keys and values, at the context that is wanted.
    Result<void> find_choices(const Target& target, MachinePlan& out) {
        for (const planner::Quality& q : planner::qualities()) {
            const auto typed = model_->typed(q.type, report_.settings.n_ctx);
            if (!typed.ok()) { return typed.error(); }
            for (const quant::Type kv : kv_types) {
                backends::Settings s = report_.settings;
                s.k_type = s.v_type = kv;
                const auto plan = backend_->plan((*typed)->model, s);
                if (!plan.ok()) { continue; }  // heads that the type cannot hold
                Choice c{std::string(q.type), q.perplexity_increase, kv};
                c.needed_bytes = plan->total() + out.process_bytes;
                if (double(c.needed_bytes) > target.memory_bytes) { continue; }
                WALLABY_TRY(const planner::Estimate e,
                            target.now->estimate((*typed)->model, decode_at(s.n_ctx), kv, kv));
                c.tokens_per_s = 1 / e.seconds;
                c.meets = c.tokens_per_s >= report_.want->tokens_per_s;
                c.wanted_bandwidth = target.bandwidth * report_.want->tokens_per_s / c.tokens_per_s;
                out.choices.push_back(std::move(c));
            }
        }
        if (std::ranges::any_of(out.choices, &Choice::meets)) {
            std::erase_if(out.choices, [](const Choice& c) { return !c.meets; });
        }
        return {};
    }

    void find_changes(const Target& target, const PlanModel::Typed& typed, MachinePlan& out) {
        const backends::Settings& s = report_.settings;
        const planner::Work full = decode_at(s.n_ctx);
        const double now = s.n_seqs / out.decode_full->seconds;
        const auto consider = [&](std::string what, const planner::Forecaster& forecaster, const ops::Model& model,
                                  const planner::Work& work, quant::Type k_type, quant::Type v_type) {
            const auto e = forecaster.estimate(model, work, k_type, v_type);
            if (!e.ok()) { return; }
            const double speed = work.n_seqs / e->seconds;
            out.changes.push_back({std::move(what), speed, speed / now - 1});
        };
        if (const std::string_view fewer = fewer_bits(typed.bits()); !fewer.empty()) {
            const auto other = model_->typed(fewer, s.n_ctx);
            if (other.ok()) {
                consider(fmt::format("fewer bits: {}", fewer), *target.now, (*other)->model, full, s.k_type, s.v_type);
            }
        }
        if (s.n_ctx > 1) {
            consider(fmt::format("a context of {}", s.n_ctx / 2), *target.now, typed.model, decode_at(s.n_ctx / 2),
                     s.k_type, s.v_type);
        }
        if (s.k_type == quant::Type::f16 && s.v_type == quant::Type::f16) {
            consider("q8_0 keys and values", *target.now, typed.model, full, quant::Type::q8_0, quant::Type::q8_0);
        }
        consider("memory of twice the bandwidth", *target.faster_memory, typed.model, full, s.k_type, s.v_type);
        planner::Work batched = full;
        batched.n_seqs *= 4;
        if (batched.n_seqs <= out.largest_sequences) {
            consider(fmt::format("{} sequences at once", batched.n_seqs), *target.now, typed.model, batched, s.k_type,
                     s.v_type);
        }
        std::ranges::stable_sort(out.changes, std::greater(), &Change::gain);
    }

    // The next step down of what people choose from.
    static std::string_view fewer_bits(double bits) {
        constexpr std::array<double, ladder.size()> nominal{16, 8.5, 6.56, 5.7, 4.85, 3.9, 2.96, 2.06};
        for (size_t i = 0; i < ladder.size(); i++) {
            if (nominal[i] < 0.95 * bits) { return ladder[i]; }
        }
        return "";
    }

    const Flags& flags_;
    const std::stop_token& stop_;
    threads::Pool pool_;
    std::unique_ptr<PlanModel> model_;
    std::unique_ptr<backends::Backend> backend_;
    std::optional<Catalogue> catalogue_;
    PlanReport report_;
};

Result<std::string> run_plan(const Flags& flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    if (flags.list) { return machines_table(); }
    if (flags.article) { return article_table(); }
    if (flags.validate) { return validation_table(flags.output == "json"); }
    WALLABY_TRY(const PlanReport report, Planner(flags, stop).run());
    if (flags.output == "json") { return plan_json(report); }
    if (flags.output == "csv") { return plan_csv(report); }
    if (flags.output == "svg" && ::isatty(1) == 0) { return plan_svg(report); }
    if (flags.draws()) { return plan_plot(report); }
    return plan_text(report);
}

}  // namespace

std::function<int()> define_plan(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    app.add_option("model", flags->model,
                   "a GGUF file or the beginning of one, - for standard input, a Hugging Face config.json, or a known "
                   "name (wallaby synth --list)");
    app.add_option("-m,--model", flags->model, "the same as a flag");
    app.add_option("--on", flags->machines,
                   "machines: here (the default), a name of the catalogue (--list), or a TOML file")
        ->type_name("MACHINE…")
        ->delimiter(',');
    app.add_option("-c,--ctx-size", flags->n_ctx, "tokens of context (default: the model's, at most 4096)")
        ->type_name("N");
    app.add_option("--np,--parallel", flags->n_seqs, "sequences at once (also -np)")
        ->type_name("N")
        ->check(CLI::Range(1u, most_sequences))
        ->capture_default_str();
    app.add_option("-p,--n-prompt", flags->n_prompt, "tokens of the prompt")
        ->type_name("N")
        ->check(CLI::Range(0, 1 << 20))
        ->capture_default_str();
    app.add_option("-b,--batch-size", flags->n_batch, "tokens of a prompt evaluated at once")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 16))
        ->capture_default_str();
    app.add_option("--ctk,--cache-type-k", flags->k_type, "type of the cached keys (also -ctk)")
        ->type_name("TYPE")
        ->capture_default_str();
    app.add_option("--ctv,--cache-type-v", flags->v_type, "type of the cached values (also -ctv)")
        ->type_name("TYPE")
        ->capture_default_str();
    app.add_option("--type", flags->type, "plan for the model in another format or mix: Q8_0, Q4_K_M …")
        ->type_name("TYPE");
    add_threads(app, flags->n_threads);
    app.add_option("--want", flags->want, "which types of weights, keys and values do it: \"20 tok/s at 32k in 16 GB\"")
        ->type_name("TEXT");
    app.add_option(
           "--speculate", flags->speculate,
           "what drafting K tokens a step gives, each accepted with probability P; C: a draft's cost in steps [0]")
        ->type_name("K,P[,C]")
        ->delimiter(',');
    app.add_flag("--list", flags->list, "list the catalogue's machines");
    app.add_flag("--article", flags->article, "the numbers of \"How is LLaMa.cpp possible?\" beside corrected limits");
    app.add_flag("--validate", flags->validate, "published results beside what is predicted of their machines");
    app.add_option("-o,--output", flags->output,
                   "how it is printed: table, json, csv, svg (a roofline plot; as text on a terminal), plot (as text)")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "json", "csv", "svg", "plot"}))
        ->capture_default_str();
    return [flags] {
        const auto text = run_plan(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(for_terminal(*text)) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
