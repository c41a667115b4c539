#include "engine/stop_strings.h"

#include <gtest/gtest.h>

namespace {

using wallaby::engine::StopStrings;

// The text that comes out when `text` comes in pieces of n bytes.
std::string through(std::vector<std::string> stops, std::string_view text, size_t n) {
    StopStrings s(std::move(stops));
    std::string out;
    for (size_t i = 0; i < text.size(); i += n) { out += s.push(text.substr(i, n)); }
    return s.stopped() ? out : out + s.flush();
}

TEST(EngineStopStrings, AnyCutGivesTheSameText) {
    struct Case {
        std::vector<std::string> stops;
        std::string text, expected;
    };
    const Case cases[] = {
        {{"END"}, "one two END three", "one two "},
        {{"END"}, "one EN two", "one EN two"},
        {{"aab"}, "aaaaab", "aaa"},
        {{"xyz", "y"}, "abcxyz", "abcx"},
        {{"\n\n"}, "a\nb\n\nc", "a\nb"},
        {{}, "anything", "anything"},
        {{""}, "anything", "anything"},
        {{"long stop"}, "long sto", "long sto"},
        {{"a"}, "", ""},
    };
    for (const Case& c : cases) {
        for (size_t n = 1; n <= 9; n++) { EXPECT_EQ(through(c.stops, c.text, n), c.expected) << c.text << " by " << n; }
    }
}

TEST(EngineStopStrings, TextThatMayBecomeAStopIsHeldBack) {
    StopStrings s({"stop"});
    EXPECT_EQ(s.push("a st"), "a ");
    EXPECT_EQ(s.push("x"), "stx");
    EXPECT_EQ(s.push("sto"), "");
    EXPECT_EQ(s.push("p tail"), "");
    EXPECT_TRUE(s.stopped());
    EXPECT_EQ(s.push("more"), "");
    s.reset();
    EXPECT_FALSE(s.stopped());
    EXPECT_EQ(s.push("again"), "again");
}

}  // namespace
