#include "convert/hf_vocabulary.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <random>

#include "convert/base64.h"
#include "support/charsmap_bytes.h"
#include "support/checkpoint_folder.h"

namespace {

using namespace wallaby;
using wallaby::testing::CheckpointFolder;
using wallaby::testing::read_back;
using wallaby::testing::tokenizer_of;
using Json = nlohmann::json;

Result<gguf::File> converted(const CheckpointFolder& folder, uint32_t n_vocab = 0) {
    gguf::Draft draft;
    WALLABY_OK(convert::set_tokenizer(draft, folder.path(), {.n_vocab = n_vocab}));
    return read_back(draft);
}

// The ids of `text`, with what stands around it.
std::string ids_of(const CheckpointFolder& folder, std::string_view text, bool parse_special = true) {
    gguf::Draft draft;
    const auto set = convert::set_tokenizer(draft, folder.path(), {});
    if (!set.ok()) { return set.error().message(); }
    const auto tokenizer = tokenizer_of(draft);
    if (!tokenizer.ok()) { return tokenizer.error().message(); }
    return fmt::format(
        "{}", fmt::join(*(*tokenizer)->encode(text, {.add_special = true, .parse_special = parse_special}), " "));
}

std::string strings_of(const gguf::Metadata& metadata, std::string_view key) {
    std::string out;
    for (const std::string_view text : *metadata.strings(key)) {
        out += fmt::format("{}{}", out.empty() ? "" : "|", text);
    }
    return out;
}
std::string types_of(const gguf::Metadata& metadata) {
    return fmt::format("{}", fmt::join(*metadata.integers("tokenizer.ggml.token_type"), " "));
}

// --- Small files.

Json byte_level_json() {
    return Json::parse(R"({
        "added_tokens": [{"id": 5, "content": "<|end|>", "special": true}, {"id": 6, "content": "<note>", "special": false}],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "post_processor": {"type": "ByteLevel", "trim_offsets": false},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4}, "merges": ["a b", ["Ġ", "ab"]]}})");
}

// SentencePiece's BPE as merges: a b ab ▁ ▁ab.
Json char_level_json() {
    return Json::parse(R"({
        "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
                  "vocab": {"<unk>": 0, "<s>": 1, "<0x41>": 2, "a": 3, "b": 4, "▁": 5, "ab": 6, "▁ab": 7, "▁a": 8},
                  "merges": ["a b", "▁ ab", "▁a b", "▁ a"]}})");
}

void write_json(const CheckpointFolder& folder, const Json& json) { folder.write("tokenizer.json", json.dump()); }

// Protocol buffers: a tag, then a number, or bytes with their length.
std::string varint(uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) { out += char(value | 0x80); }
    return out + char(value);
}
std::string number_field(uint32_t number, uint64_t value) { return varint(number << 3) + varint(value); }
std::string bytes_field(uint32_t number, std::string_view bytes) {
    return varint(number << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
std::string float_field(uint32_t number, float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    std::string out = varint(number << 3 | 5);
    for (uint32_t shift = 0; shift < 32; shift += 8) { out += char(bits >> shift & 0xFF); }
    return out;
}
std::string piece(std::string_view text, float score, uint64_t type = 1) {
    return bytes_field(1, bytes_field(1, text) + float_field(2, score) + (type == 1 ? "" : number_field(3, type)));
}
constexpr uint64_t bpe = 2;
std::string trainer(uint64_t algorithm, std::string_view more = "") {
    return bytes_field(2, number_field(3, algorithm) + number_field(43, UINT64_MAX) + std::string(more));
}
std::string normalizer(bool remove_extra_spaces = false, std::string_view more = "") {
    return bytes_field(3, number_field(3, 1) + number_field(4, remove_extra_spaces ? 1 : 0) + std::string(more));
}
std::string pieces() {
    return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("<0x41>", 0, 6) + piece("a", -2) +
           piece("b", -3) + piece("ab", -1) + piece("\u2581", -4) + piece("\u2581\u2581", 0, 4) + piece("free", 0, 5);
}
std::string sentencepiece() { return pieces() + trainer(bpe) + normalizer(); }

// --- tokenizer.json

TEST(ConvertVocabulary, ByteLevelBpe) {
    CheckpointFolder folder;
    write_json(folder, byte_level_json());
    folder.write("tokenizer_config.json",
                 R"({"eos_token": "<|end|>", "bos_token": null, "pad_token": {"content": "<|end|>"}})");
    const auto file = converted(folder, 9);
    ASSERT_TRUE(file.ok()) << file.error().message();
    const gguf::Metadata& keys = file->metadata;
    EXPECT_EQ(*keys.string("tokenizer.ggml.model"), "gpt2");
    EXPECT_EQ(*keys.string("tokenizer.ggml.pre"), "gpt-2");
    EXPECT_EQ(strings_of(keys, "tokenizer.ggml.tokens"), "a|b|Ġ|ab|Ġab|<|end|>|<note>|[PAD7]|[PAD8]");
    EXPECT_EQ(types_of(keys), "1 1 1 1 1 3 4 5 5");
    EXPECT_EQ(strings_of(keys, "tokenizer.ggml.merges"), "a b|Ġ ab");
    EXPECT_FALSE(keys.has("tokenizer.ggml.scores"));
    EXPECT_FALSE(keys.has("tokenizer.ggml.bos_token_id"));
    EXPECT_EQ(*keys.u32("tokenizer.ggml.eos_token_id"), 5u);
    EXPECT_EQ(*keys.u32("tokenizer.ggml.padding_token_id"), 5u);
    EXPECT_FALSE(*keys.boolean("tokenizer.ggml.add_bos_token"));
    EXPECT_EQ(ids_of(folder, "ab ab<note>a<|end|>"), "3 4 6 0 5");
}

// What stands in a tokenizer.json, and the name GGUF has for it.
TEST(ConvertVocabulary, PreTokenizersHaveTheirNames) {
    const std::string contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    const std::string rest = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    const auto split = [](const std::string& regex, const char* behavior = "Isolated", bool invert = false) {
        return Json{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", behavior}, {"invert", invert}};
    };
    const auto bytes = [](bool use_regex, bool prefix = false) {
        return Json{{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"use_regex", use_regex}};
    };
    const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
    const std::string llama3 = contractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})" + rest;
    const std::string upper = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])";
    const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
    const std::string ends = R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    struct Case {
        std::vector<Json> steps;
        bool whole_words;
        std::string expected;  // the name, or part of the error
    };
    const Case cases[] = {
        {{bytes(true)}, false, "gpt-2"},
        {{split(llama3), bytes(false)}, true, "llama-bpe"},
        {{split(llama3), bytes(false)}, false, "dbrx"},
        {{split(llama3, "Removed", true), bytes(false)}, false, "dbrx"},
        {{split(contractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" + rest), bytes(false)}, false, "qwen2"},
        {{digits, bytes(true)}, false, "starcoder"},
        {{split(upper + "*" + lower + "+|" + upper + "+" + lower + R"(*|\p{N})" + ends), bytes(false)}, true, "tekken"},
        {{split(upper + "*" + lower + "+" + contractions + "?|" + upper + "+" + lower + "*" + contractions +
                R"(?|\p{N}{1,3})" + ends),
          bytes(false)},
         false,
         "gpt-4o"},
        {{split(R"(\p{N}{1,3})"), split("[一-龥぀-ゟ゠-ヿ]+"),
          split(R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
                R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
          bytes(false)},
         false,
         "deepseek-v3"},
        {{split("[\r\n]"), split(R"(\s?\p{L}+)"), split(R"(\s?\p{P}+)"), split("[一-龥ࠀ-一가-퟿]+"), digits,
          bytes(false)},
         false,
         "deepseek-coder"},
        {{split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), bytes(false)}, false, "bloom"},
        // None has a name.
        {{split(R"(\p{L}+|\d)"), bytes(false)}, false, R"(no known rule has: '\p{L}+|\d')"},
        {{bytes(true), digits}, false, R"(then '(of bytes) \p{N}')"},
        {{bytes(true)}, true, "field 'model.ignore_merges'"},
        {{bytes(true, true)}, false, "puts a space before every text"},
        {{split(llama3)}, false, "has no step ByteLevel"},
        {{split(std::string(4097, 'x')), bytes(false)}, false, "has a Split by 4097 bytes"},
        {{split(llama3, "Removed"), bytes(false)}, false, "Split of the kind 'Removed'"},
        {{split(R"(\p{N}{1,3})", "Removed", true), bytes(false)}, false, "Split of the kind 'Removed', inverted"},
        {{split(llama3, "MergedWithNext"), bytes(false)}, false, "Split of the kind 'MergedWithNext'"},
        {{{{"type", "Whitespace"}}, bytes(false)}, false, "step of the unknown kind 'Whitespace'"},
        {{{{"type", "Punctuation"}}, bytes(false)}, false, "step of the unknown kind 'Punctuation'"},
    };
    for (const Case& c : cases) {
        CheckpointFolder folder;
        Json json = byte_level_json();
        json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", c.steps}};
        json["model"]["ignore_merges"] = c.whole_words;
        write_json(folder, json);
        const auto file = converted(folder);
        if (file.ok()) {
            EXPECT_EQ(*file->metadata.string("tokenizer.ggml.pre"), c.expected);
        } else {
            EXPECT_NE(file.error().message().find(c.expected), std::string::npos)
                << c.expected << " is not in: " << file.error().message();
        }
    }
}

TEST(ConvertVocabulary, MergesInTheOrderOfScoresBecomeScores) {
    CheckpointFolder folder;
    write_json(folder, char_level_json());
    const auto file = converted(folder);
    ASSERT_TRUE(file.ok()) << file.error().message();
    EXPECT_EQ(*file->metadata.string("tokenizer.ggml.model"), "llama");
    EXPECT_EQ(*file->metadata.u32("tokenizer.ggml.bos_token_id"), 1u) << "it stands before texts";
    EXPECT_FALSE(file->metadata.has("tokenizer.ggml.merges"));
    EXPECT_TRUE(*file->metadata.boolean("tokenizer.ggml.add_space_prefix"));
    EXPECT_EQ(types_of(file->metadata), "2 3 6 1 1 1 1 1 1");
    const auto scores = *file->metadata.floats("tokenizer.ggml.scores");
    EXPECT_GT(scores[6], scores[7]);
    EXPECT_GT(scores[7], scores[8]);
    EXPECT_EQ(ids_of(folder, "ab aA"), "1 7 8 2");
}

// Of the merges to "▁ab" one is gone, or stands elsewhere: scores cannot say that.
TEST(ConvertVocabulary, OtherMergesStayMerges) {
    for (const Json& merges : {Json{"a b", "▁ ab", "▁ a"}, Json{"a b", "▁ ab", "▁ a", "▁a b"}}) {
        Json json = char_level_json();
        json["model"]["merges"] = merges;
        CheckpointFolder folder;
        write_json(folder, json);
        const auto refused = converted(folder);
        ASSERT_FALSE(refused.ok());
        EXPECT_NE(refused.error().message().find("field 'model.merges'"), std::string::npos)
            << refused.error().message();
        json["normalizer"] = json["normalizer"]["normalizers"][1];
        json["post_processor"] = nullptr;
        write_json(folder, json);
        const auto file = converted(folder);
        ASSERT_TRUE(file.ok()) << file.error().message();
        EXPECT_EQ(*file->metadata.string("tokenizer.ggml.model"), "gemma4");
        EXPECT_EQ(file->metadata.strings("tokenizer.ggml.merges")->size(), merges.size());
        EXPECT_FALSE(*file->metadata.boolean("tokenizer.ggml.add_space_prefix"));
    }
}

std::string base64_of(std::span<const uint8_t> bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t bit = 0; bit < 8 * bytes.size(); bit += 6) {
        const size_t byte = bit / 8;
        const uint32_t two = uint32_t(bytes[byte]) << 8 | (byte + 1 < bytes.size() ? bytes[byte + 1] : 0);
        out += digits[two >> (10 - bit % 8) & 63];
    }
    return out.append((4 - out.size() % 4) % 4, '=');
}

TEST(ConvertVocabulary, Unigram) {
    CheckpointFolder folder;
    const std::vector<uint8_t> charsmap = wallaby::testing::CharsmapBytes({{"A", "a"}, {"\u00c4", "a"}}).build();
    Json json = Json::parse(R"({
        "added_tokens": [{"id": 0, "content": "<pad>", "special": true}, {"id": 1, "content": "</s>", "special": true},
                         {"id": 2, "content": "<unk>", "special": true}, {"id": 6, "content": "<extra>", "special": true}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": ""},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}]},
        "model": {"type": "Unigram", "unk_id": 2,
                  "vocab": [["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["▁", -2.5], ["ab", -3], ["▁ab", -4]]}})");
    json["normalizer"]["normalizers"][0]["precompiled_charsmap"] = base64_of(charsmap);
    write_json(folder, json);
    folder.write("tokenizer_config.json", R"({"eos_token": "</s>", "additional_special_tokens": ["<extra>"]})");
    const auto file = converted(folder);
    ASSERT_TRUE(file.ok()) << file.error().message();
    EXPECT_EQ(*file->metadata.string("tokenizer.ggml.model"), "t5");
    EXPECT_EQ(types_of(file->metadata), "3 3 2 1 1 1 3");
    EXPECT_EQ(file->metadata.floats("tokenizer.ggml.scores")->at(3), -2.5f);
    EXPECT_TRUE(*file->metadata.boolean("tokenizer.ggml.add_eos_token"));
    EXPECT_FALSE(*file->metadata.boolean("tokenizer.ggml.add_bos_token"));
    EXPECT_TRUE(*file->metadata.boolean("tokenizer.ggml.remove_extra_whitespaces"));
    EXPECT_TRUE(std::ranges::equal(file->metadata.find("tokenizer.ggml.precompiled_charsmap")->bytes, charsmap));
    EXPECT_EQ(ids_of(folder, "Ab   \u00c4b"), "5 5 1");
}

// --- tokenizer.model

TEST(ConvertVocabulary, SentencePieceBpe) {
    CheckpointFolder folder;
    folder.write("tokenizer.model", sentencepiece());
    // What other files add, the later knowing more: 10 is no special token at first.
    folder.write("added_tokens.json", R"({"<|user|>": 10, "<tool>": 11})");
    folder.write("tokenizer_config.json",
                 R"({"add_bos_token": true, "add_eos_token": false, "eos_token": "<|user|>", "added_tokens_decoder": {
                     "10": {"content": "<|user|>", "special": true}, "9": {"content": "<new>", "special": false}}})");
    const auto file = converted(folder);
    ASSERT_TRUE(file.ok()) << file.error().message();
    const gguf::Metadata& keys = file->metadata;
    EXPECT_EQ(*keys.string("tokenizer.ggml.model"), "llama");
    EXPECT_EQ(strings_of(keys, "tokenizer.ggml.tokens"), "<unk>|<s>|</s>|<0x41>|a|b|ab|▁|  |<new>|<|user|>|<tool>");
    EXPECT_EQ(types_of(keys), "2 3 3 6 1 1 1 1 4 4 3 4");
    EXPECT_EQ(*keys.floats("tokenizer.ggml.scores"),
              (std::vector<float>{0, 0, 0, 0, -2, -3, -1, -4, 0, 0, -1000, -1000}));
    EXPECT_EQ(*keys.u32("tokenizer.ggml.bos_token_id"), 1u);
    EXPECT_EQ(*keys.u32("tokenizer.ggml.eos_token_id"), 10u);
    EXPECT_EQ(*keys.u32("tokenizer.ggml.unknown_token_id"), 0u);
    EXPECT_FALSE(keys.has("tokenizer.ggml.padding_token_id"));
    EXPECT_EQ(ids_of(folder, "abA  <tool>b"), "1 7 6 3 8 11 7 5");
}

TEST(ConvertVocabulary, SentencePieceUnigram) {
    CheckpointFolder folder;
    folder.write("tokenizer.model",
                 pieces() + trainer(1) + normalizer(true, bytes_field(2, std::string_view("\4\0\0\0\0\1\0\0", 8))));
    const auto file = converted(folder);
    ASSERT_TRUE(file.ok()) << file.error().message();
    EXPECT_EQ(*file->metadata.string("tokenizer.ggml.model"), "t5");
    EXPECT_TRUE(*file->metadata.boolean("tokenizer.ggml.remove_extra_whitespaces"));
    EXPECT_EQ(file->metadata.find("tokenizer.ggml.precompiled_charsmap")->bytes.size(), 8u);
}

TEST(ConvertVocabulary, ATokenizerJsonBesideATokenizerModelAddsTokens) {
    CheckpointFolder folder;
    folder.write("tokenizer.model", sentencepiece());
    folder.write("tokenizer.json", R"({"added_tokens": [{"id": 10, "content": "<|user|>", "special": true}],
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}]},
        "model": {"type": "of no interest"}})");
    EXPECT_EQ(ids_of(folder, "ab<|user|>"), "7 6 10 2");
}

// --- vocab.json and merges.txt

TEST(ConvertVocabulary, VocabAndMerges) {
    CheckpointFolder folder;
    folder.write("vocab.json", R"({"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "<|endoftext|>": 5})");
    folder.write("merges.txt", "#version: 0.2\na b\r\n\xC4\xA0 ab\n\n");
    const auto unknown = converted(folder);
    ASSERT_FALSE(unknown.ok());
    EXPECT_NE(unknown.error().message().find("tokenizer_class ''"), std::string::npos) << unknown.error().message();
    folder.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2TokenizerFast", "bos_token": "<|endoftext|>"})");
    EXPECT_EQ(ids_of(folder, "ab ab<|endoftext|>"), "3 4 5");
    EXPECT_EQ(*converted(folder)->metadata.string("tokenizer.ggml.pre"), "gpt-2");
    folder.write("merges.txt", "a b c\n");
    EXPECT_NE(converted(folder).error().message().find("merges.txt: merge 0 is not two pieces"), std::string::npos);
}

// --- Chat templates

TEST(ConvertVocabulary, ChatTemplates) {
    CheckpointFolder folder;
    write_json(folder, byte_level_json());
    EXPECT_FALSE(converted(folder)->metadata.has("tokenizer.chat_template"));
    folder.write("chat_template.json", R"({"chat_template": "old"})");
    EXPECT_EQ(*converted(folder)->metadata.string("tokenizer.chat_template"), "old");
    folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "default", "template": "one"},
                                                                {"name": "tool_use", "template": "two"}]})");
    const auto named = converted(folder);
    EXPECT_EQ(*named->metadata.string("tokenizer.chat_template"), "one");
    EXPECT_EQ(*named->metadata.string("tokenizer.chat_template.tool_use"), "two");
    EXPECT_EQ(strings_of(named->metadata, "tokenizer.chat_templates"), "tool_use");
    folder.write("chat_template.jinja", "three");
    const auto jinja = converted(folder);
    EXPECT_EQ(*jinja->metadata.string("tokenizer.chat_template"), "three");
    EXPECT_FALSE(jinja->metadata.has("tokenizer.chat_templates"));
}

// --- What is refused

TEST(ConvertVocabulary, ErrorsNameTheFileAndTheField) {
    struct Case {
        const char* file;
        std::string content;
        std::string expected;
    };
    const auto with = [](Json json, const char* path, const Json& value) {
        json[Json::json_pointer(path)] = value;
        return json.dump();
    };
    const Json bytes = byte_level_json();
    const Json chars = char_level_json();
    const std::string deep(100, '[');
    const Case cases[] = {
        {"tokenizer.json", "{\"a\": tru", "tokenizer.json: at byte 9: is not JSON"},
        {"tokenizer.json", "{\"\xFF\": 1}", "tokenizer.json: at byte 2: is not JSON"},
        {"tokenizer.json", "[1]", "does not hold a JSON object"},
        {"tokenizer.json", "{\"a\": " + deep, "nests deeper than 64 levels"},
        {"tokenizer.json", "{\"a\": 1e999}", "is not JSON"},
        {"tokenizer.json", "{}", "field 'model': is not an object"},
        {"tokenizer.json", with(bytes, "/model/type", "WordLevel"), "field 'model.type': is 'WordLevel'"},
        {"tokenizer.json", with(bytes, "/model/type", 7), "field 'model.type': is of type number"},
        {"tokenizer.json", with(bytes, "/model/vocab", Json::object()), "field 'model.vocab': has no tokens"},
        {"tokenizer.json", with(bytes, "/model/vocab/b", -1), "field 'model.vocab': token 2 has the id -1"},
        {"tokenizer.json", with(bytes, "/model/vocab/b", 1.5), "has the id 1.5"},
        {"tokenizer.json", with(bytes, "/model/vocab/b", "1"), "has the id \"1\""},
        {"tokenizer.json", with(bytes, "/model/vocab/b", nullptr), "has the id null"},
        {"tokenizer.json", with(bytes, "/model/vocab/b", {1}), "is not of a known form"},
        {"tokenizer.json", with(bytes, "/model/vocab/b", 0), "gives the id 0 to 'a' and to 'b'"},
        {"tokenizer.json", with(bytes, "/model/vocab/b", 7), "has a token of id 7, but there are 7 tokens"},
        {"tokenizer.json", with(bytes, "/model/vocab/b", UINT64_MAX), "has a token of id 18446744073709551615"},
        {"tokenizer.json", with(bytes, "/model/vocab", Json::array({Json::array({"a", 0})})),
         "is not an object of ids by text"},
        {"tokenizer.json", with(bytes, "/model/vocab", {{"a", 0, 1}}), "has more than two parts"},
        {"tokenizer.json", with(bytes, "/model/vocab", {{"a"}}), "is not a pair"},
        {"tokenizer.json", with(bytes, "/model/merges", Json::object()), "field 'model.merges'"},
        {"tokenizer.json", with(bytes, "/model/merges", {"a b c"}), "merge 0 is not two pieces"},
        {"tokenizer.json", with(bytes, "/model/merges", {"a b", {"a", "b c"}}), "merge 1 is not two pieces"},
        {"tokenizer.json", with(bytes, "/model/merges", Json::array({Json::array({"a", 1})})),
         "merge 0 is not a pair of strings"},
        {"tokenizer.json", with(bytes, "/model/merges", {1}), "merge 0 is not a string"},
        {"tokenizer.json", with(bytes, "/model/merges", {"a b", {"a", {"b"}}}), "merge 1 is not of a known form"},
        {"tokenizer.json", with(bytes, "/model/merges", Json::array()), "field 'model.merges': has no merges"},
        {"tokenizer.json", with(bytes, "/model/end_of_word_suffix", "</w>"), "field 'model.end_of_word_suffix'"},
        {"tokenizer.json", with(bytes, "/model/ignore_merges", "yes"),
         "field 'model.ignore_merges': is of type string"},
        {"tokenizer.json", with(bytes, "/added_tokens/0/id", "5"), "field 'added_tokens[0].id'"},
        {"tokenizer.json", with(bytes, "/added_tokens/0/id", 0), "the id 0 to 'a' and to the added token '<|end|>'"},
        {"tokenizer.json", with(bytes, "/added_tokens/1/content", 5), "field 'added_tokens[1].content'"},
        {"tokenizer.json", with(bytes, "/added_tokens", 5), "field 'added_tokens': is not an array"},
        {"tokenizer.json", with(bytes, "/normalizer/type", "Lowercase"), "field 'normalizer'"},
        {"tokenizer.json", with(bytes, "/normalizer", 3), "field 'normalizer': holds a JSON number"},
        {"tokenizer.json", with(bytes, "/pre_tokenizer", nullptr), "field 'pre_tokenizer': is missing"},
        {"tokenizer.json", with(bytes, "/post_processor/type", "New"), "field 'post_processor'"},
        {"tokenizer.json", with(chars, "/post_processor/single/0/SpecialToken/id", "<x>"), "'<x>' is not a token"},
        {"tokenizer.json", with(chars, "/post_processor/single/1", chars["post_processor"]["single"][0]),
         "puts '<s>' before a text"},
        {"tokenizer.json", with(chars, "/model/merges/0", "a c"), "merge 0 ('a c') is not of tokens to a token"},
        {"tokenizer.json", with(chars, "/normalizer", nullptr), "field 'normalizer'"},
        {"tokenizer.json", with(chars, ("/model/vocab/" + std::string(513, 'x')).c_str(), 9), "token 9 has 513 bytes"},
        {"tokenizer.json", with(chars, "/normalizer/normalizers/0/prepend", "_"), "field 'normalizer.prepend'"},
        {"tokenizer_config.json", R"({"eos_token": 5})", "tokenizer_config.json: field 'eos_token'"},
        {"tokenizer_config.json", R"({"eos_token": "<none>"})", "field 'eos_token': '<none>' is not a token"},
        {"tokenizer_config.json", R"({"add_bos_token": "yes"})", "field 'add_bos_token': is of type string"},
        {"tokenizer_config.json", R"({"added_tokens_decoder": {"-1": {"content": "x"}}})", "is not an id"},
        {"tokenizer_config.json", R"({"added_tokens_decoder": {"99999999999999999999": {"content": "x"}}})",
         "is not an id"},
        {"tokenizer_config.json", R"({"added_tokens_decoder": {"1": {}}})", "field 'added_tokens_decoder.1'"},
        {"tokenizer_config.json", R"({"additional_special_tokens": {}})", "field 'additional_special_tokens'"},
        {"tokenizer_config.json", R"({"chat_template": 1})", "field 'chat_template'"},
        {"tokenizer_config.json", R"({"chat_template": [{"name": "a b", "template": ""}]})",
         "field 'chat_template[].name'"},
        {"added_tokens.json", R"({"x": "y"})", "added_tokens.json"},
        {"added_tokens.json", "[]", "added_tokens.json: does not hold a JSON object"},
        {"special_tokens_map.json", "{", "special_tokens_map.json: at byte"},
        {"tokenizer.model", "", "tokenizer.model: is not a SentencePiece model"},
        {"tokenizer.model", "IQ== 0\n", "tokenizer.model: message 'model' at byte"},
        {"tokenizer.model", sentencepiece() + "\x0B", "has a field of the unknown kind 3"},
        {"tokenizer.model", sentencepiece() + std::string("\0\0", 2), "has a field of number 0"},
        {"tokenizer.model", sentencepiece() + "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", "more than 64 bits"},
        {"tokenizer.model", sentencepiece() + "\x0A\xFF\xFF\xFF\xFF\x0F", "has a field of 4294967295 bytes where 0"},
        {"tokenizer.model", sentencepiece() + "\x08\x01", "has field 1 of kind 0 instead of 2"},
        {"tokenizer.model", sentencepiece() + piece("\xC3", 0), "message 'piece' at byte"},
        {"tokenizer.model", sentencepiece() + piece("x", NAN), "a score that is not a number"},
        {"tokenizer.model", sentencepiece() + piece("x", 0, 9), "is of the unknown type 9"},
        {"tokenizer.model", pieces() + trainer(3) + normalizer(), "field 'trainer_spec.model_type'"},
        {"tokenizer.model", pieces() + trainer(bpe, number_field(24, 1)) + normalizer(), "treat_whitespace_as_suffix"},
        {"tokenizer.model", pieces() + trainer(bpe, number_field(42, 99)) + normalizer(),
         "field 'trainer_spec.eos_id'"},
        {"tokenizer.model", pieces() + trainer(bpe) + normalizer(true), "remove_extra_whitespaces"},
        {"tokenizer.model", pieces() + trainer(bpe) + normalizer(false, bytes_field(2, "x")), "precompiled_charsmap"},
        {"tokenizer.model", pieces() + trainer(bpe) + normalizer(false, number_field(5, 0)), "escape_whitespaces"},
    };
    for (const Case& c : cases) {
        CheckpointFolder folder;
        write_json(folder, bytes);
        folder.write(c.file, c.content);
        const auto file = converted(folder);
        ASSERT_FALSE(file.ok()) << c.content;
        const std::string message = file.error().message();
        EXPECT_NE(message.find(c.expected), std::string::npos) << c.expected << " is not in: " << message;
    }
    CheckpointFolder empty;
    EXPECT_NE(converted(empty).error().message().find("holds no tokenizer"), std::string::npos);
    CheckpointFolder small;
    write_json(small, bytes);
    EXPECT_NE(converted(small, 6).error().message().find("of id 6, but the embedding has 6 rows"), std::string::npos);
}

// Cut anywhere: JSON never passes, and a message of pieces only between two of them.
TEST(ConvertVocabulary, CutFilesAreRefused) {
    CheckpointFolder folder;
    const std::string json = char_level_json().dump();
    for (size_t n = 0; n < json.size(); n += 3) {
        folder.write("tokenizer.json", json.substr(0, n));
        const auto file = converted(folder);
        ASSERT_FALSE(file.ok()) << n;
        EXPECT_NE(file.error().message().find("tokenizer.json: at byte"), std::string::npos) << file.error().message();
    }
    const std::string model = sentencepiece();
    size_t n_passed = 0;
    for (size_t n = 0; n < model.size(); n++) {
        folder.write("tokenizer.model", model.substr(0, n));
        const auto file = converted(folder);
        n_passed += file.ok() ? 1 : 0;
        if (!file.ok()) { EXPECT_NE(file.error().message().find("tokenizer."), std::string::npos); }
    }
    EXPECT_LE(n_passed, 12u);
}

TEST(ConvertVocabulary, ChangedBytesAreRefusedOrMakeATokenizer) {
    CheckpointFolder folder;
    const std::string model = sentencepiece();
    std::mt19937 random(1);
    for (int i = 0; i < 400; i++) {
        std::string changed = model;
        for (uint32_t n = 1 + random() % 3; n > 0; n--) { changed[random() % changed.size()] = char(random()); }
        folder.write("tokenizer.model", changed);
        gguf::Draft draft;
        const auto set = convert::set_tokenizer(draft, folder.path(), {});
        if (!set.ok()) { EXPECT_FALSE(set.error().message().empty()); }
        if (set.ok()) { (void)tokenizer_of(draft); }
    }
}

TEST(ConvertVocabulary, Llama2csFilesThatAreCutOrTooLong) {
    const auto number = [](uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); };
    std::string file = number(6);
    for (const char* text : {"<unk>", "\n<s>\n", "\n</s>\n", "<0x41>", " a"}) {
        file += number(0) + number(uint32_t(std::string_view(text).size())) + text;
    }
    CheckpointFolder folder;
    const auto convert_file = [&](const std::string& content) {
        folder.write("tokenizer.bin", content);
        gguf::Draft draft;
        const auto set = convert::set_llama2c_tokenizer(draft, folder.file("tokenizer.bin"), 5);
        return set.ok() ? strings_of(read_back(draft)->metadata, "tokenizer.ggml.tokens") : set.error().message();
    };
    EXPECT_EQ(convert_file(file), "<unk>|<s>|</s>|<0x41>|▁a");
    for (size_t n = 0; n < file.size(); n++) {
        EXPECT_NE(convert_file(file.substr(0, n)).find("tokenizer.bin: at byte"), std::string::npos) << n;
    }
    EXPECT_NE(convert_file(file + "x").find("does not end after 5 tokens"), std::string::npos);
    EXPECT_NE(convert_file(number(1) + file.substr(4)).find("the longest is to have 1"), std::string::npos);
    EXPECT_NE(convert_file(number(6) + number(0x7FC00000) + file.substr(8)).find("not a number"), std::string::npos);
}

TEST(ConvertVocabulary, Base64) {
    EXPECT_EQ(convert::decode_base64("Zm9vYmFy"), "foobar");
    EXPECT_EQ(convert::decode_base64("Zm9vYg=="), "foob");
    EXPECT_EQ(convert::decode_base64("Zm9vYmE"), "fooba");
    EXPECT_EQ(convert::decode_base64("/+8="), "\xFF\xEF");
    EXPECT_EQ(convert::decode_base64(""), "");
    EXPECT_EQ(convert::decode_base64("Zm9vY"), std::nullopt);
    EXPECT_EQ(convert::decode_base64("Zm9v!mFy"), std::nullopt);
    EXPECT_EQ(convert::decode_base64("===="), std::nullopt);
}

}  // namespace
