#include "convert/hf_vocabulary.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "convert/json_file.h"
#include "convert/sentencepiece.h"
#include "convert/tokenizer_json.h"

namespace wallaby::convert {
namespace {

using text::TokenType;

constexpr uint64_t max_template_bytes = uint64_t(1) << 22;  // real ones stay below 40 KB

// A file of the directory, once read.
struct File {
    std::string path;
    std::string text = {};
};

Result<std::optional<File>> read_if_there(const std::string& directory, std::string_view name, uint64_t max_bytes) {
    File file{.path = (std::filesystem::path(directory) / name).string()};
    std::error_code ignored;
    if (!std::filesystem::exists(file.path, ignored)) { return std::optional<File>(); }
    WALLABY_TRY(file.text, read_text_file(file.path, max_bytes));
    return std::optional(std::move(file));
}

struct JsonFile {
    std::string path;
    Json json;
};

// Without fields where it is absent.
Result<JsonFile> read_json_if_there(const std::string& directory, std::string_view name) {
    WALLABY_TRY(const auto file, read_if_there(directory, name, max_json_bytes));
    if (!file) { return JsonFile{"", Json::object()}; }
    WALLABY_TRY(Json json, parse_json(file->text, file->path));
    return JsonFile{file->path, std::move(json)};
}

Error refuse(const std::string& file, std::string field, std::string what) {
    return {ErrorCode::format, std::move(what), {file, fmt::format("field '{}'", field), {}}, ""};
}

// A token is named by its text or by an object with it.
Result<std::string> token_text(const Json& token, const std::string& file, std::string_view field) {
    const Json* text = token.is_object() ? find_field(token, "content") : &token;
    if (text == nullptr || !text->is_string()) {
        return refuse(file, std::string(field), "is neither a token's text nor an object with its content");
    }
    return text->get<std::string>();
}

// tokenizer_config.json and special_tokens_map.json name roles alike.
Result<void> read_roles(const JsonFile& file, VocabularyParts& parts) {
    for (const RoleName& row : role_names) {
        const Json* token = find_field(file.json, row.name);
        if (token == nullptr) { continue; }
        WALLABY_TRY(const std::string text, token_text(*token, file.path, row.name));
        if (!text.empty()) { parts.add_role(row.name, text, file.path); }
    }
    constexpr std::string_view others = "additional_special_tokens";
    const Json* list = find_field(file.json, others);
    if (list == nullptr) { return {}; }
    if (!list->is_array()) { return refuse(file.path, std::string(others), "is not an array"); }
    for (const Json& token : *list) {
        WALLABY_TRY(std::string text, token_text(token, file.path, others));
        parts.others.push_back(std::move(text));
    }
    return {};
}

// "added_tokens_decoder": tokens by their id, which is a string there.
Result<void> read_added_tokens(const JsonFile& config, VocabularyParts& parts) {
    const Json* tokens = find_field(config.json, "added_tokens_decoder");
    if (tokens == nullptr) { return {}; }
    if (!tokens->is_object()) { return refuse(config.path, "added_tokens_decoder", "is not an object"); }
    for (const auto& [id, token] : tokens->items()) {
        const std::string path = fmt::format("added_tokens_decoder.{:.40}", id);
        constexpr size_t max_digits = 9;
        if (id.empty() || id.size() > max_digits || id.find_first_not_of("0123456789") != std::string::npos) {
            return refuse(config.path, path, "is not an id");
        }
        WALLABY_TRY(std::string text, token_text(token, config.path, path));
        WALLABY_TRY(const bool is_special, boolean_field(token, "special", false, config.path, path + "."));
        parts.added.push_back({.id = std::stoull(id),
                               .text = std::move(text),
                               .type = is_special ? TokenType::control : TokenType::user_defined});
    }
    return {};
}

// added_tokens.json: ids by text. Other files know more of the same tokens.
Result<void> read_old_added_tokens(const std::string& directory, VocabularyParts& parts) {
    WALLABY_TRY(const auto file, read_if_there(directory, "added_tokens.json", max_json_bytes));
    if (!file) { return {}; }
    LongLists lists;
    WALLABY_TRY(const Json rest, parse_json(file->text, file->path, {}, &lists));
    std::vector<Token> added;
    for (ListedToken& token : lists.vocabulary) {
        added.push_back({.id = token.id, .text = std::move(token.text), .type = TokenType::user_defined});
    }
    parts.added.insert(parts.added.begin(), added.begin(), added.end());
    return {};
}

Result<void> read_policy(const JsonFile& config, VocabularyParts& parts) {
    const std::pair<std::string_view, std::optional<bool>*> fields[] = {{"add_bos_token", &parts.add_bos},
                                                                        {"add_eos_token", &parts.add_eos}};
    for (const auto& [name, place] : fields) {
        if (find_field(config.json, name) == nullptr) { continue; }
        WALLABY_TRY(*place, boolean_field(config.json, name, false, config.path, ""));
    }
    return {};
}

// --- Chat templates: one, or a list of them with names.

Result<void> read_named_templates(const JsonFile& file, const Json& list, VocabularyParts& parts) {
    for (const Json& entry : list) {
        ChatTemplate one;
        WALLABY_TRY(one.name, string_field(entry, "name", "", file.path, "chat_template[]."));
        WALLABY_TRY(one.text, string_field(entry, "template", "", file.path, "chat_template[]."));
        const auto is_plain = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        };
        if (one.name.empty() || !std::ranges::all_of(one.name, is_plain)) {
            return refuse(file.path, "chat_template[].name",
                          fmt::format("'{:.40}' cannot be part of a key: letters, digits and _ can", one.name));
        }
        parts.templates.push_back(std::move(one));
    }
    return {};
}

Result<void> read_template_field(const JsonFile& file, VocabularyParts& parts) {
    const Json* field = find_field(file.json, "chat_template");
    if (field == nullptr || !parts.templates.empty()) { return {}; }
    if (field->is_array()) { return read_named_templates(file, *field, parts); }
    WALLABY_TRY(std::string text, string_field(file.json, "chat_template", "", file.path, ""));
    parts.templates.push_back({"", std::move(text)});
    return {};
}

Result<void> read_templates(const std::string& directory, const JsonFile& config, VocabularyParts& parts) {
    WALLABY_TRY(auto jinja, read_if_there(directory, "chat_template.jinja", max_template_bytes));
    if (jinja) { parts.templates.push_back({"", std::move(jinja->text)}); }
    WALLABY_OK(read_template_field(config, parts));
    WALLABY_TRY(const JsonFile old, read_json_if_there(directory, "chat_template.json"));
    return read_template_field(old, parts);
}

// What stands around a text has these roles where no file says what has.
void name_surroundings(VocabularyParts& parts) {
    if (parts.before_text.size() == 1 && parts.find_role("cls_token") == nullptr) {
        parts.add_role("bos_token", parts.before_text.front(), parts.file);
    }
    if (parts.after_text.size() == 1 && parts.find_role("sep_token") == nullptr) {
        parts.add_role("eos_token", parts.after_text.front(), parts.file);
    }
}

// --- Vocabularies.

// Classes whose pre-tokenizer stands in Transformers' code alone (models/gpt2, models/qwen2).
struct TokenizerClass {
    std::string_view name, rule;
};
constexpr TokenizerClass classes[] = {{"GPT2Tokenizer", "gpt-2"}, {"Qwen2Tokenizer", "qwen2"}};

Result<VocabularyParts> read_pair(const File& vocab, const File& merges, const JsonFile& config) {
    WALLABY_TRY(std::string name, string_field(config.json, "tokenizer_class", "", config.path, ""));
    const std::string fast = "Fast";
    if (name.ends_with(fast)) { name.resize(name.size() - fast.size()); }
    const auto* const row = std::ranges::find(classes, name, &TokenizerClass::name);
    if (row != std::end(classes)) {
        return read_vocab_and_merges(vocab.text, vocab.path, merges.text, merges.path, row->rule);
    }
    return Error{
        ErrorCode::unsupported,
        fmt::format("does not say how words are cut, and tokenizer_config.json's tokenizer_class '{:.40}' does "
                    "not either",
                    name),
        {vocab.path, "", {}},
        "Put the model's tokenizer.json beside it"};
}

Result<VocabularyParts> read_vocabulary(const std::string& directory, const JsonFile& config) {
    WALLABY_TRY(const auto json, read_if_there(directory, "tokenizer.json", max_json_bytes));
    WALLABY_TRY(const auto model, read_if_there(directory, "tokenizer.model", max_sentencepiece_bytes));
    if (model) {
        const std::span bytes(reinterpret_cast<const uint8_t*>(model->text.data()), model->text.size());
        WALLABY_TRY(VocabularyParts parts, read_sentencepiece(bytes, model->path));
        if (json) { WALLABY_OK(add_from_tokenizer_json(json->text, json->path, parts)); }
        return parts;
    }
    if (json) { return read_tokenizer_json(json->text, json->path); }
    WALLABY_TRY(const auto vocab, read_if_there(directory, "vocab.json", max_json_bytes));
    WALLABY_TRY(const auto merges, read_if_there(directory, "merges.txt", max_json_bytes));
    if (vocab && merges) { return read_pair(*vocab, *merges, config); }
    return Error{ErrorCode::io,
                 "holds no tokenizer",
                 {directory, "", {}},
                 "It needs a tokenizer.model, a tokenizer.json, or a vocab.json with merges.txt"};
}

}  // namespace

Result<void> set_tokenizer(gguf::Draft& draft, const std::string& directory, const VocabularyOptions& options) {
    WALLABY_TRY(const JsonFile config, read_json_if_there(directory, "tokenizer_config.json"));
    WALLABY_TRY(const JsonFile specials, read_json_if_there(directory, "special_tokens_map.json"));
    WALLABY_TRY(VocabularyParts parts, read_vocabulary(directory, config));
    WALLABY_OK(read_old_added_tokens(directory, parts));
    WALLABY_OK(read_added_tokens(config, parts));
    // What these files say of roles counts more than what the vocabulary's own does.
    const std::vector<NamedRole> usual = std::move(parts.roles);
    parts.roles.clear();
    WALLABY_OK(read_roles(config, parts));
    WALLABY_OK(read_roles(specials, parts));
    for (const NamedRole& role : usual) { parts.add_role(role.name, role.text, role.file); }
    name_surroundings(parts);
    WALLABY_OK(read_policy(config, parts));
    WALLABY_OK(read_templates(directory, config, parts));
    return write_vocabulary(draft, parts, options.n_vocab);
}

}  // namespace wallaby::convert
