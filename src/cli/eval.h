// What the verbs under `wallaby eval` share.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/system.h"
#include "cli/app.h"
#include "eval/chunks.h"
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

inline constexpr uint32_t eval_n_ctx = 512;  // tokens of a chunk where -c says nothing, as llama-perplexity has it

// An array with the one object.
std::string dump(const nlohmann::ordered_json& object);
nlohmann::ordered_json json_of(const eval::Estimate& x);

// One line on standard error that is written over, where that is a terminal; gone at the end.
class StatusLine {
  public:
    ~StatusLine();
    // What is known after n_done of n_total units, with the time that the rest will take by those done since the first.
    void show(size_t n_done, size_t n_total, const std::string& text);

  private:
    void write(const std::string& text) const;
    double start_ = base::monotonic_seconds();
    std::optional<size_t> n_before_;  // done when it was made
};

// As llama.cpp's -f, which leaves out one newline at the end.
Result<std::string> eval_text(const std::string& path);
// Of the text, which flags.text_file names.
Result<eval::Chunks> chunks_of(const EvalFlags& flags, const engine::Model& model, std::string_view text);

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
