// What a file may say about its vocabulary, and what is refused.
#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>

#include "support/sanitized.h"
#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

struct Hostile {
    const char* name;
    std::function<GgufBytes()> file;
    ErrorCode code;
    std::vector<std::string> says;  // parts of the message
};

GgufBytes spm_with(const std::function<void(Toy&)>& change) {
    Toy toy = spm_toy();
    change(toy);
    return toy.file();
}
GgufBytes bpe_with_merge(const std::string& merge) {
    Toy toy = bpe_toy();
    toy.merges[1] = merge;
    return toy.file();
}

const Hostile hostile_texts[] = {
    {"no model",
     [] { return GgufBytes().kv("general.architecture", "llama"); },
     ErrorCode::model,
     {"tokenizer.ggml.model"}},
    {"model of another type",
     [] { return GgufBytes().kv("tokenizer.ggml.model", uint32_t(1)); },
     ErrorCode::model,
     {"tokenizer.ggml.model"}},
    {"rwkv", [] { return GgufBytes().kv("tokenizer.ggml.model", "rwkv"); }, ErrorCode::unsupported, {"'rwkv'", "gpt2"}},
    {"test", [] { return GgufBytes().kv("tokenizer.ggml.model", "test"); }, ErrorCode::unsupported, {"'test'"}},
    {"no tokens",
     [] { return GgufBytes().kv("tokenizer.ggml.model", "llama"); },
     ErrorCode::model,
     {"tokenizer.ggml.tokens"}},
    {"tokens of another type",
     [] { return GgufBytes().kv("tokenizer.ggml.model", "llama").array<int32_t>("tokenizer.ggml.tokens", {1}); },
     ErrorCode::model,
     {"tokenizer.ggml.tokens"}},
    {"zero tokens",
     [] { return Toy{.model = "llama", .tokens = {}, .scores = {}, .types = {}, .merges = {}}.file(); },
     ErrorCode::model,
     {"tokenizer.ggml.tokens", "empty"}},
    {"more tokens than supported",
     [] {
         Toy toy{.model = "llama", .tokens = {}, .scores = {}, .types = {}, .merges = {}};
         toy.tokens.resize(text::max_tokens + 1);
         return toy.file();
     },
     ErrorCode::unsupported,
     {"tokenizer.ggml.tokens", "16777217"}},
    {"a token too long",
     [] { return spm_with([](Toy& toy) { toy.add(std::string(text::max_piece_bytes + 1, 'x')); }); },
     ErrorCode::unsupported,
     {"tokenizer.ggml.tokens", "token 269", "65537"}},
    {"fewer types than tokens",
     [] { return spm_with([](Toy& toy) { toy.types.pop_back(); }); },
     ErrorCode::model,
     {"tokenizer.ggml.token_type", "268", "269"}},
    {"more types than tokens",
     [] { return spm_with([](Toy& toy) { toy.types.push_back(1); }); },
     ErrorCode::model,
     {"tokenizer.ggml.token_type"}},
    {"an unknown type",
     [] { return spm_with([](Toy& toy) { toy.types[7] = 9; }); },
     ErrorCode::model,
     {"tokenizer.ggml.token_type", "token 7", "9"}},
    {"a negative type", [] { return spm_with([](Toy& toy) { toy.types[7] = -1; }); }, ErrorCode::model, {"-1"}},
    {"fewer scores than tokens",
     [] { return spm_with([](Toy& toy) { toy.scores.pop_back(); }); },
     ErrorCode::model,
     {"tokenizer.ggml.scores", "268"}},
    {"a score that is not a number",
     [] { return spm_with([](Toy& toy) { toy.scores[5] = std::numeric_limits<float>::quiet_NaN(); }); },
     ErrorCode::model,
     {"tokenizer.ggml.scores", "token 5"}},
    {"no scores",
     [] {
         const Toy toy = spm_toy();
         return GgufBytes().kv("tokenizer.ggml.model", "llama").array("tokenizer.ggml.tokens", toy.tokens);
     },
     ErrorCode::model,
     {"tokenizer.ggml.scores"}},
    {"a byte token without digits",
     [] { return spm_with([](Toy& toy) { toy.tokens[3] = "<0xG0>"; }); },
     ErrorCode::model,
     {"token 3", "<0xHH>"}},
    {"a byte token of one digit",
     [] { return spm_with([](Toy& toy) { toy.tokens[4] = "<0x1>"; }); },
     ErrorCode::model,
     {"token 4"}},
    {"a byte token of no form",
     [] { return spm_with([](Toy& toy) { toy.tokens[4] = "x"; }); },
     ErrorCode::model,
     {"token 4"}},
    {"EOS past the end",
     [] { return spm_toy().file().kv("tokenizer.ggml.eos_token_id", uint32_t(269)); },
     ErrorCode::model,
     {"tokenizer.ggml.eos_token_id", "269"}},
    {"BOS of another type",
     [] { return spm_toy().file().kv("tokenizer.ggml.bos_token_id", "one"); },
     ErrorCode::model,
     {"tokenizer.ggml.bos_token_id"}},
    {"a negative role",
     [] { return spm_toy().file().kv("tokenizer.ggml.bos_token_id", int32_t(-2)); },
     ErrorCode::model,
     {"tokenizer.ggml.bos_token_id"}},
    {"BOS wanted but none",
     [] { return bpe_toy().file().kv("tokenizer.ggml.add_bos_token", true); },
     ErrorCode::model,
     {"tokenizer.ggml.add_bos_token"}},
    {"a flag of another type",
     [] { return spm_toy().file().kv("tokenizer.ggml.add_bos_token", uint32_t(1)); },
     ErrorCode::model,
     {"tokenizer.ggml.add_bos_token"}},
    {"an unknown pre-tokenizer",
     [] { return bpe_toy().file().kv("tokenizer.ggml.pre", "klingon"); },
     ErrorCode::unsupported,
     {"tokenizer.ggml.pre", "'klingon'", "llama-bpe", "qwen2"}},
    {"a charsmap of another type",
     [] { return unigram_toy().file().kv("tokenizer.ggml.precompiled_charsmap", "x"); },
     ErrorCode::model,
     {"tokenizer.ggml.precompiled_charsmap"}},
    {"a charsmap without its trie",
     [] {
         return unigram_toy().file().array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {4, 0, 0, 0, 1, 1, 1, 1});
     },
     ErrorCode::model,
     {"tokenizer.ggml.precompiled_charsmap", "8 bytes"}},
    {"a charsmap whose trie is no units",
     [] {
         return unigram_toy().file().array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {3, 0, 0, 0, 1, 1, 1, 1});
     },
     ErrorCode::model,
     {"tokenizer.ggml.precompiled_charsmap"}},
    {"a charsmap of three bytes",
     [] {
         return unigram_toy().file().array<uint8_t>("tokenizer.ggml.precompiled_charsmap", {3, 0, 0});
     },
     ErrorCode::model,
     {"tokenizer.ggml.precompiled_charsmap"}},
    {"no scores (t5)",
     [] { return GgufBytes().kv("tokenizer.ggml.model", "t5").array("tokenizer.ggml.tokens", unigram_toy().tokens); },
     ErrorCode::model,
     {"tokenizer.ggml.scores"}},
    {"no merges (gemma4)",
     [] {
         return GgufBytes().kv("tokenizer.ggml.model", "gemma4").array("tokenizer.ggml.tokens", char_bpe_toy().tokens);
     },
     ErrorCode::model,
     {"tokenizer.ggml.merges"}},
    {"no merges",
     [] {
         const Toy toy = bpe_toy();
         return GgufBytes().kv("tokenizer.ggml.model", "gpt2").array("tokenizer.ggml.tokens", toy.tokens);
     },
     ErrorCode::model,
     {"tokenizer.ggml.merges"}},
    {"a merge without a space",
     [] { return bpe_with_merge("ab"); },
     ErrorCode::model,
     {"tokenizer.ggml.merges", "merge 1"}},
    {"a merge with two spaces", [] { return bpe_with_merge("a b c"); }, ErrorCode::model, {"merge 1"}},
    {"a merge without a left part", [] { return bpe_with_merge(" b"); }, ErrorCode::model, {"merge 1"}},
    {"a merge without a right part", [] { return bpe_with_merge("a "); }, ErrorCode::model, {"merge 1"}},
    {"an empty merge", [] { return bpe_with_merge(""); }, ErrorCode::model, {"merge 1"}},
    {"a merge of a space", [] { return bpe_with_merge(" "); }, ErrorCode::model, {"merge 1"}},
};

TEST(TextVocabulary, RefusesWhatContradictsItselfAndNamesTheKey) {
    for (const Hostile& hostile : hostile_texts) {
        // Millions of strings: a minute where each is watched.
        if (under_sanitizer && hostile.name == std::string_view("more tokens than supported")) { continue; }
        const auto loaded = load_tokenizer(hostile.file());
        ASSERT_FALSE(loaded.ok()) << hostile.name;
        const std::string message = loaded.error().message();
        if (hostile.code != ErrorCode::model) { EXPECT_EQ(loaded.error().code, hostile.code) << message; }
        for (const std::string& part : hostile.says) {
            EXPECT_NE(message.find(part), std::string::npos) << hostile.name << ": " << message;
        }
    }
}

TEST(TextVocabulary, ToleratesWhatHarmsNothing) {
    Toy toy = spm_toy();
    toy.add("ab");         // again
    toy.add("");           // empty
    toy.add("\xFF\xC3");   // not UTF-8
    toy.add("", 0, 3);     // an empty control token
    toy.add("<s>", 0, 3);  // a control token again
    toy.add("zz", std::numeric_limits<float>::infinity());
    const auto loaded = load_tokenizer(toy.file()
                                           .kv("tokenizer.ggml.seperator_token_id", uint32_t(0xFFFFFFFF))
                                           .kv("tokenizer.ggml.padding_token_id", int32_t(-1))
                                           .kv("general.name", uint32_t(3)));
    ASSERT_TRUE(loaded.ok()) << loaded.error().message();
    const text::Tokenizer& tokenizer = **loaded;
    EXPECT_FALSE(tokenizer.role(text::Role::sep));
    EXPECT_FALSE(tokenizer.role(text::Role::pad));
    EXPECT_EQ(tokenizer.find("ab"), 259);
    EXPECT_EQ(tokenizer.find("<s>"), 1);
    EXPECT_FALSE(tokenizer.find(""));
    EXPECT_EQ(tokenizer.token_text(-1), "");
    EXPECT_EQ(tokenizer.token_text(tokenizer.n_tokens()), "");
    EXPECT_EQ(*tokenizer.encode("<s>", {.add_special = false}), std::vector<int32_t>{1});
}

TEST(TextVocabulary, RolesComeFromKeysThenFromSpelling) {
    Toy toy = spm_toy();
    const int32_t im_end = toy.add("<|im_end|>", 0, 4);
    const int32_t word = toy.add("<|eot_id|>", 0, 1);  // a word of the vocabulary: no end of anything
    const int32_t pad = toy.add("<|fim_pad|>", 0, 3);
    const auto tokenizer = toy.load();
    EXPECT_EQ(tokenizer->bos(), 1);
    EXPECT_EQ(tokenizer->eos(), 2);
    EXPECT_EQ(tokenizer->unk(), 0);
    EXPECT_EQ(tokenizer->eot(), im_end);
    EXPECT_TRUE(tokenizer->is_eog(2));
    EXPECT_TRUE(tokenizer->is_eog(im_end));
    EXPECT_TRUE(tokenizer->is_special(im_end)) << "an end of turn must not come from plain text";
    EXPECT_TRUE(tokenizer->is_eog(pad));
    EXPECT_FALSE(tokenizer->is_eog(word));
    EXPECT_FALSE(tokenizer->is_eog(1));
    EXPECT_FALSE(tokenizer->is_eog(-1));
    EXPECT_FALSE(tokenizer->is_eog(tokenizer->n_tokens()));

    const auto keyed = std::move(load_tokenizer(toy.file()
                                                    .kv("tokenizer.ggml.eot_token_id", uint32_t(word))
                                                    .kv("tokenizer.ggml.eos_token_id", uint64_t(259))))
                           .value();
    EXPECT_EQ(keyed->eot(), word);
    EXPECT_TRUE(keyed->is_eog(word));
    EXPECT_TRUE(keyed->is_eog(259));
    EXPECT_TRUE(keyed->is_eog(2)) << "</s> is still spelled like an end";
}

// A channel's end is no end of the answer where the vocabulary has the tokens that are.
TEST(TextVocabulary, EndOfAPartIsNotTheEndOfTheAnswer) {
    Toy toy = bpe_toy();  // has <|end|>
    EXPECT_TRUE(toy.load()->is_eog(256));
    toy.add("<|return|>", 0, 3);
    EXPECT_TRUE(toy.load()->is_eog(256));
    toy.add("<|call|>", 0, 3);
    EXPECT_FALSE(toy.load()->is_eog(256));
}

// Files without types: bytes and roles are known by their spelling and their keys.
TEST(TextVocabulary, WorksWithoutTypes) {
    const Toy toy = spm_toy();
    const auto loaded = load_tokenizer(GgufBytes()
                                           .kv("tokenizer.ggml.model", "llama")
                                           .array("tokenizer.ggml.tokens", toy.tokens)
                                           .array("tokenizer.ggml.scores", toy.scores)
                                           .kv("tokenizer.ggml.bos_token_id", uint32_t(1)));
    ASSERT_TRUE(loaded.ok()) << loaded.error().message();
    EXPECT_EQ(*(*loaded)->encode("ab\n"), (std::vector<int32_t>{1, 261, 3 + '\n'}));
    EXPECT_EQ((*loaded)->decode(*(*loaded)->encode("ab\n")), "ab\n");
    EXPECT_TRUE((*loaded)->is_special(1));
}

// Files with a few bytes changed: refused or read, and what is read can be used.
TEST(TextVocabulary, SurvivesDamagedFiles) {
    std::mt19937 random(17);
    int n_loaded = 0;
    for (const Toy& toy : {spm_toy(), bpe_toy(), char_bpe_toy(), wordpiece_toy(), unigram_toy()}) {
        const std::vector<uint8_t> good = toy.file()
                                              .kv("tokenizer.ggml.eos_token_id", uint32_t(2))
                                              .kv("tokenizer.ggml.add_eos_token", true)
                                              .kv("tokenizer.ggml.pre", "llama-bpe")
                                              .build();
        for (int round = 0; round < 1500; round++) {
            std::vector<uint8_t> bytes = good;
            for (uint32_t i = random() % 6; i > 0; i--) {
                bytes[24 + random() % (bytes.size() - 24)] = uint8_t(random());
            }
            const base::MemorySource source(bytes, "damaged.gguf");
            const auto file = gguf::read_file(source);
            if (!file.ok()) { continue; }
            const auto tokenizer = text::Tokenizer::load(file->metadata);
            if (!tokenizer.ok()) { continue; }
            n_loaded++;
            const auto ids = (*tokenizer)->encode("ab<s>ab <|end|>\xFF 12 é");
            ASSERT_TRUE(ids.ok());
            for (const int32_t id : *ids) { ASSERT_TRUE(id >= 0 && id < (*tokenizer)->n_tokens()); }
            (void)(*tokenizer)->decode(*ids, true);
        }
    }
    EXPECT_GT(n_loaded, 300);
}

}  // namespace
