#include "bench/plan.h"

#include <gtest/gtest.h>

namespace {

using namespace wallaby;
using namespace wallaby::bench;
using Numbers = std::vector<uint32_t>;
using Words = std::vector<std::string>;

constexpr Bounds bounds{0, 5000};

Numbers numbers(const Words& words) {
    const auto parsed = parse_numbers("-p", words, bounds);
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message());
    return parsed.ok() ? *parsed : Numbers{};
}

template <class T>
std::string problem(const Result<T>& result) {
    if (result.ok()) { return ""; }
    EXPECT_EQ(result.error().code, ErrorCode::argument);
    return result.error().message();
}

TEST(BenchPlan, NumbersListsRangesAndRepeatedFlags) {
    EXPECT_EQ(numbers({}), Numbers{});
    EXPECT_EQ(numbers({"512"}), Numbers{512});
    EXPECT_EQ(numbers({"1,2,4"}), (Numbers{1, 2, 4}));
    EXPECT_EQ(numbers({"3-6"}), (Numbers{3, 4, 5, 6}));
    EXPECT_EQ(numbers({"0-1024+256"}), (Numbers{0, 256, 512, 768, 1024}));
    EXPECT_EQ(numbers({"1-100*3"}), (Numbers{1, 3, 9, 27, 81}));
    EXPECT_EQ(numbers({"7-7"}), Numbers{7});
    EXPECT_EQ(numbers({"0-0*2"}), Numbers{0});
    EXPECT_EQ(numbers({"1-4*4000000000"}), Numbers{1});
    EXPECT_EQ(numbers({"1-4+18446744073709551615"}), Numbers{1});  // a step that would wrap
    EXPECT_EQ(numbers({"5,1-2", "5000"}), (Numbers{5, 1, 2, 5000}));
}

TEST(BenchPlan, WhatIsNoListIsAnErrorThatNamesFlagAndValue) {
    for (const char* word : {"x", "-1", "1-", "1-2+", "1-2*", "1-2/3", "1-2+3x", "1.5", " 1", "1 ", "+1", "0x10",
                             "99999999999999999999"}) {
        const std::string text = problem(parse_numbers("-p", {"1", word}, bounds));
        EXPECT_NE(text.find("-p"), std::string::npos) << word;
        EXPECT_NE(text.find(word), std::string::npos) << text;
        EXPECT_NE(text.find("0-1024+256"), std::string::npos) << text;
    }
    for (const char* word : {"", ",", "1,", ",1", "1,,2"}) {
        EXPECT_NE(problem(parse_numbers("-p", {word}, bounds)).find("empty"), std::string::npos) << word;
    }
    for (const char* word : {"5-2", "1-8*1", "1-8*0", "1-8+0", "0-8*2"}) {
        EXPECT_NE(problem(parse_numbers("-p", {word}, bounds)).find(word), std::string::npos) << word;
    }
    for (const char* word : {"5001", "1-5001", "4294967296", "4294967297-4294967298"}) {
        EXPECT_NE(problem(parse_numbers("-p", {word}, bounds)).find("0 to 5000"), std::string::npos) << word;
    }
    EXPECT_NE(problem(parse_numbers("-p", {"0"}, {1, 8})).find("1 to 8"), std::string::npos);
    EXPECT_EQ(numbers({"1-1000"}).size(), 1000u);
    EXPECT_NE(problem(parse_numbers("-p", {"1-1001"}, bounds)).find("1000"), std::string::npos);
}

TEST(BenchPlan, Pairs) {
    const auto pairs = parse_pairs("-pg", {"512,128", "1,0"}, bounds);
    ASSERT_TRUE(pairs.ok());
    EXPECT_EQ(*pairs, (std::vector<std::pair<uint32_t, uint32_t>>{{512, 128}, {1, 0}}));
    for (const char* word : {"", "5", "5,", ",5", "1,2,3", "a,b", "1-2,3"}) {
        EXPECT_NE(problem(parse_pairs("-pg", {word}, bounds)).find("512,128"), std::string::npos) << word;
    }
    EXPECT_NE(problem(parse_pairs("-pg", {"1,5001"}, bounds)).find("5001"), std::string::npos);
}

TEST(BenchPlan, NamesOfTestsAreLlamaBenchs) {
    EXPECT_EQ((bench::Test{512, 0, 0, 1}).name(), "pp512");
    EXPECT_EQ((bench::Test{0, 128, 0, 4}).name(), "tg128");
    EXPECT_EQ((bench::Test{512, 128, 4096, 1}).name(), "pp512+tg128 @ d4096");
}

TEST(BenchPlan, CrossProductInOrder) {
    Lists lists;
    lists.n_prompt = {8, 0};
    lists.n_gen = {2};
    lists.n_prompt_gen = {{4, 1}};
    lists.n_depth = {0, 100};
    lists.n_seqs = {1, 3};
    lists.n_batch = {16, 32};
    lists.n_threads = {1, 2};
    lists.k_types = {quant::Type::f32, quant::Type::f16};
    const auto groups = cross_product(lists);
    ASSERT_TRUE(groups.ok());
    ASSERT_EQ(groups->size(), 8u);
    const std::vector<bench::Test> at_0{{8, 0, 0, 1}, {0, 2, 0, 1}, {4, 1, 0, 1}, {0, 2, 0, 3}, {4, 1, 0, 3}};
    std::vector<bench::Test> expected = at_0;
    for (bench::Test test : at_0) {
        test.n_depth = 100;
        expected.push_back(test);
    }
    for (const Group& group : *groups) { EXPECT_EQ(group.tests, expected); }
    EXPECT_EQ((*groups)[0].n_batch, 16u);
    EXPECT_EQ((*groups)[1].n_threads, 2u);
    EXPECT_EQ((*groups)[2].k_type, quant::Type::f16);
    EXPECT_EQ((*groups)[4].n_batch, 32u);
    EXPECT_EQ(groups->front().n_ctx(), 108u);
    EXPECT_EQ(groups->front().n_seqs(), 3u);
    EXPECT_EQ(expected[4].n_tokens(), 15u);
}

TEST(BenchPlan, NothingToDoIsAnError) {
    Lists lists;
    lists.n_prompt = lists.n_gen = {0};
    EXPECT_NE(problem(cross_product(lists)).find("-p, -n, -pg"), std::string::npos);
}

}  // namespace
