#include "eval/choices.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/joey.h"
#include "unit/eval/eval_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using eval::Accuracy;
using eval::ChoiceTask;
using eval::ChoiceTokens;
using eval::TaskScore;

const ChoiceTask question{"abc bca ", "", {{"abcd", false}, {"edc", true}, {"b", false}, {"abc", false}}, "line 1"};

std::vector<ChoiceTokens> tokens_of(const EvalModel& m, const ChoiceTask& task) {
    return must(eval::tokens_of(*must(m.model->tokenizer()), task));
}

// Each choice evaluated anew from its first token, and the log-softmax in long double with the C library's functions.
TaskScore slow_truth(std::unique_ptr<gguf::WeightSource> source, const std::vector<ChoiceTokens>& choices) {
    Runner runner(std::move(source), {.n_ctx = 256, .backend = "auto"});
    const size_t n_vocab = runner.n_vocab();
    TaskScore out;
    for (const ChoiceTokens& c : choices) {
        runner.reset();
        const auto logits = runner.feed(c.tokens);
        long double sum = 0;
        for (size_t i = c.first; i < c.end; i++) {
            const float* row = logits.data() + (i - 1) * n_vocab;
            long double total = 0;
            for (size_t v = 0; v < n_vocab; v++) { total += std::exp((long double)row[v]); }
            sum += row[c.tokens[i]] - std::log(total);
        }
        out.push_back({double(sum), c.end - c.first});
    }
    return out;
}

TEST(EvalChoices, WhatTheChoicesDoNotShareIsPredicted) {
    EvalModel m;
    const auto choices = tokens_of(m, question);
    const auto& tokenizer = *must(m.model->tokenizer());
    ASSERT_EQ(choices.size(), 4u);
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(choices[i].tokens, must(tokenizer.encode("abc bca " + question.choices[i].text)));
        EXPECT_EQ(choices[i].first, choices[0].first);
        EXPECT_EQ(choices[i].end, choices[i].tokens.size());
        EXPECT_LT(choices[i].first, choices[i].end);
        for (size_t k = 0; k < choices[0].first; k++) { EXPECT_EQ(choices[i].tokens[k], choices[0].tokens[k]); }
    }
    // "abc" is where "abcd" begins: its last token is predicted all the same.
    const auto two = tokens_of(m, {"e ", "", {{"abc", true}, {"abcd", false}}, ""});
    EXPECT_EQ(two[0].first, two[0].end - 1);
}

TEST(EvalChoices, AgreesWithWholeSequencesEvaluatedAnew) {
    EvalModel m;
    const auto choices = tokens_of(m, question);
    const TaskScore score = must(eval::score(*m.session, choices, {})), truth = slow_truth(TinyModel().open(), choices);
    ASSERT_EQ(score.size(), truth.size());
    for (size_t i = 0; i < score.size(); i++) {
        EXPECT_EQ(score[i].n_tokens, truth[i].n_tokens);
        EXPECT_NEAR(score[i].log_p / truth[i].log_p, 1, 1e-13) << i;  // sums of a few doubles
    }
}

// A story of the kind that joey was trained on: what the grammar says is what it finds most likely.
TEST(EvalChoices, JoeyKnowsHowAStoryGoesOn) {
    EvalModel m(open_joey());
    const ChoiceTask story{
        "Once upon a time there was a little ", "", {{"which the because.", false}, {"otter", true}}, "line 1"};
    const auto choices = tokens_of(m, story);
    const TaskScore score = must(eval::score(*m.session, choices, {})), truth = slow_truth(open_joey(), choices);
    for (size_t i = 0; i < 2; i++) { EXPECT_NEAR(score[i].log_p / truth[i].log_p, 1, 1e-13); }
    EXPECT_EQ(eval::best_by_sum(score), 1u);
    EXPECT_EQ(eval::best_per_token(score), 1u);
}

TEST(EvalChoices, DoesNotDependOnBatchThreadsAndWhatWasThereBefore) {
    EvalModel a, b(TinyModel(), 3, 2);
    const auto choices = tokens_of(a, question);
    const TaskScore once = must(eval::score(*a.session, choices, {}));
    must(eval::score(*a.session, tokens_of(a, {"abc e ", "", {{"ab", true}, {"cd", false}}, ""}), {}));
    for (EvalModel* m : {&a, &a, &b}) {
        const TaskScore again = must(eval::score(*m->session, choices, {}));
        for (size_t i = 0; i < once.size(); i++) { EXPECT_EQ(again[i].log_p, once[i].log_p); }
    }
}

TEST(EvalChoices, TheRestOfASentenceIsPredictedButForItsLastToken) {
    EvalModel m;
    const auto& tokenizer = *must(m.model->tokenizer());
    const ChoiceTask sentence{"ab ", " cde dce.", {{"d", true}, {"ee", false}}, "line 1"};
    const auto choices = tokens_of(m, sentence);
    for (size_t i = 0; i < 2; i++) {
        const auto before = must(tokenizer.encode("ab " + sentence.choices[i].text));
        EXPECT_EQ(choices[i].first, before.size());
        EXPECT_EQ(choices[i].end, choices[i].tokens.size() - 1);
    }
    const TaskScore score = must(eval::score(*m.session, choices, {})), truth = slow_truth(TinyModel().open(), choices);
    for (size_t i = 0; i < 2; i++) { EXPECT_NEAR(score[i].log_p / truth[i].log_p, 1, 1e-13); }
    // Three tokens after what is shared are too few: the choice itself is predicted too.
    const auto brief = tokens_of(m, {"ab ", "cd", {{"d", true}, {"e", false}}, ""});
    EXPECT_EQ(brief[0].first, brief[0].tokens.size() - 3);
    EXPECT_EQ(brief[0].end, brief[0].tokens.size() - 1);
    const auto briefest = tokens_of(m, {"ab ", ".", {{"d", true}, {"ddddd", false}}, ""});
    EXPECT_EQ(briefest[0].first, briefest[1].first);
}

TEST(EvalChoices, TheMostLikelyAndTheFirstAmongEquals) {
    EXPECT_EQ(eval::best_by_sum({{-4, 4}, {-3, 1}, {-3, 2}}), 1u);
    EXPECT_EQ(eval::best_per_token({{-4, 4}, {-3, 1}, {-3, 3}}), 0u);
}

TEST(EvalChoices, AccuracyWithItsErrorAndInterval) {
    const Accuracy a{30, 40};
    EXPECT_EQ(a.share().value, 0.75);
    EXPECT_NEAR(a.share().error, std::sqrt(0.75 * 0.25 / 39), 1e-15);
    // The definition: the two p with |0.75 - p| = z sqrt(p (1 - p) / 40).
    for (const double p : {a.interval().first, a.interval().second}) {
        EXPECT_NEAR(std::abs(0.75 - p), 1.959963984540054 * std::sqrt(p * (1 - p) / 40), 1e-14);
    }
    EXPECT_LT(a.interval().first, 0.75);
    EXPECT_GT(a.interval().second, 0.75);
    EXPECT_EQ((Accuracy{1, 1}.share().error), 0);
}

TEST(EvalChoices, TasksAreCounted) {
    EvalModel m;
    std::vector<ChoiceTask> tasks{question, {"c ", "", {{"a", true}, {"edcba", false}}, "line 7"}, question};
    std::vector<double> shares;
    const auto progress = [&](size_t n_done, size_t n_total, const Accuracy& a) {
        EXPECT_EQ(n_total, 3u);
        EXPECT_EQ(a.n_tasks, n_done);
        shares.push_back(a.share().value);
    };
    const auto first = must(eval::answer(*m.session, tasks, progress, {}));
    EXPECT_EQ(shares.back(), first.acc_norm.share().value);
    EXPECT_EQ(first.acc.n_tasks, 3u);
    EXPECT_NEAR(first.chance.value, 3.0 / 10, 1e-15);
    EXPECT_NEAR(first.chance.error, std::sqrt(0.3 * 0.7 / 2), 1e-15);
    // Right is what the task says: with the answers moved to what was found, all are.
    for (size_t i = 0; i < tasks.size(); i++) {
        for (eval::Choice& c : tasks[i].choices) { c.is_right = false; }
        tasks[i].choices[eval::best_by_sum(first.scores[i])].is_right = true;
    }
    EXPECT_EQ(must(eval::answer(*m.session, tasks, {}, {})).acc.n_right, 3u);
}

TEST(EvalChoices, WhatCannotBeScoredIsNamedByItsTask) {
    EvalModel m;
    std::string text;
    for (int i = 0; i < 300; i++) { text += "e"; }
    const auto too_long =
        eval::answer(*m.session, {question, {text, "", {{"a", true}, {"b", false}}, "line 7"}}, {}, {});
    ASSERT_FALSE(too_long.ok());
    EXPECT_EQ(too_long.error().code, ErrorCode::capacity);
    EXPECT_EQ(too_long.error().where.field, "line 7");
    EXPECT_NE(too_long.error().what.find("256"), std::string::npos) << too_long.error().what;
    std::stop_source source;
    source.request_stop();
    EXPECT_EQ(eval::answer(*m.session, {question}, {}, source.get_token()).error().code, ErrorCode::cancelled);
}

}  // namespace
