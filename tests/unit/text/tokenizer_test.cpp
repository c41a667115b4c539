// Encoding and decoding with small vocabularies whose answers can be worked out by hand.
#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Ids = std::vector<int32_t>;

constexpr text::EncodeOptions plain_options = {.add_special = false, .parse_special = false};
constexpr text::EncodeOptions parse_options = {.add_special = false, .parse_special = true};

TEST(TextSpm, MergesTheBestScoreFirstAndOfEqualScoresTheLeftmost) {
    const auto tokenizer = spm_toy().load();
    EXPECT_EQ(pieces(*tokenizer, "ab"), "▁ab");  // "ab" first, then "▁ab"
    EXPECT_EQ(pieces(*tokenizer, "abab"), "▁ab|ab");
    EXPECT_EQ(pieces(*tokenizer, "cabab"), "▁|c|abab");
    EXPECT_EQ(pieces(*tokenizer, "a"), "▁a");
    EXPECT_EQ(pieces(*tokenizer, "aab ab"), "▁a|ab|▁ab");
    EXPECT_EQ(pieces(*tokenizer, "  c"), "▁▁|▁|c");
    EXPECT_EQ(pieces(*tokenizer, ""), "");

    Toy ties = spm_toy();
    for (float& score : ties.scores) { score = 0; }
    // All scores are equal, so pairs merge from the left: ▁a, then b with what follows.
    EXPECT_EQ(pieces(*ties.load(), "abab"), "▁ab|ab");
    EXPECT_EQ(pieces(*ties.load(), "cabab"), "▁|c|abab");
}

TEST(TextSpm, CharactersWithoutAPieceBecomeBytesOrUnknown) {
    Toy toy = spm_toy();
    EXPECT_EQ(pieces(*toy.load(), "é€"), "▁|é|<0xE2>|<0x82>|<0xAC>");
    EXPECT_EQ(pieces(*toy.load(), "\xE2\x82z"), "▁|<0xE2>|<0x82>|<0x7A>");

    toy.types[3 + 0x82] = 1;  // no byte token for 0x82 any more: the character is unknown as a whole
    EXPECT_EQ(pieces(*toy.load(), "a€a"), "▁a|<unk>|a");

    const auto without_unknown = load_tokenizer(toy.file().kv("tokenizer.ggml.unknown_token_id", int32_t(-1)));
    EXPECT_EQ(pieces(**without_unknown, "a€a"), "▁a|a");
}

TEST(TextSpm, ByteTokensAreReadInEitherCase) {
    Toy toy = spm_toy();
    toy.tokens[3 + 0xAB] = "<0xaB>";
    const auto tokenizer = toy.load();
    EXPECT_EQ(tokenizer->decode(Ids{3 + 0xAB}), "\xAB");
}

TEST(TextSpm, PutsASpaceBeforeTextThatStartsOrFollowsASpecialToken) {
    const Toy toy = spm_toy();
    const auto tokenizer = toy.load();
    EXPECT_TRUE(tokenizer->adds_space_prefix());
    EXPECT_EQ(pieces(*tokenizer, "ab</s>ab ab", parse_options), "▁ab|</s>|▁ab|▁ab");
    EXPECT_EQ(pieces(*tokenizer, "<s></s>", parse_options), "<s>|</s>");
    const auto bare = std::move(load_tokenizer(toy.file().kv("tokenizer.ggml.add_space_prefix", false))).value();
    EXPECT_FALSE(bare->adds_space_prefix());
    EXPECT_EQ(pieces(*bare, "ab</s>ab ab", parse_options), "ab|</s>|ab|▁ab");
}

// The control token's own text is plain text where special tokens are not parsed, even if pieces could merge into it.
TEST(TextSpm, PlainTextNeverBecomesAControlToken) {
    Toy toy = spm_toy();
    for (const char* piece : {"<", "s", ">", "<s", "/", "</", "</s", "<0", "x", "A", "<0x", "<0xA"}) {
        toy.add(piece, 9);
    }
    const auto tokenizer = toy.load();
    EXPECT_EQ(pieces(*tokenizer, "<s></s><unk>"), "▁|<s|>|</s|>|<|<0x75>|<0x6E>|<0x6B>|>");
    EXPECT_EQ(pieces(*tokenizer, "<s>", parse_options), "<s>");
}

// Vocabularies with spaces inside pieces cannot be cut into words first.
TEST(TextSpm, PiecesMayReachOverSpaces) {
    Toy toy = spm_toy();
    EXPECT_EQ(pieces(*toy.load(), "b a"), "▁|b|▁a");
    toy.add("b▁", 6);
    toy.add("b▁a", 5);
    EXPECT_EQ(pieces(*toy.load(), "b a"), "▁|b▁a");
    EXPECT_EQ(pieces(*toy.load(), "bb ab"), "▁|b|b▁a|b") << "the better score goes before the words' own merges";
}

TEST(TextSpm, BosAndEosFollowTheFile) {
    const Toy toy = spm_toy();
    const auto encode = [&](const GgufBytes& file) { return *(*load_tokenizer(file))->encode("a"); };
    EXPECT_EQ(encode(toy.file()), (Ids{1, 260}));
    EXPECT_EQ(encode(toy.file().kv("tokenizer.ggml.add_bos_token", false)), (Ids{260}));
    EXPECT_EQ(encode(toy.file().kv("tokenizer.ggml.add_eos_token", true)), (Ids{1, 260, 2}));
    EXPECT_EQ(*toy.load()->encode("a", plain_options), (Ids{260}));
    EXPECT_EQ(*toy.load()->encode(""), (Ids{1}));
    EXPECT_EQ(encode(toy.file().kv("tokenizer.ggml.bos_token_id", int32_t(-1))), (Ids{260}));
}

TEST(TextSpm, DecodingTakesTheFirstSpaceAway) {
    const auto tokenizer = spm_toy().load();
    const int32_t ab = *tokenizer->find("▁ab");
    EXPECT_EQ(tokenizer->decode(Ids{ab, ab}), "ab ab");
    EXPECT_EQ(tokenizer->decode(Ids{1, ab}), "ab");
    EXPECT_EQ(tokenizer->decode(Ids{1, ab, 2}, true), "<s> ab</s>");
    EXPECT_EQ(tokenizer->decode(Ids{3 + ' ', ab}), " ab");
    EXPECT_EQ(tokenizer->decode(Ids{-1, 9999, ab}), "ab");
    EXPECT_EQ(tokenizer->decode(*tokenizer->encode("  ab  c ")), "  ab  c ");
}

TEST(TextBpe, MergesInTheOrderOfTheList) {
    const auto tokenizer = bpe_toy().load();
    EXPECT_EQ(pieces(*tokenizer, "ab"), "ab");
    EXPECT_EQ(pieces(*tokenizer, "x ab"), "x|Ġ|ab") << "'a b' comes before 'Ġ a', and then 'Ġa b' has no left part";
    EXPECT_EQ(pieces(*tokenizer, "x a"), "x|Ġa");
    EXPECT_EQ(pieces(*tokenizer, "ababab"), "abab|ab");
    EXPECT_EQ(pieces(*bpe_toy({"Ġ a", "a b", "Ġa b"}).load(), "x ab"), "x|Ġab");
    EXPECT_FALSE(tokenizer->add_bos());
    EXPECT_EQ(tokenizer->pretokenizer(), "default");
}

TEST(TextBpe, WholeWordsAreTakenBeforeMergesOnlyWhereTheRuleSaysSo) {
    Toy toy = bpe_toy({"a b"});
    toy.add("xyz");
    toy.add("<|bos|>", 0, 3);
    const auto file = [&](const char* pre) {
        return toy.file().kv("tokenizer.ggml.pre", pre).kv("tokenizer.ggml.bos_token_id", uint32_t(259));
    };
    const auto llama = std::move(load_tokenizer(file("llama-bpe"))).value();
    EXPECT_EQ(pieces(*llama, "xyz ab"), "xyz|Ġ|ab");
    EXPECT_TRUE(llama->add_bos());
    EXPECT_EQ(llama->encode("ab")->front(), 259);
    const auto gpt2 = std::move(load_tokenizer(file("gpt-2"))).value();
    EXPECT_EQ(pieces(*gpt2, "xyz ab"), "x|y|z|Ġ|ab");
    EXPECT_FALSE(gpt2->add_bos());
}

TEST(TextBpe, MergesThatAreNoTokensAreStepsOnly) {
    Toy toy = bpe_toy({"a b", "ab c", "x y"});
    toy.tokens[257] = "unused";  // "ab"
    toy.tokens[259] = "other";   // "xy"
    const auto tokenizer = toy.load();
    EXPECT_EQ(pieces(*tokenizer, "abc"), "abc");
    EXPECT_EQ(pieces(*tokenizer, "abxy"), "a|b|x|y");
}

TEST(TextBpe, TheFirstOfEqualMergesCounts) { EXPECT_EQ(pieces(*bpe_toy({"a b", "b c", "a b"}).load(), "abc"), "ab|c"); }

TEST(TextBpe, MergesDoNotMakeControlTokens) {
    Toy toy = bpe_toy({"a b", "ab c"});
    toy.types[258] = 3;  // "abc"
    const auto tokenizer = toy.load();
    EXPECT_EQ(pieces(*tokenizer, "abc"), "ab|c");
    EXPECT_EQ(pieces(*tokenizer, "abc", parse_options), "abc");
}

TEST(TextBpe, BytesThatTheVocabularyLacksAreUnknownOrDropped) {
    Toy toy = bpe_toy({"a b"});
    toy.tokens['q'] = "missing";
    EXPECT_EQ(pieces(*toy.load(), "aqb"), "a|b");
    toy.add("<unk>", 0, 2);
    const auto loaded = load_tokenizer(toy.file().kv("tokenizer.ggml.unknown_token_id", uint32_t(258)));
    EXPECT_EQ(pieces(**loaded, "aqb"), "a|<unk>|b");
}

TEST(TextBpe, PiecesOutsideTheAlphabetAreRenderedAsTheyAre) {
    Toy toy = bpe_toy();
    const int32_t odd = toy.add("Ġ€");
    const int32_t own = toy.add("Ġx", 0, 4);
    const auto tokenizer = toy.load();
    EXPECT_EQ(tokenizer->decode(Ids{'a', odd}), "aĠ€");
    EXPECT_EQ(tokenizer->decode(Ids{'a', own}), "aĠx") << "user-defined tokens are spelled as they are";
    EXPECT_EQ(tokenizer->decode(Ids{' ', 256, 'a'}), " a");
    EXPECT_EQ(tokenizer->decode(Ids{' ', 256, 'a'}, true), " <|end|>a");
}

TEST(TextBpe, AnyBytesComeBack) {
    const auto tokenizer = bpe_toy().load();
    EXPECT_TRUE(rc::check([&](const std::string& bytes) {
        for (const text::EncodeOptions options : {plain_options, parse_options}) {
            RC_ASSERT(tokenizer->decode(*tokenizer->encode(bytes, options), true) == bytes);
        }
    }));
}

TEST(TextSpecial, TheLongestTokenWinsAndControlTokensNeedParsing) {
    Toy toy = bpe_toy();
    toy.add("<|end|>x", 0, 3);
    toy.add("tool", 0, 4);
    toy.add("tools", 0, 4);
    const auto tokenizer = toy.load();
    EXPECT_EQ(pieces(*tokenizer, "a<|end|>b", parse_options), "a|<|end|>|b");
    EXPECT_EQ(pieces(*tokenizer, "<|end|>xtoolsab<|end|>", parse_options), "<|end|>x|tools|ab|<|end|>");
    EXPECT_EQ(pieces(*tokenizer, "<|end|>xtools"), "<|||e|n|d|||>|x|tools") << "user-defined tokens are always read";
    EXPECT_EQ(pieces(*tokenizer, "tooltool to", parse_options), "tool|tool|Ġ|t|o");
    EXPECT_EQ(pieces(*tokenizer, "<|end", parse_options), "<|||e|n|d");
}

TEST(TextSpecial, Phi3TokensSwallowTheSpacesAfterThem) {
    Toy toy = spm_toy();
    toy.add("<|user|>", 0, 3);
    const std::string text = "<|user|> \n\tab<s> ab<|user|>  ";
    EXPECT_EQ(pieces(*toy.load(), text, parse_options), "<|user|>|▁▁|<0x0A>|<0x09>|ab|<s>|▁|▁ab|<|user|>|▁▁|▁");
    const auto phi = std::move(load_tokenizer(toy.file().kv("general.name", "My Phi-3 Mini"))).value();
    EXPECT_EQ(pieces(*phi, text, parse_options), "<|user|>|▁ab|<s>|▁|▁ab|<|user|>");
}

TEST(TextTokenizer, RefusesTextsOverItsBudget) {
    const auto tokenizer = bpe_toy().load();
    const auto encoded = tokenizer->encode(std::string(text::Tokenizer::max_text_bytes + 1, 'a'));
    ASSERT_FALSE(encoded.ok());
    EXPECT_EQ(encoded.error().code, ErrorCode::capacity);
}

TEST(TextTokenizer, SurvivesAnyBytes) {
    Toy phi = spm_toy();
    phi.add("\xFF\xFE", 0, 4);
    phi.add("\xE2\x96", 3);
    const auto tokenizer = std::move(load_tokenizer(phi.file().kv("general.name", "phi3"))).value();
    EXPECT_TRUE(rc::check([&](const std::string& bytes) {
        RC_ASSERT(tokenizer->encode(bytes).ok());
        RC_ASSERT(tokenizer->encode(bytes, plain_options).ok());
    }));
}

}  // namespace
