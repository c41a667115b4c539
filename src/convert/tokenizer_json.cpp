#include "convert/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include "convert/base64.h"
#include "convert/json_file.h"
#include "convert/merges.h"
#include "convert/pretokenizer_name.h"
#include "text/space_mark.h"

namespace wallaby::convert {
namespace {

using text::space_mark;
using text::TokenType;

const ListPlaces places{.vocabulary = {"model", "vocab"}, .merges = {"model", "merges"}};

// A tokenizer.json, once read.
struct Source {
    const std::string& file;
    Json json = {};
    LongLists lists = {};

    const Json* field(std::string_view name) const { return find_field(json, name); }
    Error refuse(std::string field, std::string what, ErrorCode code = ErrorCode::unsupported) const {
        return {code, std::move(what), {file, fmt::format("field '{}'", field), {}}, ""};
    }
};

Result<Source> read_source(std::string_view text, const std::string& file) {
    Source source{.file = file};
    WALLABY_TRY(source.json, parse_json(text, file, places, &source.lists));
    return source;
}

// --- What all models have.

Result<void> add_added_tokens(const Source& source, VocabularyParts& parts) {
    const Json* list = source.field("added_tokens");
    if (list == nullptr) { return {}; }
    if (!list->is_array()) { return source.refuse("added_tokens", "is not an array", ErrorCode::format); }
    for (size_t i = 0; i < list->size(); i++) {
        const Json& entry = (*list)[i];
        const std::string path = fmt::format("added_tokens[{}].", i);
        const Json* id = find_field(entry, "id");
        if (id == nullptr || !id->is_number_unsigned()) {
            return source.refuse(path + "id", "is not an id", ErrorCode::format);
        }
        WALLABY_TRY(std::string content, string_field(entry, "content", "", source.file, path));
        WALLABY_TRY(const bool is_special, boolean_field(entry, "special", false, source.file, path));
        parts.added.push_back({.id = id->get<uint64_t>(),
                               .text = std::move(content),
                               .type = is_special ? TokenType::control : TokenType::user_defined});
    }
    return {};
}

// Tokens around a text, as TemplateProcessing lists them. GGUF has one place before it and two after.
Result<void> read_template(const Source& source, const Json& step, VocabularyParts& parts) {
    const auto refuse = [&](std::string what) { return source.refuse("post_processor.single", std::move(what)); };
    const Json* single = find_field(step, "single");
    if (single == nullptr || !single->is_array()) { return refuse("is not an array"); }
    bool after = false;
    for (const Json& part : *single) {
        if (find_field(part, "Sequence") != nullptr) {
            after = true;
            continue;
        }
        const Json* special = find_field(part, "SpecialToken");
        if (special == nullptr) { return refuse("has an element that is neither Sequence nor SpecialToken"); }
        WALLABY_TRY(std::string token, string_field(*special, "id", "", source.file, "post_processor.single[]."));
        auto& place = after ? parts.after_text : parts.before_text;
        place.push_back(std::move(token));
    }
    return {};
}

// BertProcessing and RobertaProcessing: [token, id] each.
Result<void> read_fixed_pair(const Source& source, const Json& step, VocabularyParts& parts) {
    for (const std::string name : {"cls", "sep"}) {
        const Json* pair = find_field(step, name);
        if (pair == nullptr || !pair->is_array() || pair->empty() || !pair->front().is_string()) {
            return source.refuse("post_processor." + name, "is not a token with its id", ErrorCode::format);
        }
        auto& place = name == "cls" ? parts.before_text : parts.after_text;
        place.push_back(pair->front().get<std::string>());
    }
    return {};
}

Result<void> read_post_processor(const Source& source, VocabularyParts& parts) {
    WALLABY_TRY(const auto steps,
                steps_of(source.field("post_processor"), "processors", source.file, "post_processor"));
    parts.says_what_surrounds = true;
    for (const Json* step : steps) {
        WALLABY_TRY(const std::string type, string_field(*step, "type", "", source.file, "post_processor."));
        if (type == "TemplateProcessing") {
            WALLABY_OK(read_template(source, *step, parts));
        } else if (type == "BertProcessing" || type == "RobertaProcessing") {
            WALLABY_OK(read_fixed_pair(source, *step, parts));
        } else if (type != "ByteLevel") {  // that one only says where tokens stand in the text
            return source.refuse("post_processor", fmt::format("has a step of the unknown kind '{:.40}'", type));
        }
    }
    return {};
}

Result<void> take_tokens(Source& source, bool with_scores, VocabularyParts& parts) {
    if (source.lists.vocabulary.empty()) { return source.refuse("model.vocab", "has no tokens", ErrorCode::format); }
    if (source.lists.has_scores != with_scores) {
        return source.refuse("model.vocab",
                             with_scores ? "is not an array of pieces with scores" : "is not an object of ids by text",
                             ErrorCode::format);
    }
    for (ListedToken& token : source.lists.vocabulary) {
        parts.tokens.push_back({.id = token.id, .text = std::move(token.text), .score = float(token.score)});
    }
    return {};
}

// The model's own token for what it does not know.
void mark_unknown(VocabularyParts& parts, std::string_view text) {
    for (Token& token : parts.tokens) {
        if (token.text == text) { token.type = TokenType::unknown; }
    }
    parts.add_role("unk_token", text, parts.file);
}

void mark_bytes(VocabularyParts& parts) {
    for (Token& token : parts.tokens) {
        if (text::spelled_byte(token.text)) { token.type = TokenType::byte; }
    }
}

// --- Spaces that become U+2581.

// What Replace replaces, if that is a literal ("String") or an expression ("Regex").
std::string_view replaced(const Json& step, std::string_view kind) {
    const Json* pattern = find_field(step, "pattern");
    const Json* text = pattern == nullptr ? nullptr : find_field(*pattern, kind);
    return text != nullptr && text->is_string() ? std::string_view(text->get_ref<const std::string&>()) : "";
}

struct Spaces {
    bool marked = false;  // spaces become marks
    bool prefix = false;  // before each text
    bool single = false;  // runs become one
    bool apart = false;   // no piece reaches over a space into the next word
};

Result<void> read_metaspace(const Source& source, const Json& step, std::string_view path, Spaces& spaces) {
    WALLABY_TRY(const std::string mark, string_field(step, "replacement", space_mark, source.file, path));
    WALLABY_TRY(const bool prefix, boolean_field(step, "add_prefix_space", true, source.file, path));
    WALLABY_TRY(const std::string scheme,
                string_field(step, "prepend_scheme", prefix ? "always" : "never", source.file, path));
    WALLABY_TRY(spaces.apart, boolean_field(step, "split", true, source.file, path));
    if (mark != space_mark) {
        return source.refuse(fmt::format("{}replacement", path),
                             fmt::format("is '{:.40}', not '{}'", mark, space_mark));
    }
    spaces.marked = true;
    // "first": not before what follows a special token. GGUF's readers know only all or none.
    spaces.prefix = spaces.prefix || scheme == "always" || scheme == "first";
    return {};
}

Result<void> read_normalizer(const Source& source, Spaces& spaces, VocabularyParts& parts) {
    constexpr std::string_view path = "normalizer.";
    WALLABY_TRY(const auto steps, steps_of(source.field("normalizer"), "normalizers", source.file, "normalizer"));
    for (const Json* step : steps) {
        WALLABY_TRY(const std::string type, string_field(*step, "type", "", source.file, path));
        if (type == "Prepend") {
            WALLABY_TRY(const std::string prefix, string_field(*step, "prepend", "", source.file, path));
            if (prefix != space_mark) { return source.refuse("normalizer.prepend", "is not U+2581"); }
            spaces.prefix = true;
        } else if (type == "Replace" && replaced(*step, "String") == " ") {
            WALLABY_TRY(const std::string content, string_field(*step, "content", "", source.file, path));
            if (content != space_mark) { return source.refuse("normalizer.content", "is not U+2581"); }
            spaces.marked = true;
        } else if (type == "Replace" && replaced(*step, "Regex") == " {2,}") {
            spaces.single = true;
        } else if (type == "Precompiled") {
            WALLABY_TRY(const std::string table, string_field(*step, "precompiled_charsmap", "", source.file, path));
            const auto bytes = decode_base64(table);
            if (!bytes) { return source.refuse("normalizer.precompiled_charsmap", "is not base64", ErrorCode::format); }
            parts.charsmap = *bytes;
        } else if (type != "Strip") {  // at a text's ends, where removing extra spaces has been
            return source.refuse("normalizer", fmt::format("has a step of the unknown kind '{:.40}'", type));
        }
    }
    return {};
}

Result<void> read_space_steps(const Source& source, Spaces& spaces) {
    constexpr std::string_view path = "pre_tokenizer.";
    WALLABY_TRY(const auto steps,
                steps_of(source.field("pre_tokenizer"), "pretokenizers", source.file, "pre_tokenizer"));
    for (const Json* step : steps) {
        WALLABY_TRY(const std::string type, string_field(*step, "type", "", source.file, path));
        if (type == "Metaspace") {
            WALLABY_OK(read_metaspace(source, *step, path, spaces));
        } else if (type == "WhitespaceSplit") {
            spaces.single = true;
        } else if (!(type == "Split" && replaced(*step, "String") == " " && spaces.marked)) {
            // That one finds nothing: no spaces are left where they have become marks.
            return source.refuse("pre_tokenizer", fmt::format("has a step of the unknown kind '{:.40}'", type));
        }
    }
    return {};
}

// --- Models.

// Byte-level BPE. NFC is done to a text before it by some (Qwen's); GGUF's readers leave texts as they are.
Result<void> read_byte_level(Source& source, VocabularyParts& parts) {
    WALLABY_TRY(const auto steps, steps_of(source.field("normalizer"), "normalizers", source.file, "normalizer"));
    for (const Json* step : steps) {
        WALLABY_TRY(const std::string type, string_field(*step, "type", "", source.file, "normalizer."));
        if (type != "NFC") {
            return source.refuse("normalizer", fmt::format("has a step of the unknown kind '{:.40}'", type));
        }
    }
    const Json* pre_tokenizer = source.field("pre_tokenizer");
    if (pre_tokenizer == nullptr) {
        return source.refuse("pre_tokenizer", "is missing, and the model falls back on no bytes");
    }
    WALLABY_TRY(const bool whole_words,
                boolean_field(source.json["model"], "ignore_merges", false, source.file, "model."));
    WALLABY_TRY(parts.pre, pretokenizer_name(*pre_tokenizer, whole_words, source.file));
    parts.model = "gpt2";
    return {};
}

// BPE over characters: SentencePiece's, written as merges. Scores say the same where every two neighbours that make a
// token may merge; else the order of merges counts, which GGUF knows without a prefix only.
Result<void> read_char_level(Source& source, VocabularyParts& parts) {
    Spaces spaces;
    WALLABY_OK(read_normalizer(source, spaces, parts));
    WALLABY_OK(read_space_steps(source, spaces));
    if (!spaces.marked || spaces.single || !parts.charsmap.empty()) {
        return source.refuse("normalizer", "does to spaces what GGUF's BPE over characters does not");
    }
    if (spaces.apart && has_inner_space(parts.tokens)) {
        return source.refuse("pre_tokenizer.split", "keeps words apart that the vocabulary joins");
    }
    mark_bytes(parts);
    WALLABY_TRY(const bool scores_say_all, set_merge_scores(parts));
    parts.space_prefix = spaces.prefix;
    if (scores_say_all) {
        parts.model = "llama";
        parts.pre = "default";
        parts.has_scores = true;
        parts.merges.clear();
        return {};
    }
    if (spaces.prefix) {
        return source.refuse("model.merges",
                             "are not in the order of the tokens they make, and a space is put before "
                             "texts: GGUF has one or the other");
    }
    parts.model = "gemma4";
    return {};
}

Result<void> read_bpe(Source& source, VocabularyParts& parts) {
    const Json& model = source.json["model"];
    for (const std::string_view name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        WALLABY_TRY(const std::string affix, string_field(model, name, "", source.file, "model."));
        if (!affix.empty()) { return source.refuse(fmt::format("model.{}", name), "is not empty"); }
    }
    WALLABY_OK(take_tokens(source, false, parts));
    parts.merges = std::move(source.lists.merges);
    if (parts.merges.empty()) { return source.refuse("model.merges", "has no merges", ErrorCode::format); }
    WALLABY_TRY(const bool falls_back, boolean_field(model, "byte_fallback", false, source.file, "model."));
    WALLABY_TRY(const std::string unknown, string_field(model, "unk_token", "", source.file, "model."));
    if (!falls_back) {
        if (!unknown.empty()) { parts.add_role("unk_token", unknown, parts.file); }
        return read_byte_level(source, parts);
    }
    mark_unknown(parts, unknown);
    return read_char_level(source, parts);
}

Result<void> read_unigram(Source& source, VocabularyParts& parts) {
    WALLABY_OK(take_tokens(source, true, parts));
    const Json& model = source.json["model"];
    if (const Json* unknown = find_field(model, "unk_id")) {
        const uint64_t id = unknown->is_number_unsigned() ? unknown->get<uint64_t>() : UINT64_MAX;
        if (id >= parts.tokens.size()) { return source.refuse("model.unk_id", "is not a token", ErrorCode::model); }
        mark_unknown(parts, std::string(parts.tokens[id].text));
    }
    WALLABY_TRY(const bool falls_back, boolean_field(model, "byte_fallback", false, source.file, "model."));
    if (falls_back) { mark_bytes(parts); }
    Spaces spaces;
    WALLABY_OK(read_normalizer(source, spaces, parts));
    WALLABY_OK(read_space_steps(source, spaces));
    if (!spaces.marked) { return source.refuse("pre_tokenizer", "does not mark spaces with U+2581"); }
    parts.model = "t5";
    parts.has_scores = true;
    parts.space_prefix = spaces.prefix;
    parts.remove_extra_spaces = spaces.single;
    return {};
}

// GGUF spells pieces that begin a word with a mark before them, and the others without the "##".
void respell_word_pieces(std::vector<Token>& tokens) {
    for (Token& token : tokens) {
        const std::string& text = token.text;
        if (text.starts_with("##")) {
            token.text = text.substr(2);
        } else if (!(text.starts_with('[') && text.ends_with(']'))) {
            token.text = fmt::format("{}{}", space_mark, text);
        }
    }
}

Result<void> read_wordpiece(Source& source, VocabularyParts& parts) {
    const Json& model = source.json["model"];
    WALLABY_OK(take_tokens(source, false, parts));
    WALLABY_TRY(const std::string prefix,
                string_field(model, "continuing_subword_prefix", "##", source.file, "model."));
    if (prefix != "##") { return source.refuse("model.continuing_subword_prefix", "is not '##'"); }
    for (const auto& [name, kind] :
         {std::pair{"normalizer", "BertNormalizer"}, {"pre_tokenizer", "BertPreTokenizer"}}) {
        const Json* step = source.field(name);
        if (step == nullptr) { return source.refuse(name, fmt::format("is missing, but {} is required", kind)); }
        WALLABY_TRY(const std::string type, string_field(*step, "type", "", source.file, fmt::format("{}.", name)));
        if (type != kind) { return source.refuse(name, fmt::format("is not {}", kind)); }
    }
    const Json& normalizer = *source.field("normalizer");
    constexpr std::string_view path = "normalizer.";
    for (const std::string_view name : {"clean_text", "handle_chinese_chars"}) {
        WALLABY_TRY(const bool does, boolean_field(normalizer, name, true, source.file, path));
        if (!does) { return source.refuse(fmt::format("{}{}", path, name), "is false"); }
    }
    WALLABY_TRY(parts.lower_case, boolean_field(normalizer, "lowercase", true, source.file, path));
    WALLABY_TRY(parts.strip_accents, boolean_field(normalizer, "strip_accents", *parts.lower_case, source.file, path));
    WALLABY_TRY(const std::string unknown, string_field(model, "unk_token", "[UNK]", source.file, "model."));
    parts.add_role("unk_token", unknown, parts.file);
    respell_word_pieces(parts.tokens);
    parts.model = "bert";
    return {};
}

// Old files do not name the model, which its fields give away.
std::string guess_model(const Source& source) {
    if (!source.lists.merges.empty()) { return "BPE"; }
    return source.lists.has_scores ? "Unigram" : "WordPiece";
}

}  // namespace

Result<VocabularyParts> read_tokenizer_json(std::string_view text, const std::string& file) {
    WALLABY_TRY(Source source, read_source(text, file));
    const Json* model = source.field("model");
    if (model == nullptr || !model->is_object()) {
        return source.refuse("model", "is not an object", ErrorCode::format);
    }
    WALLABY_TRY(const std::string type, string_field(*model, "type", guess_model(source), file, "model."));
    VocabularyParts parts(file);
    WALLABY_OK(add_added_tokens(source, parts));
    if (type == "BPE") {
        WALLABY_OK(read_bpe(source, parts));
    } else if (type == "Unigram") {
        WALLABY_OK(read_unigram(source, parts));
    } else if (type == "WordPiece") {
        WALLABY_OK(read_wordpiece(source, parts));
    } else {
        return source.refuse("model.type", fmt::format("is '{:.40}': BPE, Unigram and WordPiece are known", type));
    }
    WALLABY_OK(read_post_processor(source, parts));
    return parts;
}

Result<void> add_from_tokenizer_json(std::string_view text, const std::string& file, VocabularyParts& parts) {
    WALLABY_TRY(const Source source, read_source(text, file));
    WALLABY_OK(add_added_tokens(source, parts));
    return read_post_processor(source, parts);
}

Result<VocabularyParts> read_vocab_and_merges(std::string_view vocab, const std::string& vocab_file,
                                              std::string_view merges, const std::string& merges_file,
                                              std::string_view rule) {
    VocabularyParts parts(vocab_file, "gpt2");
    parts.pre = rule;
    parts.roles_are_control = true;
    LongLists lists;
    WALLABY_TRY(const Json rest, parse_json(vocab, vocab_file, {}, &lists));
    for (ListedToken& token : lists.vocabulary) {
        parts.tokens.push_back({.id = token.id, .text = std::move(token.text)});
    }
    WALLABY_TRY(parts.merges, read_merges_text(merges, merges_file));
    return parts;
}

}  // namespace wallaby::convert
