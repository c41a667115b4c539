#include "convert/vocabulary_parts.h"

#include <algorithm>

#include "text/pieces.h"
#include "text/space_mark.h"

namespace wallaby::convert {
namespace {

using text::TokenType;

Error refuse(const std::string& file, std::string field, std::string what, ErrorCode code = ErrorCode::model) {
    return {code, std::move(what), {file, std::move(field), {}}, ""};
}

// The tokens in the order of their ids.
class Placed {
  public:
    static Result<Placed> create(const VocabularyParts& parts, uint32_t n_vocab);

    const std::vector<Token>& tokens() const { return tokens_; }
    Token* find(std::string_view text) {
        const auto id = index_.find(texts_, text);
        return id ? &tokens_[size_t(*id)] : nullptr;
    }

  private:
    explicit Placed(const VocabularyParts& parts) : parts_(parts) {}
    Result<void> reserve(uint32_t n_vocab);
    Result<void> put(const Token& token);
    Result<void> put_added(const Token& token);

    const VocabularyParts& parts_;
    std::vector<Token> tokens_;
    std::vector<bool> is_taken_;
    text::Pieces texts_;
    text::PieceIndex index_;
};

Result<Placed> Placed::create(const VocabularyParts& parts, uint32_t n_vocab) {
    Placed placed(parts);
    WALLABY_OK(placed.reserve(n_vocab));
    for (const Token& token : parts.tokens) { WALLABY_OK(placed.put(token)); }
    for (const Token& token : parts.added) { WALLABY_OK(placed.put_added(token)); }
    for (const Token& token : placed.tokens_) {
        placed.texts_.add(token.text);
        placed.index_.insert(placed.texts_, int32_t(token.id));
    }
    return placed;
}

Result<void> Placed::reserve(uint32_t n_vocab) {
    uint64_t highest = 0;
    for (const auto* list : {&parts_.tokens, &parts_.added}) {
        for (const Token& token : *list) { highest = std::max(highest, token.id); }
    }
    const uint64_t n = n_vocab != 0 ? n_vocab : parts_.tokens.size() + parts_.added.size();
    if (highest >= n) {
        const std::string room = n_vocab != 0 ? fmt::format("the embedding has {} rows", n)
                                              : fmt::format("there are {} tokens, and no padding is asked for", n);
        return refuse(parts_.file, "", fmt::format("has a token of id {}, but {}", highest, room));
    }
    if (n > max_listed_tokens) {
        return refuse(parts_.file, "", fmt::format("is to have {} tokens, more than {}", n, max_listed_tokens),
                      ErrorCode::unsupported);
    }
    const uint64_t n_tokens = n_vocab != 0 ? n : highest + 1;
    is_taken_.resize(n_tokens);
    tokens_.reserve(n_tokens);
    for (uint64_t id = 0; id < n_tokens; id++) {
        tokens_.push_back({.id = id, .text = fmt::format("[PAD{}]", id), .type = TokenType::unused});
    }
    return {};
}

Result<void> Placed::put(const Token& token) {
    if (is_taken_[token.id]) {
        return refuse(
            parts_.file, "",
            fmt::format("gives the id {} to '{:.200}' and to '{:.200}'", token.id, tokens_[token.id].text, token.text));
    }
    is_taken_[token.id] = true;
    tokens_[token.id] = token;
    return {};
}

Result<void> Placed::put_added(const Token& token) {
    Token& place = tokens_[token.id];
    std::string text = token.text;
    if (token.type == TokenType::user_defined && parts_.space_prefix) { text = with_spaces(token.text); }
    if (is_taken_[token.id] && place.text != text && place.text != token.text && !parts_.added_may_rename) {
        return refuse(parts_.file, "",
                      fmt::format("gives the id {} to '{:.200}' and to the added token '{:.200}'", token.id, place.text,
                                  token.text));
    }
    // What is unknown stays so; it is no less special.
    if (place.type != TokenType::unknown || place.text != token.text) { place.type = token.type; }
    place.text = std::move(text);
    is_taken_[token.id] = true;
    return {};
}

void mark_control(const VocabularyParts& parts, Placed& placed) {
    const auto mark = [&](std::string_view text) {
        Token* const token = placed.find(text);
        if (token == nullptr) { return; }
        const bool is_word = token->type == TokenType::normal && parts.roles_are_control;
        if (token->type == TokenType::user_defined || is_word) { token->type = TokenType::control; }
    };
    for (const NamedRole& role : parts.roles) { mark(role.text); }
    for (const std::string& text : parts.others) { mark(text); }
}

void write_tokens(gguf::Draft& draft, const VocabularyParts& parts, const Placed& placed) {
    std::vector<std::string> texts;
    std::vector<float> scores;
    std::vector<int32_t> types;
    for (const Token& token : placed.tokens()) {
        texts.push_back(token.text);
        scores.push_back(token.score);
        types.push_back(int32_t(token.type));
    }
    draft.set("tokenizer.ggml.model", parts.model);
    if (!parts.pre.empty()) { draft.set("tokenizer.ggml.pre", parts.pre); }
    draft.set_array("tokenizer.ggml.tokens", texts);
    if (parts.has_scores) { draft.set_array<float>("tokenizer.ggml.scores", scores); }
    draft.set_array<int32_t>("tokenizer.ggml.token_type", types);
    if (!parts.merges.empty()) { draft.set_array("tokenizer.ggml.merges", parts.merges); }
}

Result<void> write_roles(gguf::Draft& draft, const VocabularyParts& parts, Placed& placed) {
    for (const RoleName& row : role_names) {
        const NamedRole* role = parts.find_role(row.name);
        if (role == nullptr) { continue; }
        const Token* token = placed.find(role->text);
        if (token == nullptr) {
            return refuse(role->file, fmt::format("field '{}'", row.name),
                          fmt::format("'{:.200}' is not a token", role->text));
        }
        draft.set(row.key, uint32_t(token->id));
    }
    return {};
}

struct Surroundings {
    bool bos = false, eos = false, sep = false;
};

// GGUF has one place before a text, for BOS or what a model has instead, and after it one each for SEP and EOS.
Result<Surroundings> read_surroundings(const VocabularyParts& parts) {
    Surroundings out;
    const auto is_role = [&](std::string_view name, std::string_view text) {
        const NamedRole* role = parts.find_role(name);
        return role != nullptr && role->text == text;
    };
    const auto no_place = [&](std::string_view where, const std::string& text) {
        return refuse(parts.file, "field 'post_processor'",
                      fmt::format("puts '{:.200}' {} a text, for which GGUF has no place", text, where),
                      ErrorCode::unsupported);
    };
    for (const std::string& text : parts.before_text) {
        if (out.bos || !(is_role("bos_token", text) || is_role("cls_token", text))) { return no_place("before", text); }
        out.bos = true;
    }
    for (const std::string& text : parts.after_text) {
        if (!out.eos && is_role("eos_token", text)) {
            out.eos = true;
        } else if (!out.sep && !out.eos && is_role("sep_token", text)) {
            out.sep = true;
        } else {
            return no_place("after", text);
        }
    }
    return out;
}

Result<void> write_surroundings(gguf::Draft& draft, const VocabularyParts& parts) {
    WALLABY_TRY(const Surroundings found, read_surroundings(parts));
    const auto write = [&](const char* key, std::optional<bool> said, bool is_found) {
        if (said || parts.says_what_surrounds) { draft.set(key, said.value_or(is_found)); }
    };
    write("tokenizer.ggml.add_bos_token", parts.add_bos, found.bos);
    write("tokenizer.ggml.add_eos_token", parts.add_eos, found.eos);
    if (parts.says_what_surrounds && (found.sep || parts.model == "bert")) {
        draft.set("tokenizer.ggml.add_sep_token", found.sep);
    }
    return {};
}

// GGUF has a key for each named template, and a list of the names.
void write_templates(gguf::Draft& draft, const std::vector<ChatTemplate>& templates) {
    std::vector<std::string> names;
    for (const ChatTemplate& entry : templates) {
        if (entry.name.empty() || entry.name == "default") {
            draft.set("tokenizer.chat_template", entry.text);
            continue;
        }
        names.push_back(entry.name);
        draft.set(fmt::format("tokenizer.chat_template.{}", entry.name), entry.text);
    }
    if (!names.empty()) { draft.set_array("tokenizer.chat_templates", names); }
}

}  // namespace

std::string with_spaces(std::string_view text) {
    std::string out;
    text::append_reading_spaces(text, out);
    return out;
}

Result<void> write_vocabulary(gguf::Draft& draft, const VocabularyParts& parts, uint32_t n_vocab) {
    WALLABY_TRY(Placed placed, Placed::create(parts, n_vocab));
    mark_control(parts, placed);
    write_tokens(draft, parts, placed);
    WALLABY_OK(write_roles(draft, parts, placed));
    WALLABY_OK(write_surroundings(draft, parts));
    const auto write = [&](const char* key, std::optional<bool> value) {
        if (value) { draft.set(key, *value); }
    };
    write("tokenizer.ggml.add_space_prefix", parts.space_prefix);
    write("tokenizer.ggml.remove_extra_whitespaces", parts.remove_extra_spaces);
    write("tokenizer.ggml.normalizer.lowercase", parts.lower_case);
    write("tokenizer.ggml.normalizer.strip_accents", parts.strip_accents);
    if (!parts.charsmap.empty()) {
        const std::span bytes(reinterpret_cast<const uint8_t*>(parts.charsmap.data()), parts.charsmap.size());
        draft.set_array<uint8_t>("tokenizer.ggml.precompiled_charsmap", bytes);
    }
    write_templates(draft, parts.templates);
    return {};
}

}  // namespace wallaby::convert
