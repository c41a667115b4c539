// BPE over characters with small vocabularies whose answers can be worked out by hand.
#include "text/char_bpe.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

constexpr text::EncodeOptions plain_options = {.add_special = false, .parse_special = false};

TEST(TextCharBpe, MergesInTheOrderOfTheList) {
    const auto tokenizer = char_bpe_toy().load();
    EXPECT_EQ(pieces(*tokenizer, "ab"), "ab");
    EXPECT_EQ(pieces(*tokenizer, "c ab"), "c|▁|ab") << "'a b' comes before '▁ a', and then '▁a b' has no left part";
    EXPECT_EQ(pieces(*tokenizer, "c a"), "c|▁a");
    EXPECT_EQ(pieces(*tokenizer, "ababab"), "abab|ab");
    EXPECT_EQ(pieces(*char_bpe_toy({"▁ a", "a b", "▁a b"}).load(), "c ab"), "c|▁ab");
    EXPECT_EQ(pieces(*tokenizer, ""), "");
}

TEST(TextCharBpe, MergesReachOverSpacesButNotOverLines) {
    const auto tokenizer = char_bpe_toy({"a ▁", "a▁ b", "b \n", "\n a", "\n \n"}).load();
    EXPECT_EQ(pieces(*tokenizer, "a b"), "a▁b");
    EXPECT_EQ(pieces(*tokenizer, "b\n\n\na"), "b|\n\n|\n|a");
}

TEST(TextCharBpe, CharactersWithoutATokenBecomeBytesOrUnknown) {
    Toy toy = char_bpe_toy();
    EXPECT_EQ(pieces(*toy.load(), "é€"), "é|<0xE2>|<0x82>|<0xAC>");
    EXPECT_EQ(pieces(*toy.load(), "\xE2\x82z\xC3"), "<0xE2>|<0x82>|<0x7A>|<0xC3>");
    toy.types[3 + 0x82] = 1;  // no byte token for 0x82 any more
    EXPECT_EQ(pieces(*toy.load(), "a€"), "a|<0xE2>|<0xAC>");
    const auto with_unknown = load_tokenizer(toy.file().kv("tokenizer.ggml.unknown_token_id", uint32_t(0)));
    EXPECT_EQ(pieces(**with_unknown, "a€"), "a|<0xE2>|<unk>|<0xAC>");
}

TEST(TextCharBpe, MergesThatAreNoTokensAreStepsOnly) {
    Toy toy = char_bpe_toy({"a b", "ab c"});
    toy.tokens[265] = "unused";  // "ab"
    EXPECT_EQ(pieces(*toy.load(), "abc"), "abc");
    EXPECT_EQ(pieces(*toy.load(), "abb"), "<0x61>|<0x62>|b") << "a step that is left is written in bytes";
}

TEST(TextCharBpe, MergesDoNotMakeControlTokens) {
    Toy toy = char_bpe_toy({"a b", "ab c"});
    toy.types[266] = 3;  // "abc"
    EXPECT_EQ(pieces(*toy.load(), "abc"), "ab|c");
    EXPECT_EQ(pieces(*toy.load(), "abc", {.add_special = false, .parse_special = true}), "abc");
}

TEST(TextCharBpe, BosIsAddedUnlessTheFileSaysOtherwise) {
    const Toy toy = char_bpe_toy();
    const auto encode = [&](GgufBytes file) {
        return *(*load_tokenizer(file.kv("tokenizer.ggml.bos_token_id", uint32_t(1))))->encode("a");
    };
    EXPECT_EQ(encode(toy.file()), (std::vector<int32_t>{1, 259}));
    EXPECT_EQ(encode(toy.file().kv("tokenizer.ggml.add_bos_token", false)), (std::vector<int32_t>{259}));
}

TEST(TextCharBpe, AnyBytesComeBack) {
    const auto tokenizer = char_bpe_toy().load();
    EXPECT_TRUE(rc::check([&](const std::string& bytes) {
        RC_ASSERT(tokenizer->decode(*tokenizer->encode(bytes, plain_options), true) == bytes);
    }));
    EXPECT_EQ(tokenizer->decode(*tokenizer->encode("  ab\n\n a", plain_options)), "  ab\n\n a");
}

}  // namespace
