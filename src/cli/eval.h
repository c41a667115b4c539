// What the verbs under `wallaby eval` share.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/evaluation.h"
#include "eval/state_file.h"
#include "eval/statistics.h"

namespace wallaby::cli {

struct EvalFlags {
    ModelFlags model;
    std::string text_file, save_base, base, resume;
    int64_t n_chunks = -1;
    uint32_t stride = 0;
    std::string output = "text";
};

// An array with the one object.
std::string dump(const nlohmann::ordered_json& object);
nlohmann::ordered_json json_of(const eval::Estimate& x);

// The state that --resume names, of an evaluation of the model with what else it depends on; none without the flag.
// Says what it goes on from.
Result<std::optional<eval::StateFile>> open_state(const EvalFlags& flags, std::string_view evaluation,
                                                  const engine::Model& model, const eval::Identity& more);
// For the end of an evaluation: where one that was stopped goes on.
void say_kept(const std::optional<eval::StateFile>& state);
std::string hex_digest(std::string_view bytes);
Result<std::string> hex_digest(const base::ByteSource& source);

void add_eval_output(CLI::App& app, EvalFlags& flags, const std::vector<std::string>& formats);
void add_eval_resume(CLI::App& app, EvalFlags& flags);

// What a verb under eval prints; where it is asked for.
using EvalVerb = std::function<std::optional<Result<std::string>>()>;
// hellaswag, winogrande, multiple-choice
std::vector<EvalVerb> add_tasks(CLI::App& app);
// --compare
EvalVerb add_compare(CLI::App& app);

}  // namespace wallaby::cli
