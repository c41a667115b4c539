#include "eval/state_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "eval/choices.h"
#include "eval/divergence.h"
#include "eval/perplexity.h"
#include "support/data.h"
#include "unit/eval/eval_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using eval::Archive;
using eval::Identity;
using eval::StateFile;

// Three kinds of number.
struct Sums {
    uint64_t n = 0;
    double x = 0;
    std::vector<float> values;

    void archive(Archive& a) {
        a(n);
        a(x);
        a(values);
    }
    bool operator==(const Sums&) const = default;
};

const Identity identity{{"evaluation", "test"}, {"text", "0123"}, {"chunks", "7"}};

class EvalState : public ::testing::Test {
  protected:
    std::string path_ = ::testing::TempDir() + "wallaby_" + std::to_string(::getpid()) + ".state";
    const Sums sums_{41, -0.125, {1, 2.5f, -3}};

    void SetUp() override { std::filesystem::remove(path_); }
    void TearDown() override { std::filesystem::remove(path_); }

    // A file that holds sums_ after 3 units.
    std::string write() {
        StateFile state = must(StateFile::open(path_, identity, 0));
        Archive archive;
        Sums copy = sums_;
        copy.archive(archive);
        EXPECT_TRUE(state.note(3, std::move(archive)).ok());
        return read_file(path_);
    }
    void put(const std::string& bytes) const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes; }
    // The same bytes with a checksum that fits.
    static std::string resealed(std::string bytes) {
        const uint64_t sum = base::fnv1a(std::string_view(bytes).substr(0, bytes.size() - 8));
        std::memcpy(bytes.data() + bytes.size() - 8, &sum, 8);
        return bytes;
    }
    void expect_refused(const std::string& bytes, const std::string& field, const std::string& part) const {
        put(bytes);
        const auto state = StateFile::open(path_, identity);
        ASSERT_FALSE(state.ok()) << field;
        EXPECT_EQ(state.error().where.file, path_);
        EXPECT_EQ(state.error().where.field, field);
        EXPECT_NE(state.error().what.find(part), std::string::npos) << state.error().what;
        EXPECT_EQ(read_file(path_), bytes) << "it stays as it is";
    }
};

TEST_F(EvalState, WhatWasNotedIsTakenUp) {
    write();
    const StateFile state = must(StateFile::open(path_, identity));
    EXPECT_EQ(state.n_done(), 3u);
    Sums found;
    ASSERT_TRUE(state.take(found, 7, [] { return true; }).ok());
    EXPECT_EQ(found, sums_);
    EXPECT_FALSE(state.take(found, 2, [] { return true; }).ok()) << "more units than there are";
    EXPECT_FALSE(state.take(found, 7, [] { return false; }).ok());
}

TEST_F(EvalState, IsWrittenWhenItIsTimeAndWhenAsked) {
    StateFile state = must(StateFile::open(path_, identity, 1e9));
    EXPECT_FALSE(std::filesystem::exists(path_));
    ASSERT_TRUE(state.write().ok());
    EXPECT_FALSE(std::filesystem::exists(path_)) << "there is nothing yet";
    ASSERT_TRUE(state.note(1, {}).ok());
    ASSERT_TRUE(state.write().ok());
    EXPECT_EQ(must(StateFile::open(path_, identity)).n_done(), 1u);
    ASSERT_TRUE(state.note(2, {}).ok());
    EXPECT_EQ(must(StateFile::open(path_, identity)).n_done(), 1u) << "not for a long time";
    ASSERT_TRUE(state.write().ok());
    EXPECT_EQ(must(StateFile::open(path_, identity)).n_done(), 2u);
}

TEST_F(EvalState, AnotherEvaluationIsRefusedByTheNameThatDiffers) {
    const std::string bytes = write();
    const auto open = [&](size_t place, const std::string& name, const std::string& value) {
        Identity other = identity;
        other[place] = {name, value};
        const auto state = StateFile::open(path_, other);
        EXPECT_FALSE(state.ok());
        return state.ok() ? Error{} : state.error();
    };
    EXPECT_EQ(open(1, "text", "0124").where.field, "text");
    EXPECT_NE(open(2, "chunks", "8").what.find("is 7 in it, but 8 here"), std::string::npos);
    EXPECT_EQ(open(2, "pieces", "7").where.field, "pieces");
    Identity longer = identity;
    longer.emplace_back("more", "1");
    EXPECT_EQ(StateFile::open(path_, longer).error().where.field, "more");
    EXPECT_FALSE(StateFile::open(path_, {}).ok());
    EXPECT_EQ(read_file(path_), bytes);
}

TEST_F(EvalState, EveryPrefixAndEveryChangedByteIsRefused) {
    const std::string bytes = write();
    for (size_t n = 0; n < bytes.size(); n++) {
        put(bytes.substr(0, n));
        EXPECT_FALSE(StateFile::open(path_, identity).ok()) << n;
        std::string changed = bytes;
        changed[n] = char(changed[n] ^ 0x10);
        put(changed);
        EXPECT_FALSE(StateFile::open(path_, identity).ok()) << n;
    }
    put(bytes + "x");
    EXPECT_FALSE(StateFile::open(path_, identity).ok());
}

TEST_F(EvalState, WhatIsWrongIsNamed) {
    const std::string bytes = write();
    expect_refused("", "", "no state");
    expect_refused("A story that somebody wrote, and not a state at all.", "", "no state");
    std::string changed = bytes;
    changed[8] = 2;
    expect_refused(changed, "version", "is 2");
    changed = bytes;
    changed[24]++;
    expect_refused(changed, "n_words", "but the file has");
    changed = bytes;
    changed[12] = char(0xff);
    changed[15] = char(0xff);
    expect_refused(changed, "n_words", "but the file has");
    changed = bytes;
    changed.back()++;
    expect_refused(changed, "checksum", "damaged");
    EXPECT_FALSE(StateFile::open("/no/such/folder/state", identity).ok());
}

TEST_F(EvalState, SumsThatCannotBeAreRefused) {
    const std::string bytes = write();
    const size_t sums = 32 + std::string("evaluation\ttest\ntext\t0123\nchunks\t7\n").size();
    const auto take = [&](size_t word, uint64_t value) {
        std::string changed = bytes;
        std::memcpy(changed.data() + sums + 8 * word, &value, 8);
        put(resealed(changed));
        Sums found;
        const auto taken = must(StateFile::open(path_, identity)).take(found, 7, [] { return true; });
        return taken.ok() ? std::string() : taken.error().where.field;
    };
    EXPECT_EQ(take(0, 41), "");
    EXPECT_EQ(take(1, std::bit_cast<uint64_t>(std::nan(""))), "sums");
    EXPECT_EQ(take(2, 5), "sums") << "more floats than there are";
    EXPECT_EQ(take(2, ~uint64_t(0)), "sums");
    EXPECT_EQ(take(2, 2), "sums") << "a word that nobody wants";
    EXPECT_EQ(take(3, 0x7fc00000), "sums") << "a float that is none";
}

// --- Evaluations that go on

void archive(Archive& a, eval::Estimate e) {
    a(e.value);
    a(e.error);
}
void archive(Archive& a, eval::Perplexity p) {
    a(p.n_scored);
    archive(a, p.nll);
    archive(a, p.ppl);
    for (const eval::Estimate& e : p.running) { archive(a, e); }
}
void archive(Archive& a, eval::Divergence d) {
    a(d.n_scored);
    for (const auto& e : {d.ppl, d.ppl_base, d.log_ratio, d.ratio, d.difference, d.kld, d.dp, d.dp_rms, d.same_top}) {
        archive(a, e);
    }
    for (double x : {d.correlation, d.kld_min, d.kld_max, d.kld_median, d.dp_min, d.dp_max, d.dp_median}) { a(x); }
    for (const auto& list : {d.kld_percentiles, d.dp_percentiles}) {
        for (eval::Percentile p : list) { a(p.value); }
    }
}
void archive(Archive& a, eval::ChoiceResults r) {
    a(r.acc.n_right);
    a(r.acc_norm.n_right);
    archive(a, r.chance);
    for (eval::TaskScore& task : r.scores) {
        for (eval::ChoiceScore& choice : task) {
            a(choice.log_p);
            a(choice.n_tokens);
        }
    }
}

// Does `run` once as it is, and once stopped after each of the units and taken up again; results must be the same.
template <class Run>
void expect_same_after_stops(const std::string& path, size_t n_units, const Run& run) {
    const auto whole = must(run(nullptr, std::stop_source(), SIZE_MAX));
    for (size_t i = 0; i < n_units; i++) {
        StateFile state = must(StateFile::open(path, identity));
        EXPECT_EQ(state.n_done(), i);
        const auto part = run(&state, std::stop_source(), i);
        if (i + 1 < n_units) {
            ASSERT_FALSE(part.ok());
            EXPECT_EQ(part.error().code, ErrorCode::cancelled);
        }
    }
    StateFile state = must(StateFile::open(path, identity));
    EXPECT_EQ(state.n_done(), n_units);
    const auto again = must(run(&state, std::stop_source(), SIZE_MAX));
    Archive a, b;
    archive(a, whole);
    archive(b, again);
    EXPECT_EQ(a.words(), b.words());
}

TEST_F(EvalState, PerplexityGoesOnToTheSameBits) {
    EvalModel m;
    const auto chunks = must(eval::cut(random_tokens(50), 10, {}, 1));
    expect_same_after_stops(path_, 5, [&](StateFile* state, std::stop_source source, size_t stop_after) {
        const auto progress = [&](size_t n_done, size_t, const eval::Estimate&) {
            if (n_done > stop_after) { source.request_stop(); }
        };
        return eval::perplexity(*m.session, chunks, nullptr, progress, source.get_token(), state);
    });
    EvalModel other;  // with another cut the same state is a contradiction
    StateFile state = must(StateFile::open(path_, identity));
    const auto fewer = must(eval::cut(random_tokens(50), 8, {}, 1));
    EXPECT_FALSE(eval::perplexity(*other.session, fewer, nullptr, {}, {}, &state).ok());
}

TEST_F(EvalState, DivergenceGoesOnToTheSameBits) {
    EvalModel base, q4({.type = quant::Type::q4_0});
    const auto chunks = must(eval::cut(random_tokens(40), 10, {}, 1));
    const std::string logits = path_ + ".base";
    auto writer = must(eval::BaseWriter::create(logits, chunks, base.model->n_vocab(),
                                                eval::vocabulary_digest(*must(base.model->tokenizer()))));
    must(eval::perplexity(*base.session, chunks, &writer, {}, {}));
    ASSERT_TRUE(writer.commit().ok());
    auto reader = must(eval::BaseReader::open(must(base::open_file(logits))));
    expect_same_after_stops(path_, 4, [&](StateFile* state, std::stop_source source, size_t stop_after) {
        const auto progress = [&](size_t n_done, size_t, const eval::DivergenceSum::Running&) {
            if (n_done > stop_after) { source.request_stop(); }
        };
        return eval::divergence(*q4.session, reader, progress, source.get_token(), state);
    });
    std::filesystem::remove(logits);
}

TEST_F(EvalState, TasksGoOnToTheSameBits) {
    EvalModel m;
    std::vector<eval::ChoiceTask> tasks;
    for (const char* before : {"abc ", "bca ", "cab cab "}) {
        tasks.push_back({before, "", {{"abc", true}, {"edc", false}, {"b", false}}, "here"});
    }
    expect_same_after_stops(path_, 3, [&](StateFile* state, std::stop_source source, size_t stop_after) {
        const auto progress = [&](size_t n_done, size_t, const eval::Accuracy&) {
            if (n_done > stop_after) { source.request_stop(); }
        };
        return eval::answer(*m.session, tasks, progress, source.get_token(), state);
    });
    tasks[1].choices.pop_back();
    StateFile state = must(StateFile::open(path_, identity));
    EXPECT_FALSE(eval::answer(*m.session, tasks, {}, {}, &state).ok());
}

}  // namespace
