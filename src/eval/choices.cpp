#include "eval/choices.h"

#include <algorithm>
#include <cmath>

#include "eval/softmax.h"

namespace wallaby::eval {
namespace {

Error bad_task(const ChoiceTask& task, ErrorCode code, std::string what, std::string remedy = "") {
    return Error{code, std::move(what), {"", task.place, {}}, std::move(remedy)};
}

Result<std::vector<int32_t>> encode(const text::Tokenizer& tokenizer, const std::string& text) {
    WALLABY_TRY(std::vector<int32_t> tokens, tokenizer.encode(text, {.add_special = true, .parse_special = false}));
    if (tokenizer.add_eos() && !tokens.empty()) { tokens.pop_back(); }
    return tokens;
}

size_t n_shared(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
    return size_t(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

// Of a sentence that goes on after the choices: where its predicted tokens begin and end.
Result<void> predict_after(const text::Tokenizer& tokenizer, const ChoiceTask& task, size_t shared,
                           std::vector<ChoiceTokens>& out) {
    constexpr size_t least_after = 3;
    const bool is_long = std::all_of(out.begin(), out.end(),
                                     [&](const ChoiceTokens& c) { return c.tokens.size() - shared > least_after; });
    for (size_t i = 0; i < out.size(); i++) {
        const size_t n = out[i].tokens.size();
        if (is_long) {
            WALLABY_TRY(const auto until, encode(tokenizer, task.before + task.choices[i].text));
            out[i].first = std::clamp(until.size(), shared, n - 1);
        }
        out[i].end = n - out[i].first > 1 ? n - 1 : n;
    }
    return {};
}

}  // namespace

Result<std::vector<ChoiceTokens>> tokens_of(const text::Tokenizer& tokenizer, const ChoiceTask& task) {
    std::vector<ChoiceTokens> out;
    for (const Choice& choice : task.choices) {
        WALLABY_TRY(auto tokens, encode(tokenizer, task.before + choice.text + task.after));
        out.push_back({std::move(tokens), 0, 0});
    }
    // A choice that is the beginning of another still has a token to predict.
    size_t shared = out.front().tokens.size();
    for (const ChoiceTokens& c : out) {
        shared = std::min({shared, n_shared(out.front().tokens, c.tokens), c.tokens.size() - 1});
        if (c.tokens.empty()) { return bad_task(task, ErrorCode::format, "a choice has no tokens"); }
    }
    if (shared == 0) {
        return bad_task(task, ErrorCode::unsupported,
                        "its choices begin with different tokens, and there is nothing to predict them from",
                        "Use a model whose texts begin with BOS, or put a text before the choices");
    }
    for (ChoiceTokens& c : out) {
        c.first = shared;
        c.end = c.tokens.size();
    }
    if (!task.after.empty()) { WALLABY_OK(predict_after(tokenizer, task, shared, out)); }
    return out;
}

Result<TaskScore> score(engine::Session& session, const std::vector<ChoiceTokens>& choices,
                        const std::stop_token& stop) {
    TaskScore out;
    for (const ChoiceTokens& c : choices) {
        const std::span<const int32_t> tokens(c.tokens);
        const size_t from = c.first - 1;  // whose logits are the first that count
        const size_t kept = std::min(n_shared(session.tokens(), c.tokens), from);
        session.truncate(kept);
        WALLABY_OK(session.append(tokens.subspan(kept, from - kept)));
        ChoiceScore sum{0, c.end - c.first};
        const auto row = [&](size_t i, std::span<const float> logits) -> Result<void> {
            WALLABY_TRY(const LogSoftmax log_p, LogSoftmax::of(logits));
            sum.log_p += log_p(logits[size_t(tokens[c.first + i])]);
            return {};
        };
        WALLABY_OK(session.score(tokens.subspan(from, sum.n_tokens), row, stop));
        out.push_back(sum);
    }
    return out;
}

size_t best_by_sum(const TaskScore& score) {
    const auto less = [](const ChoiceScore& a, const ChoiceScore& b) { return a.log_p < b.log_p; };
    return size_t(std::max_element(score.begin(), score.end(), less) - score.begin());
}

size_t best_per_token(const TaskScore& score) {
    const auto less = [](const ChoiceScore& a, const ChoiceScore& b) { return a.per_token() < b.per_token(); };
    return size_t(std::max_element(score.begin(), score.end(), less) - score.begin());
}

Estimate Accuracy::share() const {
    const auto n = double(n_tasks);
    const double share = double(n_right) / n;
    return {share, n_tasks < 2 ? 0 : std::sqrt(share * (1 - share) / (n - 1))};
}

// E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
std::pair<double, double> Accuracy::interval() const {
    constexpr double z = 1.959963984540054;  // of 95 %
    const auto n = double(n_tasks);
    const double p = double(n_right) / n, shrink = 1 + z * z / n;
    const double middle = (p + z * z / (2 * n)) / shrink;
    const double half = z / shrink * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return {middle - half, middle + half};
}

namespace {

struct Sums {
    std::vector<TaskScore> scores;

    void archive(Archive& a) {
        a.list(scores, 1, [&](TaskScore& task) {
            a.list(task, 2, [&](ChoiceScore& choice) {
                a(choice.log_p);
                a(choice.n_tokens);
            });
        });
    }
};

bool is_right(const ChoiceTask& task, size_t choice) { return task.choices[choice].is_right; }

// How the tasks come out.
struct Tally {
    Accuracy acc, acc_norm;
    uint64_t n_choices = 0;

    // Adds those that have been scored since.
    void catch_up(const std::vector<ChoiceTask>& tasks, const std::vector<TaskScore>& scores) {
        for (; acc.n_tasks < scores.size(); acc.n_tasks = ++acc_norm.n_tasks) {
            const TaskScore& score = scores[acc.n_tasks];
            acc.n_right += is_right(tasks[acc.n_tasks], best_by_sum(score)) ? 1 : 0;
            acc_norm.n_right += is_right(tasks[acc.n_tasks], best_per_token(score)) ? 1 : 0;
            n_choices += score.size();
        }
    }
    Estimate chance() const {
        const double share = double(acc.n_tasks) / double(n_choices);
        return {share, acc.n_tasks < 2 ? 0 : std::sqrt(share * (1 - share) / double(acc.n_tasks - 1))};
    }
};

}  // namespace

Result<ChoiceResults> answer(engine::Session& session, const std::vector<ChoiceTask>& tasks,
                             const ChoiceProgress& progress, const std::stop_token& stop, StateFile* state) {
    WALLABY_TRY(const text::Tokenizer* tokenizer, session.model().tokenizer());
    Sums sums;
    Tally tally;
    const auto task = [&](size_t i) -> Result<void> {
        WALLABY_TRY(const auto tokens, tokens_of(*tokenizer, tasks[i]));
        Result<TaskScore> scored = score(session, tokens, stop);
        if (!scored.ok()) {
            Error error = std::move(scored).error();
            if (error.code == ErrorCode::capacity) { error.where.field = tasks[i].place; }
            return error;
        }
        sums.scores.push_back(*std::move(scored));
        tally.catch_up(tasks, sums.scores);
        if (progress) { progress(i + 1, tasks.size(), tally.acc_norm); }
        return {};
    };
    const auto fits = [&](uint64_t n) {
        for (size_t i = 0; i < std::min<size_t>(n, sums.scores.size()); i++) {
            const TaskScore& s = sums.scores[i];
            if (s.size() != tasks[i].choices.size()) { return false; }
            if (std::any_of(s.begin(), s.end(), [](const ChoiceScore& c) { return c.n_tokens == 0; })) { return false; }
        }
        return sums.scores.size() == n;
    };
    WALLABY_OK(run_units(tasks.size(), sums, state, fits, task));
    tally.catch_up(tasks, sums.scores);
    return ChoiceResults{std::move(sums.scores), tally.acc, tally.acc_norm, tally.chance()};
}

}  // namespace wallaby::eval
