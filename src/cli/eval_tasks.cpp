// wallaby eval hellaswag, winogrande, multiple-choice: which of several continuations a model finds most likely.
#include <array>

#include "cli/eval.h"
#include "cli/interrupt.h"
#include "eval/task_files.h"
#include "sampling/random.h"

namespace wallaby::cli {
namespace {

using Json = nlohmann::ordered_json;
using Tasks = std::vector<eval::ChoiceTask>;

struct TaskKind {
    const char *name, *summary;
    const char* n_tasks_flag;  // llama-perplexity's, after ours
    Result<Tasks> (*read)(std::string_view text, const std::string& file);
};

constexpr std::array kinds{
    TaskKind{"hellaswag", "the right one of four endings: six lines a task, as llama-perplexity reads them",
             "--tasks,--hellaswag-tasks", eval::read_hellaswag},
    TaskKind{"winogrande", "the right one of two words in a sentence: comma-separated values, as llama-perplexity's",
             "--tasks,--winogrande-tasks", eval::read_winogrande},
    TaskKind{"multiple-choice", "the right one of several answers: llama-perplexity's binary files, or lines of JSON",
             "--tasks,--multiple-choice-tasks", eval::read_multiple_choice},
};

struct TaskFlags {
    EvalFlags eval;
    uint32_t n_tasks = 0;  // 0: all
    std::optional<uint64_t> seed;
};

// The first ones, or a random choice of them in random order.
void choose(Tasks& tasks, const TaskFlags& flags) {
    const size_t n = flags.n_tasks == 0 ? tasks.size() : std::min<size_t>(flags.n_tasks, tasks.size());
    if (flags.seed) {
        sampling::Random random(*flags.seed);
        for (size_t i = 0; i < n; i++) {
            const auto among = size_t(random.uniform() * double(tasks.size() - i));
            std::swap(tasks[i], tasks[i + among]);
        }
    }
    tasks.resize(n);
}

std::string accuracy_line(std::string_view name, const eval::Accuracy& a) {
    const eval::Estimate share = a.share();
    const auto [low, high] = a.interval();
    return fmt::format("{:<14}: {:7.4f} ± {:6.4f} %   95 % between {:.4f} and {:.4f} %\n", name, 100 * share.value,
                       100 * share.error, 100 * low, 100 * high);
}

std::string results_text(const eval::ChoiceResults& r) {
    return fmt::format("{:<14}: {}\n", "Tasks", r.acc.n_tasks) + accuracy_line("acc", r.acc) +
           accuracy_line("acc_norm", r.acc_norm) +
           fmt::format("{:<14}: {:7.4f} ± {:6.4f} %\n", "Random chance", 100 * r.chance.value, 100 * r.chance.error);
}

Json accuracy_json(const eval::Accuracy& a) {
    Json json = json_of(a.share());
    const auto [low, high] = a.interval();
    json["low"] = low;
    json["high"] = high;
    return json;
}

std::string results_json(const EvalFlags& flags, const engine::Model& model, const Tasks& tasks,
                         const eval::ChoiceResults& r) {
    Json all = Json::array();
    for (size_t i = 0; i < tasks.size(); i++) {
        Json right = Json::array(), log_p = Json::array(), n_tokens = Json::array();
        for (size_t c = 0; c < tasks[i].choices.size(); c++) {
            if (tasks[i].choices[c].is_right) { right.push_back(c); }
            log_p.push_back(r.scores[i][c].log_p);
            n_tokens.push_back(r.scores[i][c].n_tokens);
        }
        all.push_back({{"place", tasks[i].place},
                       {"right", std::move(right)},
                       {"by_sum", eval::best_by_sum(r.scores[i])},
                       {"per_token", eval::best_per_token(r.scores[i])},
                       {"log_p", std::move(log_p)},
                       {"n_tokens", std::move(n_tokens)}});
    }
    return dump({{"model", model.name()},
                 {"file", flags.text_file},
                 {"n_tasks", tasks.size()},
                 {"acc", accuracy_json(r.acc)},
                 {"acc_norm", accuracy_json(r.acc_norm)},
                 {"chance", json_of(r.chance)},
                 {"tasks", std::move(all)}});
}

Result<std::string> run_tasks(const TaskKind& kind, const TaskFlags& all_flags) {
    const EvalFlags& flags = all_flags.eval;
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const std::string text, read_text(flags.text_file));
    WALLABY_TRY(Tasks tasks, kind.read(text, flags.text_file));
    choose(tasks, all_flags);
    WALLABY_TRY(const Loaded loaded, load(flags.model, 0, stop));
    const std::string seed = all_flags.seed ? fmt::format("{}", *all_flags.seed) : "none";
    WALLABY_TRY(auto state,
                open_state(flags, kind.name, *loaded.model,
                           {{"file", hex_digest(text)}, {"tasks", fmt::format("{}", tasks.size())}, {"seed", seed}}));
    WALLABY_TRY(const auto session, engine::Session::create(loaded.model, {.adapters = loaded.adapters}));
    StatusLine status;
    const auto progress = [&](size_t n_done, size_t n_total, const eval::Accuracy& a) {
        status.show(n_done, n_total,
                    fmt::format("acc_norm {:.2f} ± {:.2f} %", 100 * a.share().value, 100 * a.share().error));
    };
    auto result = eval::answer(*session, tasks, progress, stop, state ? &*state : nullptr);
    if (!result.ok()) {
        say_kept(state);
        Error error = std::move(result).error();
        if (error.where.file.empty() && !error.where.field.empty()) { error.where.file = flags.text_file; }
        return error;
    }
    return flags.output == "json" ? results_json(flags, *loaded.model, tasks, *result) : results_text(*result);
}

}  // namespace

std::vector<EvalVerb> add_tasks(CLI::App& app) {
    std::vector<EvalVerb> verbs;
    for (const TaskKind& kind : kinds) {
        auto flags = std::make_shared<TaskFlags>();
        CLI::App* sub = app.add_subcommand(kind.name, kind.summary);
        flags->eval.model.add_model(*sub);
        sub->add_option("-f,--file", flags->eval.text_file, "the tasks")->type_name("FILE")->required();
        sub->add_option(kind.n_tasks_flag, flags->n_tasks, "how many of them: the first; 0: all")
            ->type_name("N")
            ->capture_default_str();
        sub->add_option("-s,--seed", flags->seed, "a random choice of them instead, the same for the same seed")
            ->type_name("N");
        add_eval_output(*sub, flags->eval, {"text", "json"});
        add_eval_resume(*sub, flags->eval);
        add_threads(*sub, flags->eval.model.n_threads);
        flags->eval.model.add_context(*sub);
        flags->eval.model.add_lora(*sub);
        verbs.emplace_back(
            [sub, flags, &kind] { return sub->parsed() ? std::optional(run_tasks(kind, *flags)) : std::nullopt; });
    }
    return verbs;
}

}  // namespace wallaby::cli
