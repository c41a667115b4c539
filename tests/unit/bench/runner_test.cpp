// Which batches a test runs, on a back end that only writes them down.
#include "bench/runner.h"

#include <gtest/gtest.h>

#include <set>

#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::bench;
using namespace wallaby::testing;

struct Recorded {
    std::vector<backends::Batch> batches;
    std::vector<std::vector<kv::PageId>> first_pages;  // of each batch's sequences
    std::stop_source stop;
    size_t stop_at = SIZE_MAX;  // batches
};

class RecordingExecutable final : public backends::Executable {
  public:
    RecordingExecutable(const backends::MemoryPlan& plan, uint32_t n_vocab, Recorded& out)
        : plan_(plan), n_vocab_(n_vocab), out_(out) {}
    const backends::MemoryPlan& plan() const override { return plan_; }
    Result<void> run(uint32_t program, const backends::Batch& batch, std::span<float> logits,
                     std::stop_token stop) override {
        EXPECT_EQ(program, 0u);
        size_t n_outputs = 0;
        std::vector<kv::PageId> pages;
        for (const auto& row : batch.rows) {
            n_outputs += row.output ? 1 : 0;
            EXPECT_LT(row.position, batch.sequences.at(row.sequence).pages.size() * kv::page_tokens);
            EXPECT_TRUE(row.token >= 0 && uint32_t(row.token) < n_vocab_);
        }
        for (const auto& sequence : batch.sequences) { pages.push_back(sequence.pages.front()); }
        EXPECT_EQ(logits.size(), n_outputs * n_vocab_);
        EXPECT_LE(batch.rows.size(), plan_.settings.n_batch);
        out_.batches.push_back(batch);
        out_.first_pages.push_back(pages);
        if (out_.batches.size() == out_.stop_at) { out_.stop.request_stop(); }
        if (stop.stop_requested()) { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }
        return {};
    }
    Result<std::unique_ptr<const backends::Adapter>> adapt(std::shared_ptr<const gguf::Adapter>) const override {
        return Error{ErrorCode::unsupported, "takes no adapters", {}, ""};
    }

  private:
    backends::MemoryPlan plan_;
    uint32_t n_vocab_;
    Recorded& out_;
};

class RecordingBackend final : public backends::Backend {
  public:
    explicit RecordingBackend(Recorded& out) : out_(out) {}
    Result<backends::MemoryPlan> plan(const ops::Model&, const backends::Settings& settings) const override {
        backends::MemoryPlan plan;
        plan.settings = settings;
        plan.n_pages = kv::pages_for(settings.n_ctx) * settings.n_seqs;
        plan.n_slots = has_slots ? settings.n_slots * settings.n_seqs : 0;
        plan.weight_bytes = weight_bytes;
        return plan;
    }
    Result<std::unique_ptr<backends::Executable>> compile(const ops::Model& model, const gguf::WeightSource&,
                                                          const backends::MemoryPlan& plan, const base::Progress&,
                                                          std::stop_token) const override {
        return std::unique_ptr<backends::Executable>(new RecordingExecutable(plan, model.n_vocab, out_));
    }
    uint64_t weight_bytes = 0;
    bool has_slots = false;

  private:
    Recorded& out_;
};

class BenchRunner : public ::testing::Test {
  protected:
    Recorded recorded_;
    RecordingBackend backend_{recorded_};

    std::unique_ptr<bench::Runner> load(const Group& group) {
        return must(bench::Runner::load(*TinyModel().open(), group, backend_, {}, {}));
    }
    // "0 1 2!" : positions of a batch's rows, "!" where the logits are wanted; "s1:" where not of its first sequence.
    static std::string positions(const backends::Batch& batch) {
        std::string text;
        for (const auto& row : batch.rows) {
            text += (text.empty() ? "" : " ") + (row.sequence == 0 ? "" : fmt::format("s{}:", row.sequence)) +
                    std::to_string(row.position) + (row.output ? "!" : "");
        }
        return text;
    }
    std::vector<std::string> taken() {
        std::vector<std::string> out;
        for (const auto& batch : recorded_.batches) { out.push_back(positions(batch)); }
        recorded_.batches.clear();
        recorded_.first_pages.clear();
        return out;
    }
};

using Lines = std::vector<std::string>;

TEST_F(BenchRunner, APromptIsCutIntoBatchesAndItsLastRowHasLogits) {
    const bench::Test test{5, 0, 0, 1};
    const auto runner = load({.n_batch = 2, .tests = {test}});
    const auto seconds = must(runner->measure(test, {.n_repetitions = 2}, {}));
    EXPECT_EQ(seconds.size(), 2u);
    for (const double s : seconds) { EXPECT_GE(s, 0); }
    EXPECT_EQ(taken(), (Lines{"0 1!", "0 1", "2 3", "4!", "0 1", "2 3", "4!"}));  // a batch to warm up, twice the test
}

TEST_F(BenchRunner, GenerationAtADepthThatIsFilledOnce) {
    const bench::Test test{0, 2, 3, 1};
    const auto runner = load({.n_batch = 2, .tests = {test}});
    (void)must(runner->measure(test, {.n_repetitions = 2, .warm_up = false}, {}));
    EXPECT_EQ(taken(), (Lines{"0 1", "2!", "3!", "4!", "3!", "4!"}));
    (void)must(runner->measure(test, {.n_repetitions = 1}, {}));
    EXPECT_EQ(taken(), (Lines{"3!", "3!", "4!"}));
    (void)must(runner->measure({0, 1, 0, 1}, {.n_repetitions = 1, .warm_up = false}, {}));
    EXPECT_EQ(taken(), Lines{"0!"});
    (void)must(runner->measure({0, 1, 1, 1}, {.n_repetitions = 1, .warm_up = false}, {}));
    EXPECT_EQ(taken(), (Lines{"0!", "1!"}));
}

TEST_F(BenchRunner, ARecurrentStateAtADepthIsGoneBackTo) {
    backend_.has_slots = true;
    const bench::Test test{0, 2, 3, 1};
    const auto runner = load({.n_batch = 2, .tests = {test}});
    (void)must(runner->measure(test, {.n_repetitions = 2}, {}));
    const auto batches = recorded_.batches;
    EXPECT_EQ(taken(), (Lines{"0 1", "2!", "3!", "3!", "4!", "3!", "4!"}));
    const kv::SlotId at_depth = batches[1].sequences[0].slot_to;
    for (const size_t i : {2, 3, 5}) { EXPECT_EQ(batches[i].sequences[0].slot_from, at_depth); }
    for (const size_t i : {2, 3, 4, 5, 6}) { EXPECT_NE(batches[i].sequences[0].slot_to, at_depth); }
}

TEST_F(BenchRunner, SequencesGenerateTogetherOverPagesOfTheirOwn) {
    const bench::Test test{2, 2, 0, 3};
    const auto runner = load({.n_batch = 2, .tests = {test}});  // fewer rows than sequences
    (void)must(runner->measure(test, {.n_repetitions = 1, .warm_up = false}, {}));
    ASSERT_EQ(recorded_.first_pages.size(), 5u);
    const auto& pages = recorded_.first_pages[3];
    ASSERT_EQ(pages.size(), 3u);
    for (size_t i = 0; i < 3; i++) { EXPECT_EQ(recorded_.first_pages[i], std::vector{pages[i]}); }
    EXPECT_EQ(std::set(pages.begin(), pages.end()).size(), 3u);
    EXPECT_EQ(taken(), (Lines{"0 1!", "0 1!", "0 1!", "2! s1:2! s2:2!", "3! s1:3! s2:3!"}));
}

TEST_F(BenchRunner, TokensAreFixedByTheSeed) {
    const bench::Test test{6, 2, 0, 1};
    const auto runner = load({.n_batch = 8, .tests = {test}});
    const auto tokens = [&](uint64_t seed) {
        recorded_.batches.clear();
        (void)must(runner->measure(test, {.n_repetitions = 2, .warm_up = false, .seed = seed}, {}));
        std::vector<int32_t> out;
        for (const auto& batch : recorded_.batches) {
            for (const auto& row : batch.rows) { out.push_back(row.token); }
        }
        return out;
    };
    const auto a = tokens(1), b = tokens(2);
    EXPECT_EQ(tokens(1), a);
    EXPECT_NE(a, b);
    ASSERT_EQ(a.size(), 16u);
    EXPECT_TRUE(std::equal(a.begin(), a.begin() + 8, a.begin() + 8));  // each repetition the same
    EXPECT_GT(std::set(a.begin(), a.end()).size(), 4u);
}

TEST_F(BenchRunner, AStopRequestEndsItAndTheNextTestBeginsAfresh) {
    const bench::Test test{0, 100, 3, 1};
    const auto runner = load({.n_batch = 2, .tests = {test}});
    for (const size_t at : {1u, 3u}) {  // while it is filled, and later
        recorded_.stop = {};
        recorded_.stop_at = at;
        const auto ran = runner->measure(test, {.warm_up = false}, recorded_.stop.get_token());
        ASSERT_FALSE(ran.ok());
        EXPECT_EQ(ran.error().code, ErrorCode::cancelled);
        recorded_.stop_at = SIZE_MAX;
        taken();
        (void)must(runner->measure({0, 1, 3, 1}, {.n_repetitions = 1, .warm_up = false}, {}));
        EXPECT_EQ(taken(), at == 1 ? (Lines{"0 1", "2!", "3!"}) : Lines{"3!"});
    }
}

TEST_F(BenchRunner, WhatDoesNotFitIsRefusedWithBothNumbers) {
    backend_.weight_bytes = uint64_t(1) << 50;
    const auto too_large =
        bench::Runner::load(*TinyModel().open(), {.n_batch = 1, .tests = {{1, 0, 0, 1}}}, backend_, {}, {});
    ASSERT_FALSE(too_large.ok());
    EXPECT_EQ(too_large.error().code, ErrorCode::capacity);
    EXPECT_NE(too_large.error().message().find("1048576.00 GiB"), std::string::npos) << too_large.error().message();
    TinyModel gpt2{.architecture = "gpt2", .biases = true};  // 256 learned positions
    const auto too_long =
        bench::Runner::load(*gpt2.open(), {.n_batch = 1, .tests = {{200, 100, 0, 1}}}, backend_, {}, {});
    ASSERT_FALSE(too_long.ok());
    EXPECT_NE(too_long.error().message().find("256"), std::string::npos) << too_long.error().message();
    EXPECT_NE(too_long.error().message().find("300"), std::string::npos) << too_long.error().message();
}

// A back end that computes: of models with paged and with recurrent states, at a depth, for sequences together.
TEST_F(BenchRunner, RealModelsRun) {
    threads::Pool pool(2);
    const auto reference = backends::make_reference(pool);
    for (const char* architecture : {"llama", "mamba2"}) {
        Lists lists;
        lists.n_prompt = {5};
        lists.n_gen = {3};
        lists.n_prompt_gen = {{4, 2}};
        lists.n_depth = {0, 70, 0, 3};
        lists.n_seqs = {1, 2};
        lists.n_batch = {4};
        const Group group = must(cross_product(lists)).front();
        const auto source = TinyModel{.architecture = architecture}.open();
        const auto runner = must(bench::Runner::load(*source, group, *reference, {}, {}));
        for (const bench::Test& test : group.tests) {
            const auto seconds = runner->measure(test, {.n_repetitions = 2}, {});
            ASSERT_TRUE(seconds.ok()) << architecture << test.name() << seconds.error().message();
            EXPECT_EQ(seconds->size(), 2u);
        }
    }
}

}  // namespace
