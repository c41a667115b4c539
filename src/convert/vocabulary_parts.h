// What a checkpoint's files say of its tokenizer, in GGUF's terms, before it is written.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/writer.h"
#include "text/vocabulary.h"

namespace wallaby::convert {

// Of tokens that stand in no vocabulary of scores: below all that do, as converters write it.
inline constexpr float no_score = -1000;

inline constexpr uint32_t max_listed_tokens = 1u << 21;  // real vocabularies have up to 262,400

struct Token {
    uint64_t id = 0;
    std::string text = {};
    text::TokenType type = text::TokenType::normal;
    float score = no_score;
};

// Roles that files give by a token's text, with the key in GGUF that says so by id.
struct RoleName {
    std::string_view name;  // in tokenizer_config.json
    std::string_view key;
};
inline constexpr RoleName role_names[] = {
    {"bos_token", "tokenizer.ggml.bos_token_id"},     {"eos_token", "tokenizer.ggml.eos_token_id"},
    {"unk_token", "tokenizer.ggml.unknown_token_id"}, {"sep_token", "tokenizer.ggml.seperator_token_id"},
    {"pad_token", "tokenizer.ggml.padding_token_id"}, {"cls_token", "tokenizer.ggml.cls_token_id"},
    {"mask_token", "tokenizer.ggml.mask_token_id"},
};

struct NamedRole {
    std::string name;
    std::string text;
    std::string file;  // that says so
};
struct ChatTemplate {
    std::string name;  // "": the one for chats without further ado
    std::string text;
};

struct VocabularyParts {
    // `vocabulary_file` is the one with the vocabulary, `ggml_model` the value of tokenizer.ggml.model.
    explicit VocabularyParts(std::string vocabulary_file, std::string ggml_model = "")
        : file(std::move(vocabulary_file)), model(std::move(ggml_model)) {}

    std::string file;
    std::string model;
    std::string pre;  // tokenizer.ggml.pre; "" for models that have none
    std::vector<Token> tokens;
    std::vector<Token> added;       // beside the vocabulary or on top of it; of one id, the last counts
    bool added_may_rename = false;  // they may stand for another text than the vocabulary's
    bool has_scores = false;
    std::vector<std::string> merges;
    std::vector<NamedRole> roles;     // of one name, the first counts
    std::vector<std::string> others;  // texts of special tokens without a role
    bool roles_are_control = false;   // no other file says what is a control token
    // What an encoder puts around a text, by the tokens' texts.
    bool says_what_surrounds = false;
    std::vector<std::string> before_text, after_text;
    std::optional<bool> add_bos, add_eos;  // what tokenizer_config.json says of it, which counts more
    std::optional<bool> space_prefix;      // of models that spell spaces U+2581
    std::optional<bool> remove_extra_spaces, lower_case, strip_accents;
    std::string charsmap;
    std::vector<ChatTemplate> templates;

    const NamedRole* find_role(std::string_view name) const {
        for (const NamedRole& role : roles) {
            if (role.name == name) { return &role; }
        }
        return nullptr;
    }
    void add_role(std::string_view name, std::string_view text, const std::string& said_by) {
        if (find_role(name) == nullptr) { roles.push_back({std::string(name), std::string(text), said_by}); }
    }
};

// The text of a token that is found in texts as they are, where spaces are spaces and not U+2581.
std::string with_spaces(std::string_view text);

// Writes them as tokenizer.* keys, padded with unused tokens to n_vocab. Refuses, naming the file and the field: more
// tokens than max_listed_tokens, ids that repeat or are not below n_vocab (0: that leave gaps), roles of tokens that do
// not exist, and what stands around a text where GGUF has no place for it.
Result<void> write_vocabulary(gguf::Draft& draft, const VocabularyParts& parts, uint32_t n_vocab);

}  // namespace wallaby::convert
