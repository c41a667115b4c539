// Tokenizer files of Hugging Face checkpoints give the keys and ids of the GGUF files that other converters made of
// them. Where only the GGUF file is at hand, a tokenizer.json is written from it as Transformers would.
#include "convert/hf_vocabulary.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "support/checkpoint_folder.h"
#include "support/data.h"

namespace {

using namespace wallaby;
using wallaby::testing::CheckpointFolder;
using wallaby::testing::read_back;
using wallaby::testing::read_file;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

gguf::File open(const std::filesystem::path& path) {
    const auto source = base::open_file(path.string());
    EXPECT_TRUE(source.ok());
    auto file = gguf::read_file(**source);
    EXPECT_TRUE(file.ok());
    return std::move(file).value();
}

std::unique_ptr<text::Tokenizer> load(const gguf::Metadata& metadata) {
    auto tokenizer = text::Tokenizer::load(metadata);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message();
    return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
}

gguf::File converted(const CheckpointFolder& folder, uint32_t n_vocab, std::string_view name) {
    gguf::Draft draft;
    draft.set("general.architecture", "llama").set("general.name", name);
    const auto set = convert::set_tokenizer(draft, folder.path(), {.n_vocab = n_vocab});
    EXPECT_TRUE(set.ok()) << set.error().message();
    auto file = read_back(draft);
    EXPECT_TRUE(file.ok()) << file.error().message();
    return std::move(file).value();
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

// Texts of words, spaces, digits and characters of any script.
std::vector<std::string> random_texts(size_t n_texts) {
    std::mt19937 random(8);
    const std::vector<std::string> parts = {
        " ",    "  ",   "\n", "\t", "the", "ing",  "Hello", "'s",   "'LL",    "123",
        "2024", "._",   "``", "é",  "n̈",   "漢字", "かな",  "한국", "😀",      "👩‍👩‍👧",
        "▁",    "नमस्ते", "Ж",  "ß",  "ﷺ",   "<s",   ">",     "</s",  "<0x41>", "\r\n",
        "    "};
    std::vector<std::string> texts;
    for (size_t i = 0; i < n_texts; i++) {
        std::string text;
        for (uint32_t n = random() % 24; n > 0; n--) {
            if (random() % 4 != 0) {
                text += parts[random() % parts.size()];
            } else {
                text += char('a' + random() % 26);
            }
        }
        texts.push_back(text);
    }
    return texts;
}

// Old converters took padding for tokens that are found in texts.
bool is_padding(std::string_view text, int32_t id) { return text == "[PAD" + std::to_string(id) + "]"; }

void expect_same_ids(const text::Tokenizer& ours, const text::Tokenizer& expected, const std::string& stem) {
    std::vector<std::string> texts = split(read_file(stem + ".inp"), "\n__ggml_vocab_test__\n");
    const std::vector<std::string> lines = split(read_file(stem + ".out"), "\n");
    ASSERT_GE(texts.size(), 46u);
    for (size_t i = 0; i < texts.size(); i++) {
        std::istringstream in(lines[i]);
        const Ids ids{std::istream_iterator<int32_t>(in), std::istream_iterator<int32_t>()};
        EXPECT_EQ(*ours.encode(texts[i], {.add_special = false, .parse_special = false}), ids) << texts[i];
    }
    for (const std::string& text : random_texts(2000)) { texts.push_back(text); }
    for (int32_t id = 0; id < ours.n_tokens(); id += ours.is_special(id) ? 1 : 97) {
        const std::string text(ours.token_text(id));
        if (expected.token_text(id) == text && !is_padding(text, id)) { texts.push_back(" x" + text + " y"); }
    }
    for (const std::string& text : texts) {
        for (const bool special : {false, true}) {
            const text::EncodeOptions options{.add_special = special, .parse_special = special};
            ASSERT_EQ(*ours.encode(text, options), *expected.encode(text, options)) << text;
        }
    }
}

// The tokens' texts are the same, but where the expected file has padding.
void expect_same_texts(const text::Tokenizer& ours, const text::Tokenizer& expected) {
    ASSERT_EQ(ours.n_tokens(), expected.n_tokens());
    for (int32_t id = 0; id < ours.n_tokens(); id++) {
        if (is_padding(expected.token_text(id), id)) { continue; }
        ASSERT_EQ(ours.token_text(id), expected.token_text(id));
    }
}

void expect_same_key(const gguf::Metadata& ours, const gguf::Metadata& expected, std::string_view key) {
    const gguf::Value* a = ours.find(key);
    const gguf::Value* b = expected.find(key);
    ASSERT_NE(a, nullptr) << key;
    ASSERT_NE(b, nullptr) << key;
    EXPECT_EQ(a->type, b->type) << key;
    EXPECT_EQ(a->element, b->element) << key;
    EXPECT_TRUE(std::ranges::equal(a->bytes, b->bytes)) << key;
}

TEST(HfVocabularyGolden, Phi3sTokenizerJson) {
    WALLABY_NEED_DATA(data);
    const std::string stem = (data / "vocab/phi-3").string();
    CheckpointFolder folder;
    folder.write("tokenizer.json", read_file(stem + ".tokenizer.json"));
    folder.write(
        "tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>",
                     "add_bos_token": true, "add_eos_token": false})");
    const gguf::File expected = open(stem + ".gguf");
    const gguf::File ours = converted(folder, 32064, "Phi3");
    const auto tokenizer = load(ours.metadata);
    const auto reference = load(expected.metadata);
    ASSERT_TRUE(tokenizer && reference);
    EXPECT_EQ(*ours.metadata.string("tokenizer.ggml.model"), "llama");
    expect_same_texts(*tokenizer, *reference);
    for (const char* key :
         {"bos_token_id", "eos_token_id", "padding_token_id", "unknown_token_id", "add_bos_token", "add_eos_token"}) {
        expect_same_key(ours.metadata, expected.metadata, std::string("tokenizer.ggml.") + key);
    }
    expect_same_ids(*tokenizer, *reference, stem);
}

TEST(HfVocabularyGolden, LlamasTokenizerModel) {
    WALLABY_NEED_DATA(data);
    const std::string stem = (data / "vocab/llama-spm").string();
    CheckpointFolder folder;
    folder.write("tokenizer.model", read_file(stem + ".tokenizer.model"));
    folder.write("tokenizer_config.json", R"({"add_bos_token": true, "add_eos_token": false})");
    const gguf::File expected = open(stem + ".gguf");
    const gguf::File ours = converted(folder, 32000, "llama");
    for (const char* key : {"model", "pre", "tokens", "scores", "token_type", "bos_token_id", "eos_token_id",
                            "unknown_token_id", "add_bos_token", "add_eos_token"}) {
        expect_same_key(ours.metadata, expected.metadata, std::string("tokenizer.ggml.") + key);
    }
    expect_same_ids(*load(ours.metadata), *load(expected.metadata), stem);
}

TEST(HfVocabularyGolden, Llama2csTokenizerBin) {
    WALLABY_NEED_DATA(data);
    const gguf::File expected = open(data / "models/stories260K/stories260K.gguf");
    gguf::Draft draft;
    const auto set = convert::set_llama2c_tokenizer(draft, (data / "models/stories260K/tok512.bin").string(), 512);
    ASSERT_TRUE(set.ok()) << set.error().message();
    const auto ours = read_back(draft);
    ASSERT_TRUE(ours.ok());
    for (const char* key :
         {"model", "tokens", "scores", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id"}) {
        expect_same_key(ours->metadata, expected.metadata, std::string("tokenizer.ggml.") + key);
    }
    const auto tokenizer = load(ours->metadata);
    ASSERT_TRUE(tokenizer);
    const std::string text = read_file(data / "text/tinystories_sample.txt");
    EXPECT_EQ(*tokenizer->encode(text), *load(expected.metadata)->encode(text));
}

// --- Byte-level BPE, and what else only a GGUF file is at hand of.

Json split_by(const char* regex) {
    return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json byte_level(bool use_regex) {
    return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}
Json sequence(const char* list, std::vector<Json> steps) { return {{"type", "Sequence"}, {list, std::move(steps)}}; }

// BOS before the text.
Json begin_template(const std::string& token, int32_t id) {
    return {{"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", token}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
            {"special_tokens", {{token, {{"id", token}, {"ids", {id}}, {"tokens", {token}}}}}}};
}

// From the files of the models named, as they stand on https://huggingface.co.
Json pre_tokenizer_of(const std::string& name) {
    if (name == "gpt-2") { return byte_level(true); }
    if (name == "qwen2") {  // Qwen/Qwen1.5-7B
        return sequence(
            "pretokenizers",
            {split_by(
                 R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
             byte_level(false)});
    }
    if (name == "llama-bpe") {  // meta-llama/Meta-Llama-3-8B
        return sequence(
            "pretokenizers",
            {split_by(
                 R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
             byte_level(false)});
    }
    if (name == "falcon") {  // tiiuae/falcon-7b
        return sequence("pretokenizers", {{{"type", "Punctuation"}, {"behavior", "Contiguous"}},
                                          byte_level(true),
                                          {{"type", "Digits"}, {"individual_digits", false}},
                                          split_by("[0-9][0-9][0-9]")});
    }
    return sequence(  // deepseek-ai/deepseek-llm-7b-base
        "pretokenizers",
        {split_by("[\r\n]"),
         split_by("\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
                  "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
                  "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
                  "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
                  "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
                  "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
                  "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
                  "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
                  "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
                  "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
                  "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
                  "\U0001e900-\U0001e943]+"),
         split_by("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
         split_by(R"(\s+$)"),
         split_by("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
         {{"type", "Digits"}, {"individual_digits", true}},
         byte_level(false)});
}

// What a file's tokens are in Hugging Face's terms; padding is not among them. The long lists are written at once.
struct Parts {
    Json added = Json::array();
    std::string vocab = "{}", merges = "[]";
};

using Spell = std::string (*)(const std::string&);
std::string as_it_is(const std::string& text) { return text; }

void add_entry(std::string& list, const std::string& entry) {
    const char end = list.back();
    list.back() = ',';
    if (list.size() == 2) { list.pop_back(); }
    list += entry;
    list += end;
}

Parts parts_of(const gguf::Metadata& metadata, bool merges_are_pairs, Spell spell = as_it_is) {
    Parts parts;
    const auto types = metadata.integers("tokenizer.ggml.token_type");
    int32_t id = 0;
    for (const std::string_view view : *metadata.strings("tokenizer.ggml.tokens")) {
        const std::string text(view);
        const auto type = text::TokenType((*types)[size_t(id)]);
        if (is_padding(text, id)) { break; }
        if (type == text::TokenType::control || type == text::TokenType::user_defined) {
            parts.added.push_back({{"id", id},
                                   {"content", text},
                                   {"single_word", false},
                                   {"lstrip", false},
                                   {"rstrip", false},
                                   {"normalized", false},
                                   {"special", type == text::TokenType::control}});
        } else {
            add_entry(parts.vocab, Json(spell(text)).dump() + ":" + std::to_string(id));
        }
        id++;
    }
    if (!metadata.has("tokenizer.ggml.merges")) { return parts; }
    for (const std::string_view view : *metadata.strings("tokenizer.ggml.merges")) {
        std::string merge = Json(std::string(view)).dump();
        if (merges_are_pairs) { merge = "[" + merge.replace(merge.find(' '), 1, "\",\"") + "]"; }
        add_entry(parts.merges, merge);
    }
    return parts;
}

// `rest` and `model` have all but the lists.
std::string tokenizer_json(Json rest, const Json& model, const Parts& parts) {
    rest["added_tokens"] = parts.added;
    rest["version"] = "1.0";
    std::string text = rest.dump();
    text.pop_back();
    text += ",\"model\":" + model.dump();
    text.pop_back();
    return text + ",\"vocab\":" + parts.vocab + ",\"merges\":" + parts.merges + "}}";
}

Json config_of(const gguf::Metadata& metadata) {
    const std::vector<std::string_view> texts = [&] {
        std::vector<std::string_view> out;
        for (const std::string_view text : *metadata.strings("tokenizer.ggml.tokens")) { out.push_back(text); }
        return out;
    }();
    Json config = {{"model_max_length", 1024}};
    for (const auto& [key, name] : {std::pair{"bos_token_id", "bos_token"},
                                    {"eos_token_id", "eos_token"},
                                    {"padding_token_id", "pad_token"},
                                    {"unknown_token_id", "unk_token"},
                                    {"mask_token_id", "mask_token"},
                                    {"cls_token_id", "cls_token"},
                                    {"seperator_token_id", "sep_token"}}) {
        const std::string full = std::string("tokenizer.ggml.") + key;
        if (!metadata.has(full)) { continue; }
        const std::string text(texts[*metadata.u32(full)]);
        if (std::string_view(name) == "pad_token") {  // roles are written in either way
            config[name] = {{"__type", "AddedToken"}, {"content", text}, {"special", true}};
        } else {
            config[name] = text;
        }
    }
    if (metadata.has("tokenizer.chat_template")) {
        config["chat_template"] = std::string(*metadata.string("tokenizer.chat_template"));
    }
    for (const char* key : {"add_bos_token", "add_eos_token"}) {
        const std::string full = std::string("tokenizer.ggml.") + key;
        if (metadata.has(full)) { config[key] = *metadata.boolean(full); }
    }
    return config;
}

// Every key of the expected file is ours, but the types of padding, which old converters took for user-defined.
void expect_same_keys(const gguf::Metadata& ours, const gguf::Metadata& expected) {
    for (const gguf::Metadata::Entry& entry : expected.entries()) {
        if (!entry.key.starts_with("tokenizer.")) { continue; }
        if (entry.key != "tokenizer.ggml.token_type") {
            expect_same_key(ours, expected, entry.key);
            continue;
        }
        const auto types = ours.integers(entry.key);
        const auto wanted = expected.integers(entry.key);
        ASSERT_TRUE(types.ok() && wanted.ok());
        ASSERT_EQ(types->size(), wanted->size());
        size_t id = 0;
        for (const std::string_view text : *ours.strings("tokenizer.ggml.tokens")) {
            const bool is_padding = text == "[PAD" + std::to_string(id) + "]";
            ASSERT_EQ((*types)[id], is_padding ? int32_t(text::TokenType::unused) : (*wanted)[id]) << text;
            id++;
        }
    }
}

class HfByteLevelGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(HfByteLevelGolden, TokenizerJsonGivesTheSameKeysAndIds) {
    WALLABY_NEED_DATA(data);
    const std::string name = GetParam();
    const std::string stem = (data / "vocab" / name).string();
    const gguf::File expected = open(stem + ".gguf");
    const bool is_llama = name == "llama-bpe";
    const Parts parts = parts_of(expected.metadata, is_llama);
    Json json = {{"truncation", nullptr},
                 {"padding", nullptr},
                 {"normalizer", nullptr},
                 {"pre_tokenizer", pre_tokenizer_of(name)},
                 {"post_processor", byte_level(false)}};
    Json model = {{"type", "BPE"},
                  {"dropout", nullptr},
                  {"unk_token", nullptr},
                  {"continuing_subword_prefix", name == "gpt-2" ? Json("") : Json(nullptr)},
                  {"fuse_unk", false},
                  {"byte_fallback", false},
                  {"ignore_merges", is_llama}};
    if (is_llama) {
        json["post_processor"] =
            sequence("processors", {byte_level(true), begin_template("<|begin_of_text|>", 128000)});
    }
    if (name == "qwen2") { json["normalizer"] = {{"type", "NFC"}}; }
    if (name == "gpt-2") { model.erase("type"); }  // as that file has none
    CheckpointFolder folder;
    folder.write("tokenizer.json", tokenizer_json(json, model, parts));
    folder.write("tokenizer_config.json", config_of(expected.metadata).dump());
    const uint32_t n_vocab = uint32_t(expected.metadata.strings("tokenizer.ggml.tokens")->size());
    const gguf::File ours = converted(folder, n_vocab, name);
    expect_same_keys(ours.metadata, expected.metadata);
    EXPECT_EQ(*ours.metadata.boolean("tokenizer.ggml.add_bos_token"), is_llama || name == "deepseek-llm");
    expect_same_ids(*load(ours.metadata), *load(expected.metadata), stem);
}

INSTANTIATE_TEST_SUITE_P(Hf, HfByteLevelGolden,
                         ::testing::Values("gpt-2", "qwen2", "llama-bpe", "deepseek-llm", "falcon"),
                         [](const auto& param) {
                             std::string name = param.param;
                             std::erase(name, '-');
                             return name;
                         });

// Merges whose order no scores can tell.
TEST(HfVocabularyGolden, Gemma4sTokenizerJson) {
    WALLABY_NEED_DATA(data);
    const std::string stem = (data / "vocab/gemma-4").string();
    const gguf::File expected = open(stem + ".gguf");
    const Parts parts = parts_of(expected.metadata, true);
    const Json json = {
        {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}},
        {"pre_tokenizer",
         {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}}},
        {"post_processor", begin_template("<bos>", 2)}};
    const Json model = {{"type", "BPE"}, {"unk_token", "<unk>"}, {"byte_fallback", true}};
    CheckpointFolder folder;
    folder.write("tokenizer.json", tokenizer_json(json, model, parts));
    folder.write("tokenizer_config.json", config_of(expected.metadata).dump());
    const gguf::File ours = converted(folder, 262144, "gemma");
    for (const gguf::Metadata::Entry& entry : expected.metadata.entries()) {
        if (!entry.key.starts_with("tokenizer.") || entry.key == "tokenizer.ggml.scores") { continue; }
        expect_same_key(ours.metadata, expected.metadata, entry.key);
    }
    expect_same_ids(*load(ours.metadata), *load(expected.metadata), stem);
}

TEST(HfVocabularyGolden, BertsTokenizerJson) {
    WALLABY_NEED_DATA(data);
    const std::string stem = (data / "vocab/bert-bge").string();
    const gguf::File expected = open(stem + ".gguf");
    const Parts parts = parts_of(expected.metadata, false, [](const std::string& text) {  // as the model's own file
        if (text.starts_with("\u2581")) { return text.substr(3); }
        return text.starts_with('[') && text.ends_with(']') ? text : "##" + text;
    });
    const auto special = [](const char* text) { return Json{{"SpecialToken", {{"id", text}, {"type_id", 0}}}}; };
    const Json json = {
        {"normalizer",
         {{"type", "BertNormalizer"},
          {"clean_text", true},
          {"handle_chinese_chars", true},
          {"strip_accents", nullptr},
          {"lowercase", true}}},
        {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
        {"post_processor",
         {{"type", "TemplateProcessing"},
          {"single", {special("[CLS]"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, special("[SEP]")}}}}};
    const Json model = {{"type", "WordPiece"},
                        {"unk_token", "[UNK]"},
                        {"continuing_subword_prefix", "##"},
                        {"max_input_chars_per_word", 100}};
    CheckpointFolder folder;
    folder.write("tokenizer.json", tokenizer_json(json, model, parts));
    folder.write("tokenizer_config.json", config_of(expected.metadata).dump());
    const gguf::File ours = converted(folder, 30522, "bge");
    for (const char* key : {"model", "tokens", "token_type", "unknown_token_id", "seperator_token_id",
                            "padding_token_id", "cls_token_id", "mask_token_id"}) {
        expect_same_key(ours.metadata, expected.metadata, std::string("tokenizer.ggml.") + key);
    }
    expect_same_ids(*load(ours.metadata), *load(expected.metadata), stem);
}

}  // namespace
