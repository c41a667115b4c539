// Multiple choice: which of several continuations a model finds most likely, scored as llama-perplexity scores
// HellaSwag, Winogrande and its multiple-choice files.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/session.h"
#include "eval/state_file.h"
#include "eval/statistics.h"

namespace wallaby::eval {

// A continuation: the text before it, itself, and what follows it in all choices (Winogrande: the rest of the
// sentence).
struct Choice {
    std::string text;
    bool is_right = false;
};

struct ChoiceTask {
    std::string before, after;
    std::vector<Choice> choices;
    // Where it stands, for messages: "line 7", "byte 120".
    std::string place;
};

// A choice as tokens. Those at positions first … end − 1 are predicted, each from all before it; first is at least 1.
struct ChoiceTokens {
    std::vector<int32_t> tokens;
    size_t first = 0, end = 0;
};

// Every choice with the text before it in one piece, BOS where the file's policy adds it. Without a text after, what
// the choices do not share is predicted. With one, the tokens after the choice are predicted but for the last (the full
// stop), where more than three follow what the choices share; otherwise all that they do not share, but the last.
// Errors name the task.
Result<std::vector<ChoiceTokens>> tokens_of(const text::Tokenizer& tokenizer, const ChoiceTask& task);

// Log-probability of the predicted tokens together, and how many they are.
struct ChoiceScore {
    double log_p = 0;
    uint64_t n_tokens = 0;
    double per_token() const { return log_p / double(n_tokens); }
};
using TaskScore = std::vector<ChoiceScore>;  // of each choice

// What the session holds already is kept as far as the choices begin so: the text before is evaluated once.
Result<TaskScore> score(engine::Session& session, const std::vector<ChoiceTokens>& choices,
                        const std::stop_token& stop);

// The most likely choice, the first among equals.
size_t best_by_sum(const TaskScore& score);
size_t best_per_token(const TaskScore& score);

// Share of right answers with its standard error and Wilson's interval at 95 %.
struct Accuracy {
    uint64_t n_right = 0, n_tasks = 0;
    Estimate share() const;
    std::pair<double, double> interval() const;
};

struct ChoiceResults {
    std::vector<TaskScore> scores;  // of each task
    Accuracy acc, acc_norm;         // by the sum, and by the mean per token, which is llama-perplexity's
    Estimate chance;                // what llama-perplexity states of guessing: tasks by choices
};

// Called after each task.
using ChoiceProgress = std::function<void(size_t n_done, size_t n_total, const Accuracy& acc_norm)>;

Result<ChoiceResults> answer(engine::Session& session, const std::vector<ChoiceTask>& tasks,
                             const ChoiceProgress& progress, const std::stop_token& stop, StateFile* state = nullptr);

}  // namespace wallaby::eval
