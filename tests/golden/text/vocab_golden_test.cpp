// Real vocabularies, and the ids that other implementations give for some fifty texts each.
#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "gguf/reader.h"
#include "support/data.h"
#include "text/tokenizer.h"

namespace {

using namespace wallaby;
using Ids = std::vector<int32_t>;

std::unique_ptr<text::Tokenizer> load(const std::filesystem::path& path) {
    const auto source = base::open_file(path.string());
    if (!source.ok()) { return nullptr; }
    const auto file = gguf::read_file(**source);
    if (!file.ok()) { return nullptr; }
    auto tokenizer = text::Tokenizer::load(file->metadata);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message();
    return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
}

std::vector<std::string> split(const std::string& text, std::string_view separator) {
    std::vector<std::string> out;
    for (size_t begin = 0;;) {
        const size_t end = text.find(separator, begin);
        out.push_back(text.substr(begin, end - begin));
        if (end == std::string::npos) { return out; }
        begin = end + separator.size();
    }
}

Ids parse_ids(const std::string& line) {
    std::istringstream in(line);
    return {std::istream_iterator<int32_t>(in), std::istream_iterator<int32_t>()};
}

class TextVocabularyGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TextVocabularyGolden, EveryTextGivesTheExpectedIdsAndComesBack) {
    WALLABY_NEED_DATA(data);
    const std::string stem = (data / "vocab" / GetParam()).string();
    const auto tokenizer = load(stem + ".gguf");
    ASSERT_TRUE(tokenizer);
    const std::vector<std::string> texts = split(wallaby::testing::read_file(stem + ".inp"), "\n__ggml_vocab_test__\n");
    const std::vector<std::string> lines = split(wallaby::testing::read_file(stem + ".out"), "\n");
    ASSERT_GE(texts.size(), 46u);
    ASSERT_GE(lines.size(), texts.size());
    const bool keeps_all = tokenizer->scheme() != text::Scheme::wordpiece;
    for (size_t i = 0; i < texts.size(); i++) {
        const auto ids = tokenizer->encode(texts[i], {.add_special = false, .parse_special = false});
        ASSERT_TRUE(ids.ok());
        EXPECT_EQ(*ids, parse_ids(lines[i])) << "text " << i << ": " << texts[i];
        if (keeps_all) { EXPECT_EQ(tokenizer->decode(*ids), texts[i]) << "text " << i; }
    }
}

INSTANTIATE_TEST_SUITE_P(Text, TextVocabularyGolden,
                         ::testing::Values("llama-spm", "phi-3", "llama-bpe", "gpt-2", "qwen2", "falcon",
                                           "deepseek-llm", "gemma-4", "bert-bge"),
                         [](const auto& param) {
                             std::string name = param.param;
                             std::erase(name, '-');
                             return name;
                         });

TEST(TextGolden, Stories260KTokens) {
    WALLABY_NEED_DATA(data);
    const auto tokenizer = load(data / "models/stories260K/stories260K.gguf");
    ASSERT_TRUE(tokenizer);
    const Ids expected =
        parse_ids(wallaby::testing::read_file(data / "models/stories260K/tinystories_sample_tokens.txt"));
    ASSERT_GE(expected.size(), 512u);
    const auto ids = tokenizer->encode(wallaby::testing::read_file(data / "text/tinystories_sample.txt"));
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(*ids, expected);
}

// Special tokens as llama.cpp reads them; the ids were taken from it once.
TEST(TextGolden, SpecialTokens) {
    WALLABY_NEED_DATA(data);
    const auto encode = [&](const char* name, const char* text) {
        const auto tokenizer = load(data / "vocab" / (std::string(name) + ".gguf"));
        return tokenizer ? *tokenizer->encode(text, {.add_special = false, .parse_special = true}) : Ids{};
    };
    EXPECT_EQ(encode("phi-3", "<|user|>\n Hello<|end|>  \n<|assistant|>"), (Ids{32010, 15043, 32007, 32001}));
    EXPECT_EQ(encode("llama-spm", "<s> Hello</s>world"), (Ids{1, 29871, 15043, 2, 3186}));
    EXPECT_EQ(encode("qwen2", "<|im_start|>user\nHi<|im_end|>\n"), (Ids{151644, 872, 198, 13048, 151645, 198}));
    EXPECT_EQ(encode("bert-bge", "hello [SEP] [MASK]x"), (Ids{7592, 102, 103, 1060}));
    EXPECT_EQ(encode("llama-bpe", "<|begin_of_text|>Hi <|eot_id|>there"), (Ids{128000, 13347, 220, 128009, 19041}));
}

// Of text that the vocabularies' own texts lack; the ids are those of Hugging Face's tokenizers 0.23.2.
TEST(TextGolden, WordPieceLosesWhatItsModelDoesNotSee) {
    WALLABY_NEED_DATA(data);
    const auto tokenizer = load(data / "vocab/bert-bge.gguf");
    ASSERT_TRUE(tokenizer);
    const auto words = [&](const std::string& text) {
        std::string out;
        for (const int32_t id : *tokenizer->encode(text)) { out += std::string(tokenizer->token_text(id)) + "|"; }
        return out;
    };
    EXPECT_EQ(words("Cafe\u0301 CAF\u00c9, \u0130stanbul"), "[CLS]|▁cafe|▁cafe|▁,|▁istanbul|[SEP]|");
    EXPECT_EQ(words("हिन्दी"), "[CLS]|▁ह|ि|न|द|ी|[SEP]|") << "spacing marks stay";
    EXPECT_EQ(words("\ud55c"), "[CLS]|▁ᄒ|ᅡ|ᆫ|[SEP]|") << "syllables come apart";
    EXPECT_EQ(words("a\u200bb\vc \ufffd\xFF"), "[CLS]|▁abc|[SEP]|");
    EXPECT_EQ(words("日本 $5€"), "[CLS]|▁日|▁本|▁$|▁5|€|[SEP]|");
    EXPECT_EQ(words(""), "[CLS]|[SEP]|");
    EXPECT_EQ(tokenizer->encode(std::string(100, 'x'))->size(), 52u);
    EXPECT_EQ(words(std::string(101, 'x')), "[CLS]|[UNK]|[SEP]|");
    EXPECT_EQ(tokenizer->decode(*tokenizer->encode("Hello, y'all!  How ARE you? It 's 3.3")),
              "hello, y'all! how are you? it's 3. 3");
}

// Byte-level vocabularies give back any bytes, and all survive them.
TEST(TextGolden, RandomBytes) {
    WALLABY_NEED_DATA(data);
    std::mt19937 random(11);
    for (const char* name : {"llama-spm", "phi-3", "llama-bpe", "gpt-2", "qwen2", "gemma-4"}) {
        const auto tokenizer = load(data / "vocab" / (std::string(name) + ".gguf"));
        ASSERT_TRUE(tokenizer);
        for (int round = 0; round < 30; round++) {
            std::string bytes(random() % 3000, '\0');
            const bool mostly_text = round % 2 == 0;
            for (char& c : bytes) { c = mostly_text && random() % 8 != 0 ? char(' ' + random() % 95) : char(random()); }
            const auto ids = tokenizer->encode(bytes, {.add_special = false, .parse_special = false});
            ASSERT_TRUE(ids.ok());
            EXPECT_EQ(tokenizer->decode(*ids), bytes) << name;
        }
    }
}

}  // namespace
