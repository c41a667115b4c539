#include "text/pretokenizer.h"

#include <gtest/gtest.h>

namespace {

using namespace wallaby::text;

// The words of `text` with bars between them; control characters as their escapes.
std::string words(std::string_view rule, std::string_view text) {
    const PretokenizerRule* found = find_pretokenizer_rule(rule);
    if (found == nullptr) { return "no such rule"; }
    const auto pretokenizer = Pretokenizer::compile(*found);
    if (!pretokenizer.ok()) { return pretokenizer.error().message(); }
    WordSplitter splitter(*pretokenizer, text.size());
    std::vector<uint32_t> ends;
    if (!splitter.split(text, ends).ok()) { return "failed"; }
    std::string out;
    size_t begin = 0;
    for (const uint32_t end : ends) {
        out += out.empty() ? "" : "|";
        out += text.substr(begin, end - begin);
        begin = end;
    }
    return begin == text.size() ? out : "incomplete";
}

TEST(TextPretokenizer, EveryRuleCompilesAndCoversAllText) {
    const std::string text = "Don't  stop\r\n\n 123456 caf\u00e9 \u4f60\u597d!? \u2003x\u180e\t\u00bd ...\u20ac tail  ";
    size_t n_rules = 0;
    std::string names = pretokenizer_names() + ", ";
    for (size_t at = 0; at < names.size(); n_rules++) {
        const size_t end = names.find(", ", at);
        const std::string name = names.substr(at, end - at);
        std::string joined = words(name, text);
        joined.erase(std::remove(joined.begin(), joined.end(), '|'), joined.end());
        EXPECT_EQ(joined, text) << name;
        EXPECT_EQ(words(name, ""), "") << name;
        at = end + 2;
    }
    EXPECT_GT(n_rules, 30u);
    EXPECT_EQ(find_pretokenizer_rule("klingon"), nullptr);
    EXPECT_EQ(find_pretokenizer_rule(""), nullptr);
}

TEST(TextPretokenizer, Gpt2) {
    EXPECT_EQ(words("gpt-2", "Don't we'll I'M 12345 a_b"), "Don|'t| we|'ll| I|'|M| 12345| a|_|b");
    EXPECT_EQ(words("gpt-2", "a  b \n c  "), "a| | b| \n| c|  ");
    EXPECT_EQ(words("gpt-2", "x\n\ny"), "x|\n|\n|y");
}

TEST(TextPretokenizer, Llama3) {
    EXPECT_EQ(words("llama-bpe", "Don'T 12345 (abc) x\n\ny!\n z"), "Don|'T| |123|45| (|abc|)| x|\n\n|y|!\n| z");
    EXPECT_EQ(words("llama-bpe", "a   \n  b  c"), "a|   \n| | b| | c");
}

TEST(TextPretokenizer, Qwen2CutsDigitsOneByOne) { EXPECT_EQ(words("qwen2", "v12.5 a"), "v|1|2|.|5| a"); }

TEST(TextPretokenizer, ListsOfPatternsCutOneAfterTheOther) {
    EXPECT_EQ(words("starcoder", "ab12 c"), "ab|1|2| c");
    EXPECT_EQ(words("falcon", "x,, 12345"), "x|,,| |123|45");
    EXPECT_EQ(words("deepseek-llm", "ab \n cd  "), "ab| |\n| cd|  ");
}

// Unicode's White_Space has 25 characters; U+180E, U+200B and U+FEFF are not among them.
TEST(TextPretokenizer, WhiteSpaceIsUnicodes) {
    for (const char* space : {"\t", "\v", "\f", " ", "\u0085", "\u00a0", "\u1680", "\u2000", "\u200a", "\u2028",
                              "\u2029", "\u202f", "\u205f", "\u3000"}) {
        EXPECT_EQ(words("gpt-2", std::string("!") + space + "!"),
                  *space == ' ' ? "!| !" : "!|" + std::string(space) + "|!");
    }
    for (const char* sign : {"\u180e", "\u200b", "\ufeff"}) {
        EXPECT_EQ(words("gpt-2", std::string("!") + sign + "!"), "!" + std::string(sign) + "!");
    }
}

}  // namespace
