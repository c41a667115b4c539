// WordPiece with a small vocabulary whose answers can be worked out by hand.
#include "text/wordpiece.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "text/detokenizer.h"
#include "text/space_cleaner.h"
#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

TEST(TextWordPiece, TakesTheLongestPieceFromTheLeft) {
    const auto tokenizer = wordpiece_toy().load();
    EXPECT_EQ(pieces(*tokenizer, "ab abc aabc"), "▁ab|[UNK]|▁a|abc");
    EXPECT_EQ(pieces(*tokenizer, "abb abbc abd"), "▁ab|b|▁ab|bc|▁ab|d");
    EXPECT_EQ(pieces(*tokenizer, "b"), "[UNK]") << "a piece that goes on does not begin a word";
    EXPECT_EQ(pieces(*tokenizer, "a▁a"), "[UNK]") << "nor does one that begins a word go on with it";
    EXPECT_EQ(pieces(*tokenizer, " \t\n "), "");
}

TEST(TextWordPiece, CutsAtPunctuationAndChineseCharacters) {
    const auto tokenizer = wordpiece_toy().load();
    EXPECT_EQ(pieces(*tokenizer, "ab,a.中a中"), "▁ab|▁,|▁a|▁.|▁中|▁a|▁中");
    EXPECT_EQ(pieces(*tokenizer, "a$ab€"), "▁a|▁$|▁ab|€") << "signs of ASCII are punctuation, currency signs are not";
    EXPECT_EQ(pieces(*tokenizer, "a？a"), "▁a|[UNK]|▁a");
}

TEST(TextWordPiece, CleansCaseAccentsAndControlCharacters) {
    const auto tokenizer = wordpiece_toy().load();
    EXPECT_EQ(pieces(*tokenizer, "ABÉ É E\u0301 \u1E9E"), "[UNK]|▁e|▁e|▁ß");
    EXPECT_EQ(pieces(*tokenizer, std::string_view("a\0\u200b\uFFFD\uE000\xFF\x85\x62", 14)), "▁ab");
    EXPECT_EQ(pieces(*tokenizer, "a\u00a0a\u3000a\u2028a"), "▁a|▁a|▁a|▁a");

    const Toy toy = wordpiece_toy();
    const auto cased = load_tokenizer(toy.file().kv("tokenizer.ggml.normalizer.lowercase", false));
    EXPECT_EQ(pieces(**cased, "AB ab é"), "[UNK]|▁ab|▁é") << "accents are kept where case is";
    const auto accents = load_tokenizer(toy.file().kv("tokenizer.ggml.normalizer.strip_accents", false));
    EXPECT_EQ(pieces(**accents, "AB É"), "▁ab|▁é");
}

TEST(TextWordPiece, AWordOfMoreThanAHundredCharactersIsUnknown) {
    const auto tokenizer = wordpiece_toy().load();
    const auto word = [](size_t n_characters) {
        std::string out = "a";
        for (size_t i = 1; i < n_characters; i++) { out += "ß"; }
        return out;
    };
    EXPECT_EQ(tokenizer->encode(word(100), {.add_special = false})->size(), 100u);
    EXPECT_EQ(pieces(*tokenizer, word(101) + " a"), "[UNK]|▁a");
}

TEST(TextWordPiece, ClsAndSepStandAroundTheText) {
    const Toy toy = wordpiece_toy();
    using Ids = std::vector<int32_t>;
    EXPECT_EQ(*toy.load()->encode("a"), (Ids{2, 4, 3}));
    EXPECT_EQ(*toy.load()->encode("a[SEP]a", {.add_special = false}), (Ids{4, 3, 4}));
    EXPECT_EQ(pieces(*toy.load(), "[SEP]"), "▁[|[UNK]|▁]") << "plain text is no control token";
    const auto encode = [&](const GgufBytes& file) { return *(*load_tokenizer(file))->encode("a"); };
    EXPECT_EQ(encode(toy.file().kv("tokenizer.ggml.cls_token_id", uint32_t(0))), (Ids{0, 4, 3}));
    EXPECT_EQ(encode(toy.file().kv("tokenizer.ggml.add_sep_token", false)), (Ids{2, 4}));
    EXPECT_EQ(encode(toy.file().kv("tokenizer.ggml.seperator_token_id", int32_t(-1))), (Ids{2, 4}));
}

TEST(TextWordPiece, DecodingGuessesWhereSpacesWere) {
    const auto tokenizer = wordpiece_toy().load();
    const auto back = [&](std::string_view text) { return tokenizer->decode(*tokenizer->encode(text)); };
    EXPECT_EQ(back("ab,  A.M"), "ab, a. m");
    EXPECT_EQ(back("a'm"), "a'm");
    EXPECT_EQ(back("a 's"), "a's");
    EXPECT_EQ(back("'"), "'");
    EXPECT_EQ(tokenizer->decode(*tokenizer->encode("b"), true), "[CLS][UNK][SEP]");
}

TEST(TextSpaceCleaner, KnowsItsPatternsAndNothingElse) {
    const auto clean = [](std::string_view text) {
        text::SpaceCleaner cleaner;
        std::string out;
        cleaner.push(text, out);
        cleaner.flush(out);
        return out;
    };
    EXPECT_EQ(clean("a ? b ! c . d , e ; f : g"), "a? b! c. d, e ; f : g");
    EXPECT_EQ(clean("i ' m you 're we 've it 's ' t 'x"), "i'm you're we've it's't 'x");
    EXPECT_EQ(clean("a  . b  '  c"), "a . b ' c");
    EXPECT_EQ(clean(" ' . ''"), " '. ''");
    EXPECT_EQ(clean(" '"), " '");
    EXPECT_EQ(clean(""), "");
}

// Against the passes one after the other over the whole text.
TEST(TextSpaceCleaner, AnyCutGivesWhatTheWholeTextGives) {
    const auto replace_all = [](std::string& text, std::string_view from, std::string_view to) {
        for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
            text.replace(at, from.size(), to);
        }
    };
    EXPECT_TRUE(rc::check([&] {
        const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("  ''?.,msrevx")));
        std::string expected = text;
        for (const char* sign : {"?", "!", ".", ","}) { replace_all(expected, std::string(" ") + sign, sign); }
        replace_all(expected, " ' ", "'");
        for (const char* end : {"'m", "'s", "'ve", "'re"}) { replace_all(expected, std::string(" ") + end, end); }
        text::SpaceCleaner cleaner;
        std::string out;
        for (size_t at = 0; at < text.size();) {
            const size_t n = *rc::gen::inRange<size_t>(1, 5);
            cleaner.push(std::string_view(text).substr(at, n), out);
            at += n;
        }
        cleaner.flush(out);
        RC_ASSERT(out == expected);
    }));
}

}  // namespace
