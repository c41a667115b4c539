// Which tokens begin and end texts and turns: from the file's keys, else from how the token is spelled. Files often
// name only one end token although the model has several, so spelling decides about the rest.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "text/vocabulary.h"

namespace wallaby::text {

namespace {

constexpr int32_t no_role = -1;

struct RoleKey {
    Role role;
    std::string_view key;  // after "tokenizer.ggml."
};
// Later rows are older spellings: they fill what is still empty. "seperator" is how the format spells it.
constexpr RoleKey role_keys[] = {
    {Role::bos, "bos_token_id"},         {Role::eos, "eos_token_id"},         {Role::eot, "eot_token_id"},
    {Role::eom, "eom_token_id"},         {Role::unk, "unknown_token_id"},     {Role::sep, "seperator_token_id"},
    {Role::pad, "padding_token_id"},     {Role::mask, "mask_token_id"},       {Role::fim_pre, "fim_pre_token_id"},
    {Role::fim_suf, "fim_suf_token_id"}, {Role::fim_mid, "fim_mid_token_id"}, {Role::fim_pad, "fim_pad_token_id"},
    {Role::fim_rep, "fim_rep_token_id"}, {Role::fim_sep, "fim_sep_token_id"}, {Role::fim_pre, "prefix_token_id"},
    {Role::fim_suf, "suffix_token_id"},  {Role::fim_mid, "middle_token_id"},  {Role::bos, "cls_token_id"},
};

struct RoleName {
    Role role;
    std::string_view text;
};
// Tokens that every vocabulary of a scheme has by this name, whether a key says so or not.
struct SchemeDefault {
    Scheme scheme;
    Role role;
    std::string_view text;
};
constexpr SchemeDefault scheme_defaults[] = {
    {Scheme::wordpiece, Role::bos, "[CLS]"},   {Scheme::wordpiece, Role::sep, "[SEP]"},
    {Scheme::wordpiece, Role::unk, "[UNK]"},   {Scheme::wordpiece, Role::pad, "[PAD]"},
    {Scheme::wordpiece, Role::mask, "[MASK]"}, {Scheme::unigram, Role::eos, "</s>"},
    {Scheme::unigram, Role::unk, "<unk>"},     {Scheme::unigram, Role::pad, "<pad>"},
};

// Spellings that give a role no key has given, the first that exists winning.
constexpr RoleName role_names[] = {
    {Role::eot, "<|eot_id|>"},
    {Role::eot, "<|im_end|>"},
    {Role::eot, "<|end|>"},
    {Role::eot, "<end_of_turn>"},
    {Role::eot, "<|endoftext|>"},
    {Role::eot, "<|end_of_text|>"},
    {Role::eot, "<EOT>"},
    {Role::eot, "_<EOT>"},
    {Role::eot, "[EOT]"},
    {Role::eot, "<｜end▁of▁sentence｜>"},
    {Role::eot, "<end_of_utterance>"},
    {Role::eom, "<|eom_id|>"},
    {Role::fim_pre, "<|fim_prefix|>"},
    {Role::fim_pre, "<fim-prefix>"},
    {Role::fim_pre, "<fim_prefix>"},
    {Role::fim_pre, "<｜fim▁begin｜>"},
    {Role::fim_pre, "<PRE>"},
    {Role::fim_pre, "▁<PRE>"},
    {Role::fim_pre, "<|code_prefix|>"},
    {Role::fim_pre, "<|prefix|>"},
    {Role::fim_suf, "<|fim_suffix|>"},
    {Role::fim_suf, "<fim-suffix>"},
    {Role::fim_suf, "<fim_suffix>"},
    {Role::fim_suf, "<｜fim▁hole｜>"},
    {Role::fim_suf, "<SUF>"},
    {Role::fim_suf, "▁<SUF>"},
    {Role::fim_suf, "<|code_suffix|>"},
    {Role::fim_suf, "<|suffix|>"},
    {Role::fim_mid, "<|fim_middle|>"},
    {Role::fim_mid, "<fim-middle>"},
    {Role::fim_mid, "<fim_middle>"},
    {Role::fim_mid, "<｜fim▁end｜>"},
    {Role::fim_mid, "<MID>"},
    {Role::fim_mid, "▁<MID>"},
    {Role::fim_mid, "<|code_middle|>"},
    {Role::fim_mid, "<|middle|>"},
    {Role::fim_pad, "<|fim_pad|>"},
    {Role::fim_pad, "<fim-pad>"},
    {Role::fim_pad, "<fim_pad>"},
    {Role::fim_pad, "<PAD>"},
    {Role::fim_pad, "[PAD]"},
    {Role::fim_rep, "<|fim_repo|>"},
    {Role::fim_rep, "<|repo_name|>"},
    {Role::fim_rep, "<fim-repo>"},
    {Role::fim_rep, "<REPO>"},
    {Role::fim_rep, "<reponame>"},
    {Role::fim_sep, "<|file_sep|>"},
};

// Spellings that end a generation, whatever the file's keys say.
constexpr std::string_view end_names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
};

// Roles whose token ends a generation: what follows it is another turn, document or file.
constexpr Role end_roles[] = {Role::eos, Role::eot, Role::eom, Role::fim_pad, Role::fim_rep, Role::fim_sep};

// Where all of `present` are tokens, `not_an_end` only separates parts of one turn.
struct EndException {
    std::string_view present[2];
    std::string_view not_an_end;
};
constexpr EndException end_exceptions[] = {
    {{"<|return|>", "<|call|>"}, "<|end|>"},
    {{"<|return|>", "<|calls|>"}, "<|end|>"},
    {{"<|flush|>", "<|call|>"}, "<|end|>"},
    {{"<|flush|>", "<|calls|>"}, "<|end|>"},
    {{"<|tool_response>", "<|tool_response>"}, "</s>"},
};

}  // namespace

Result<void> Vocabulary::load_roles(const gguf::Metadata& metadata) {
    roles_.fill(no_role);
    if (scheme_ == Scheme::spm) {  // SentencePiece's own defaults
        if (n_tokens() > 0) { roles_[size_t(Role::unk)] = 0; }
        if (n_tokens() > 1) { roles_[size_t(Role::bos)] = 1; }
        if (n_tokens() > 2) { roles_[size_t(Role::eos)] = 2; }
    }
    for (const SchemeDefault& row : scheme_defaults) {
        if (row.scheme == scheme_) { roles_[size_t(row.role)] = find(row.text).value_or(no_role); }
    }
    std::array<bool, num_roles> given{};
    for (const RoleKey& row : role_keys) {
        const std::string key = fmt::format("tokenizer.ggml.{}", row.key);
        const gguf::Value* value = metadata.find(key);
        if (value == nullptr || given[size_t(row.role)]) { continue; }
        given[size_t(row.role)] = true;
        const bool is_minus_one = value->type != gguf::ValueType::array && value->integer() == -1;
        uint32_t id = UINT32_MAX;
        if (!is_minus_one) { WALLABY_TRY(id, metadata.u32(key)); }
        if (id != UINT32_MAX && id >= uint32_t(n_tokens())) {
            return metadata.error(ErrorCode::model, key,
                                  fmt::format("{} is not a token: the vocabulary has {}", id, n_tokens()));
        }
        roles_[size_t(row.role)] = id == UINT32_MAX ? no_role : int32_t(id);
        if (id == UINT32_MAX || has_types_) { continue; }
        if (row.role == Role::unk) { types_[id] = TokenType::unknown; }
        if (row.role == Role::bos || row.role == Role::eos || row.role == Role::eot) {
            types_[id] = TokenType::control;
        }
    }
    return {};
}

// A spelling alone makes no role: a word of the text may be spelled the same. Files without types leave only spelling.
bool Vocabulary::may_have_role(int32_t id) const {
    return type(id) == TokenType::control || type(id) == TokenType::user_defined || !has_types_;
}

// A token that has its role by spelling is a control token, so that text from outside cannot end a turn.
void Vocabulary::name_roles() {
    for (const RoleName& row : role_names) {
        if (roles_[size_t(row.role)] != no_role) { continue; }
        const auto id = find(row.text);
        if (!id || !may_have_role(*id)) { continue; }
        roles_[size_t(row.role)] = *id;
        types_[size_t(*id)] = TokenType::control;
    }
}

void Vocabulary::mark_end_of_generation() {
    is_eog_.assign(types_.size(), false);
    for (const Role end : end_roles) {
        if (const auto id = role(end)) { is_eog_[size_t(*id)] = true; }
    }
    for (const std::string_view text : end_names) {
        const auto id = find(text);
        if (!id || !may_have_role(*id)) { continue; }
        is_eog_[size_t(*id)] = true;
        types_[size_t(*id)] = TokenType::control;
    }
    const auto is_end = [&](std::string_view text) {
        const auto id = find(text);
        return id && is_eog_[size_t(*id)];
    };
    for (const EndException& row : end_exceptions) {
        if (!is_end(row.not_an_end) || find(row.not_an_end) == role(Role::eos)) { continue; }
        if (std::ranges::all_of(row.present, is_end)) { is_eog_[size_t(*find(row.not_an_end))] = false; }
    }
}

}  // namespace wallaby::text
