#include "eval/divergence.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "eval/perplexity.h"
#include "support/data.h"
#include "unit/eval/eval_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using eval::BaseReader;
using eval::BaseWriter;
using eval::Chunks;
using eval::Divergence;
using eval::DivergenceSum;

using Row = std::vector<float>;
const float log3 = std::log(3.0f);

TEST(EvalDivergence, TwoToyRowsByHand) {
    DivergenceSum sum;
    ASSERT_TRUE(sum.add(Row{log3, 0}, Row{0, 0}, 0).ok());  // base 3/4, 1/4; Q 1/2, 1/2
    ASSERT_TRUE(sum.add(Row{0, 0}, Row{0, log3}, 1).ok());  // base 1/2, 1/2; Q 1/4, 3/4
    const Divergence d = sum.result();
    constexpr double tolerance = 1e-7;  // log(3) was rounded to float
    const double a = 0.75 * std::log(1.5) + 0.25 * std::log(0.5), b = 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3);
    EXPECT_EQ(d.n_scored, 2u);
    EXPECT_NEAR(d.kld.value, (a + b) / 2, tolerance);
    EXPECT_NEAR(d.kld.error, (b - a) / 2, tolerance);
    EXPECT_NEAR(d.kld_min, a, tolerance);
    EXPECT_NEAR(d.kld_max, b, tolerance);
    EXPECT_NEAR(d.kld_median, (a + b) / 2, tolerance);
    EXPECT_NEAR(d.kld_percentiles[3].value, a + 0.9 * (b - a), tolerance);
    EXPECT_EQ(d.kld_percentiles[3].fraction, 0.9);
    // -log p: Q log 2, log 4/3; base log 4/3, log 2.
    const double step = std::log(1.5);
    EXPECT_NEAR(d.ppl.value, std::sqrt(8.0 / 3), tolerance);
    EXPECT_NEAR(d.ppl.error, std::sqrt(8.0 / 3) * step / 2, tolerance);
    EXPECT_NEAR(d.ppl_base.value, std::sqrt(8.0 / 3), tolerance);
    EXPECT_NEAR(d.correlation, -1, tolerance);
    EXPECT_NEAR(d.log_ratio.value, 0, tolerance);
    EXPECT_NEAR(d.log_ratio.error, step, tolerance);
    EXPECT_NEAR(d.ratio.value, 1, tolerance);
    EXPECT_NEAR(d.difference.error, std::sqrt(8.0 / 3) * step, tolerance);
    // Δp: −1/4, +1/4.
    EXPECT_NEAR(d.dp.value, 0, tolerance);
    EXPECT_NEAR(d.dp.error, 0.25, tolerance);
    EXPECT_NEAR(d.dp_rms.value, 0.25, tolerance);
    EXPECT_NEAR(d.dp_rms.error, 0, tolerance);
    EXPECT_NEAR(d.dp_min, -0.25, tolerance);
    EXPECT_NEAR(d.dp_max, 0.25, tolerance);
    // The first row's tie in Q goes to token 0, as in the base; the second row's tops differ.
    EXPECT_EQ(d.same_top.value, 0.5);
    EXPECT_EQ(d.same_top.error, 0.5);
}

// The toy rows above mirror each other; here every quantity has its sign.
TEST(EvalDivergence, WhichWayEachQuantityPoints) {
    DivergenceSum sum;
    ASSERT_TRUE(sum.add(Row{log3, 0}, Row{0, 0}, 0).ok());  // base 3/4, 1/4; Q 1/2, 1/2
    constexpr double tolerance = 1e-7;
    const Divergence one = sum.result();
    EXPECT_NEAR(one.kld.value, 0.75 * std::log(1.5) + 0.25 * std::log(0.5), tolerance);
    EXPECT_NEAR(one.dp.value, 0.5 - 0.75, tolerance);
    EXPECT_NEAR(one.ppl.value, 2, tolerance);
    EXPECT_NEAR(one.ppl_base.value, 4.0 / 3, tolerance);
    EXPECT_NEAR(one.log_ratio.value, std::log(1.5), tolerance);
    EXPECT_NEAR(one.ratio.value, 1.5, tolerance);
    EXPECT_NEAR(one.difference.value, 2 - 4.0 / 3, tolerance);
    EXPECT_EQ(one.same_top.value, 1);
    EXPECT_EQ(one.kld.error + one.same_top.error + one.dp_rms.error, 0);
    // Δp −1/4 and 0: mean square 1/32 ± 1/32, and its root's error is half of that over the root.
    ASSERT_TRUE(sum.add(Row{0, 0}, Row{0, 0}, 0).ok());
    EXPECT_NEAR(sum.result().dp_rms.value, std::sqrt(1.0 / 32), tolerance);
    EXPECT_NEAR(sum.result().dp_rms.error, 0.5 / 32 / std::sqrt(1.0 / 32), tolerance);
    EXPECT_NEAR(sum.running().log_ratio.value, std::log(1.5) / 2, tolerance);
}

TEST(EvalDivergence, ADirectionAndAnOffset) {
    DivergenceSum forward, backward, shifted;
    ASSERT_TRUE(forward.add(Row{2, 0, 1}, Row{0, 0, 0}, 2).ok());
    ASSERT_TRUE(backward.add(Row{0, 0, 0}, Row{2, 0, 1}, 2).ok());
    ASSERT_TRUE(shifted.add(Row{2, 0, 1}, Row{8, 8, 8}, 2).ok());
    EXPECT_GT(std::abs(forward.result().kld.value - backward.result().kld.value), 0.01);  // not symmetric
    EXPECT_NEAR(forward.result().kld.value, shifted.result().kld.value, 1e-15);
    DivergenceSum bad;
    EXPECT_FALSE(bad.add(Row{NAN, 0}, Row{0, 0}, 0).ok());
    EXPECT_FALSE(bad.add(Row{0, 0}, Row{0, NAN}, 0).ok());
}

// --- Base files

class EvalBase : public ::testing::Test {
  protected:
    std::string path_ = ::testing::TempDir() + "wallaby_" + std::to_string(::getpid()) + ".base";
    void TearDown() override { std::filesystem::remove(path_); }

    // What a model's base file holds.
    std::string write(EvalModel& m, const Chunks& chunks) {
        const uint64_t digest = eval::vocabulary_digest(*must(m.model->tokenizer()));
        BaseWriter writer = must(BaseWriter::create(path_, chunks, m.model->n_vocab(), digest));
        must(eval::perplexity(*m.session, chunks, &writer, {}, {}));
        EXPECT_FALSE(std::filesystem::exists(path_));
        EXPECT_TRUE(writer.commit().ok());
        return read_file(path_);
    }
    // A file of 2 chunks of 4 tokens and a vocabulary of 3, as the format's description says.
    static std::string toy(const std::vector<std::pair<size_t, uint32_t>>& changes = {}) {
        std::string bytes = "WLBLOGIT";
        const auto put = [&](const auto& value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
        for (const uint32_t n : {1u, 3u, 4u, 2u, 2u, 0u}) { put(n); }
        put(uint64_t(0x0123456789abcdef));
        for (const int32_t token : {1, 2, 0, 2, 1, 0, 0, 1}) { put(token); }
        for (const float logit : {0.0f, 1.0f, 2.0f, -1.0f, -2.0f, -3.0f}) { put(logit); }
        for (const auto& [offset, value] : changes) { std::memcpy(bytes.data() + offset, &value, sizeof(value)); }
        return bytes;
    }
    static Result<BaseReader> open(const std::string& bytes) {
        return BaseReader::open(std::make_unique<base::MemorySource>(
            std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "toy.base"));
    }
    static void expect_refused(const std::string& bytes, const std::string& field, const std::string& part) {
        const auto reader = open(bytes);
        ASSERT_FALSE(reader.ok()) << field;
        EXPECT_EQ(reader.error().where.file, "toy.base");
        EXPECT_EQ(reader.error().where.field, field);
        EXPECT_NE(reader.error().what.find(part), std::string::npos) << reader.error().what;
    }
};

TEST_F(EvalBase, AFileIsReadAsItsFormatSays) {
    const std::string bytes = toy();
    BaseReader reader = must(open(bytes));
    EXPECT_EQ(reader.n_vocab(), 3u);
    EXPECT_EQ(reader.digest(), 0x0123456789abcdefu);
    EXPECT_EQ(reader.chunks().n_ctx, 4u);
    EXPECT_EQ(reader.chunks().first, 2u);
    EXPECT_EQ(reader.chunks().tokens, (std::vector<int32_t>{1, 2, 0, 2, 1, 0, 0, 1}));
    const auto row = must(reader.row(1, 0));
    EXPECT_EQ(Row(row.begin(), row.end()), (Row{-1, -2, -3}));
    const auto first = must(reader.row(0, 0));
    EXPECT_EQ(Row(first.begin(), first.end()), (Row{0, 1, 2}));
}

TEST_F(EvalBase, WhatIsWrittenIsReadBack) {
    const std::string bytes = toy();
    const BaseReader reader = must(open(bytes));
    BaseWriter writer = must(BaseWriter::create(path_, reader.chunks(), 3, reader.digest()));
    EXPECT_FALSE(writer.add(Row{0, 1}).ok());
    ASSERT_TRUE(writer.add(Row{0, 1, 2}).ok());
    EXPECT_FALSE(writer.commit().ok());  // a row is missing
    ASSERT_TRUE(writer.add(Row{-1, -2, -3}).ok());
    EXPECT_FALSE(writer.add(Row{-1, -2, -3}).ok());
    ASSERT_TRUE(writer.commit().ok());
    EXPECT_EQ(read_file(path_), bytes);
    EXPECT_EQ(BaseWriter::file_bytes(reader.chunks(), 3), bytes.size());
}

TEST_F(EvalBase, AnUnfinishedFileIsNotLeftBehind) {
    const std::string bytes = toy();
    const BaseReader reader = must(open(bytes));
    {
        BaseWriter writer = must(BaseWriter::create(path_, reader.chunks(), 3, 0));
        ASSERT_TRUE(writer.add(Row{0, 1, 2}).ok());
    }
    size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(::testing::TempDir())) {
        n += entry.path().string().rfind(path_, 0) == 0 ? 1 : 0;
    }
    EXPECT_EQ(n, 0u);
}

TEST_F(EvalBase, EveryPrefixAndEveryLongerFileIsRefused) {
    const std::string bytes = toy();
    for (size_t n = 0; n < bytes.size(); n++) {
        const std::string prefix = bytes.substr(0, n);
        EXPECT_FALSE(open(prefix).ok()) << n;
    }
    expect_refused(bytes + '\0', "", "bytes announced");
}

TEST_F(EvalBase, WrongNumbersAreRefusedByName) {
    expect_refused(toy({{0, 0}}), "", "no file of base logits");
    std::string foreign = toy();
    std::memcpy(foreign.data(), "_logits_", 8);
    expect_refused(foreign, "", "llama-perplexity");
    expect_refused(toy({{8, 2}}), "version", "is 2");
    expect_refused(toy({{12, 0}}), "n_vocab", "is 0");
    expect_refused(toy({{12, 0x80000000}}), "n_vocab", "is 2147483648");
    expect_refused(toy({{12, 4}}), "", "bytes announced");
    expect_refused(toy({{16, 2}}), "n_ctx", "is 2");
    expect_refused(toy({{16, 0xffffffff}}), "n_ctx", "is 4294967295");
    expect_refused(toy({{16, 5}}), "", "bytes announced");
    expect_refused(toy({{20, 3}}), "first", "is 3");
    expect_refused(toy({{20, 1}}), "", "bytes announced");
    expect_refused(toy({{24, 0}}), "n_chunks", "is 0");
    expect_refused(toy({{24, 0xffffffff}}), "", "bytes announced");
    expect_refused(toy({{28, 1}}), "reserved", "is 1");
    expect_refused(toy({{44, 3}}), "tokens", "token 3");
    expect_refused(toy({{44, 0xffffffff}}), "tokens", "token -1");
    // More bytes than 64 bits count: nothing is allocated.
    expect_refused(toy({{12, 0x7fffffff}, {16, 0x7fffffff}, {20, 0}, {24, 0xffffffff}}), "", "more than 2^64");
}

TEST_F(EvalBase, LogitsThatAreNotFiniteAreRefusedByOffset) {
    const std::string bytes = toy({{40 + 32 + 12 + 4, 0x7fc00000}});
    BaseReader reader = must(open(bytes));
    EXPECT_TRUE(reader.row(0, 0).ok());
    const auto row = reader.row(1, 0);
    ASSERT_FALSE(row.ok());
    EXPECT_EQ(row.error().where.field, "logits");
    EXPECT_EQ(row.error().where.offset, 88u);
}

// --- Models against base files

TEST_F(EvalBase, AModelDiffersFromItselfByExactlyNothing) {
    EvalModel m;
    const Chunks chunks = must(eval::cut(random_tokens(64), 16, {}, 1));
    const std::string bytes = write(m, chunks);
    BaseReader reader = must(open(bytes));
    std::vector<size_t> called;
    const Divergence d = must(eval::divergence(*m.session, reader,
                                               [&](size_t done, size_t total, const DivergenceSum::Running& r) {
                                                   EXPECT_EQ(total, 4u);
                                                   EXPECT_EQ(r.kld.value, 0);
                                                   called.push_back(done);
                                               },
                                               {}));
    EXPECT_EQ(called, (std::vector<size_t>{1, 2, 3, 4}));
    EXPECT_EQ(d.n_scored, 28u);
    for (const double zero :
         {d.kld.value, d.kld.error, d.kld_max, d.log_ratio.value, d.log_ratio.error, d.dp.value, d.dp_rms.value,
          d.dp_rms.error, d.dp_max, d.dp_min, d.difference.value, d.difference.error, d.same_top.error}) {
        EXPECT_EQ(zero, 0);
    }
    EXPECT_EQ(d.same_top.value, 1);
    EXPECT_EQ(d.ppl.value, d.ppl_base.value);
    EXPECT_NEAR(d.correlation, 1, 1e-14);
    EXPECT_EQ(d.ppl.value, must(eval::perplexity(*m.session, chunks, nullptr, {}, {})).ppl.value);
}

TEST_F(EvalBase, CoarserWeightsLieFurtherAway) {
    EvalModel f32, q8({.type = quant::Type::q8_0}), q4({.type = quant::Type::q4_0});
    const std::string bytes = write(f32, must(eval::cut(random_tokens(64), 16, {}, 1)));
    BaseReader reader = must(open(bytes));
    const Divergence d8 = must(eval::divergence(*q8.session, reader, {}, {}));
    const Divergence d4 = must(eval::divergence(*q4.session, reader, {}, {}));
    EXPECT_GT(d8.kld.value, 0);
    EXPECT_LT(10 * d8.kld.value, d4.kld.value);
    EXPECT_LT(d8.dp_rms.value, d4.dp_rms.value);
    EXPECT_GE(d8.same_top.value, d4.same_top.value);
}

TEST_F(EvalBase, AnotherVocabularyIsRefused) {
    EvalModel m;
    std::string bytes = write(m, must(eval::cut(random_tokens(16), 16, {}, 1)));
    EXPECT_TRUE(eval::check_vocabulary(*m.model, must(open(bytes))).ok());
    bytes[32] = char(bytes[32] ^ 1);
    BaseReader other_digest = must(open(bytes));
    const auto divergence = eval::divergence(*m.session, other_digest, {}, {});
    ASSERT_FALSE(divergence.ok());
    EXPECT_EQ(divergence.error().where.field, "vocabulary");
    const std::string small = toy();
    const auto sizes = eval::check_vocabulary(*m.model, must(open(small)));
    ASSERT_FALSE(sizes.ok());
    EXPECT_NE(sizes.error().what.find("has 269 tokens"), std::string::npos) << sizes.error().what;
    EXPECT_NE(sizes.error().what.find("have 3"), std::string::npos) << sizes.error().what;
}

TEST_F(EvalBase, AnotherTextIsRefusedNamingTheFirstDifference) {
    const std::string bytes = toy();
    const BaseReader reader = must(open(bytes));
    Chunks chunks = reader.chunks();
    EXPECT_TRUE(eval::check_chunks(chunks, reader).ok());
    chunks.tokens[5] = 2;
    const auto token = eval::check_chunks(chunks, reader);
    ASSERT_FALSE(token.ok());
    EXPECT_NE(token.error().what.find("token 5 is 0, but 2"), std::string::npos) << token.error().what;
    chunks = reader.chunks();
    chunks.tokens.resize(4);
    EXPECT_NE(eval::check_chunks(chunks, reader).error().what.find("2 chunks"), std::string::npos);
    chunks = reader.chunks();
    chunks.n_ctx = 8;
    EXPECT_EQ(eval::check_chunks(chunks, reader).error().where.field, "n_ctx");
}

}  // namespace
