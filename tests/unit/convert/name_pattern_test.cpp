#include "convert/name_pattern.h"

#include <gtest/gtest.h>

#include "support/runner.h"

namespace {

using namespace wallaby;
using convert::NamePattern;
using wallaby::testing::must;

bool is_in(std::string_view pattern, std::string_view name) {
    return must(must(NamePattern::compile(pattern)).is_in(name));
}

TEST(ConvertNamePattern, FitsAnyPartOfAName) {
    EXPECT_TRUE(is_in("attn_v", "blk.3.attn_v.weight"));
    EXPECT_FALSE(is_in("^attn_v", "blk.3.attn_v.weight"));
    // The example of llama.cpp's tools/quantize/README.md.
    EXPECT_TRUE(is_in("\\.(\\d*[13579])\\.attn_k", "blk.13.attn_k.weight"));
    EXPECT_FALSE(is_in("\\.(\\d*[13579])\\.attn_k", "blk.12.attn_k.weight"));
    EXPECT_FALSE(is_in("attn_v", ""));
}

TEST(ConvertNamePattern, WhatIsNoPatternIsSaid) {
    for (const std::string& pattern : {std::string(), std::string("("), std::string("[a"), std::string(5000, 'a')}) {
        const auto compiled = NamePattern::compile(pattern);
        ASSERT_FALSE(compiled.ok());
        EXPECT_EQ(compiled.error().code, ErrorCode::argument);
    }
    EXPECT_NE(NamePattern::compile("a(b").error().what.find("at character 3"), std::string::npos);
}

// Exponential for a matcher that tries everything, and deep for one that recurses.
TEST(ConvertNamePattern, NoPatternTakesLong) {
    const std::string name(63, 'a');
    for (const char* pattern : {"(a+)+[bc]", "(a|aa)+[bc]", "(a*)*[bc]", "((a?){30}){30}[bc]"}) {
        const auto compiled = NamePattern::compile(pattern);
        if (!compiled.ok()) { continue; }  // too large is an answer too
        const auto found = compiled->is_in(name);
        if (found.ok()) {
            EXPECT_FALSE(*found) << pattern;
        } else {
            EXPECT_EQ(found.error().code, ErrorCode::argument) << pattern;
        }
    }
    EXPECT_FALSE(must(NamePattern::compile("(a+)+[bc]")).is_in(name).ok());
}

}  // namespace
