#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "text/bpe.h"
#include "text/byte_level.h"
#include "text/char_bpe.h"
#include "text/space_cleaner.h"
#include "text/space_mark.h"
#include "text/spm.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace wallaby::text {

namespace {

constexpr std::string_view model_key = "tokenizer.ggml.model";
constexpr std::string_view pre_key = "tokenizer.ggml.pre";

constexpr std::pair<std::string_view, Scheme> schemes[] = {
    {"llama", Scheme::spm},      {"gpt2", Scheme::bpe},   {"gemma4", Scheme::char_bpe},
    {"bert", Scheme::wordpiece}, {"t5", Scheme::unigram},
};

// White space of ASCII, as the C locale has it.
bool is_ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

Result<Scheme> scheme_of(const gguf::Metadata& metadata) {
    WALLABY_TRY(const std::string_view name, metadata.string(model_key));
    std::string known;
    for (const auto& [text, scheme] : schemes) {
        if (text == name) { return scheme; }
        known += fmt::format("{}{}", known.empty() ? "" : ", ", text);
    }
    return metadata.error(ErrorCode::unsupported, model_key,
                          fmt::format("the tokenizer '{}' is not supported; known are {}", name, known));
}

// The phi-3 family was trained with special tokens that swallow the white space after them, all but these three.
// Nothing in the file says so but the model's name.
bool is_phi3(const gguf::Metadata& metadata) {
    const gguf::Value* value = metadata.find("general.name");
    if (value == nullptr || value->type != gguf::ValueType::string) { return false; }
    std::string name(value->text());
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
}
bool keeps_spaces_in_phi3(std::string_view text) { return text == "<unk>" || text == "<s>" || text == "<|endoftext|>"; }

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const gguf::Metadata& metadata) {
    WALLABY_TRY(const Scheme scheme, scheme_of(metadata));
    WALLABY_TRY(Vocabulary vocabulary, Vocabulary::load(metadata, scheme));
    std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(std::move(vocabulary)));
    WALLABY_OK(tokenizer->load_encoder(metadata));
    WALLABY_OK(tokenizer->load_policy(metadata));
    tokenizer->load_specials(metadata);
    return tokenizer;
}

Result<void> Tokenizer::load_encoder(const gguf::Metadata& metadata) {
    switch (scheme()) {
        case Scheme::spm: {
            WALLABY_TRY(space_prefix_, metadata.boolean_or("tokenizer.ggml.add_space_prefix", true));
            encoder_ = std::make_unique<SpmEncoder>(vocabulary_, space_prefix_);
            add_bos_ = true;
            return {};
        }
        case Scheme::bpe: return load_bpe(metadata);
        case Scheme::char_bpe: {
            WALLABY_TRY(encoder_, CharBpeEncoder::load(metadata, vocabulary_));
            add_bos_ = true;
            return {};
        }
        case Scheme::wordpiece: {
            WordPieceOptions options;
            WALLABY_TRY(options.lower_case, metadata.boolean_or("tokenizer.ggml.normalizer.lowercase", true));
            WALLABY_TRY(options.strip_accents,
                        metadata.boolean_or("tokenizer.ggml.normalizer.strip_accents", options.lower_case));
            encoder_ = std::make_unique<WordPieceEncoder>(vocabulary_, options);
            space_prefix_ = true;  // words are spelled with a space before them
            add_bos_ = add_sep_ = true;
            return {};
        }
        case Scheme::unigram: {
            UnigramOptions options;
            WALLABY_TRY(options.space_prefix, metadata.boolean_or("tokenizer.ggml.add_space_prefix", true));
            WALLABY_TRY(options.remove_extra_spaces,
                        metadata.boolean_or("tokenizer.ggml.remove_extra_whitespaces", true));
            WALLABY_TRY(encoder_, UnigramEncoder::load(metadata, vocabulary_, options));
            space_prefix_ = options.space_prefix;
            add_eos_ = true;
            return {};
        }
    }
    return {};
}

Result<void> Tokenizer::load_bpe(const gguf::Metadata& metadata) {
    WALLABY_TRY(const std::string_view name, metadata.string_or(pre_key, "default"));
    const PretokenizerRule* rule = find_pretokenizer_rule(name);
    if (rule == nullptr) {
        return metadata.error(
            ErrorCode::unsupported, pre_key,
            fmt::format("the pre-tokenizer '{}' is not supported; known are {}", name, pretokenizer_names()));
    }
    WALLABY_TRY(encoder_, BpeEncoder::load(metadata, vocabulary_, *rule));
    pretokenizer_ = name;
    add_bos_ = rule->add_bos;
    add_sep_ = rule->add_sep;
    return {};
}

// What the file says counts; a file that asks for a token it does not have contradicts itself.
Result<void> Tokenizer::load_policy(const gguf::Metadata& metadata) {
    const auto policy = [&](std::string_view key, std::optional<int32_t> token, bool& add) -> Result<void> {
        WALLABY_TRY(const bool wanted, metadata.boolean_or(key, add && token.has_value()));
        if (wanted && !token) {
            return metadata.error(ErrorCode::model, key, "asks for a token that the vocabulary does not have");
        }
        add = wanted;
        return {};
    };
    WALLABY_OK(policy("tokenizer.ggml.add_bos_token", bos(), add_bos_));
    WALLABY_OK(policy("tokenizer.ggml.add_eos_token", eos(), add_eos_));
    WALLABY_OK(policy("tokenizer.ggml.add_sep_token", role(Role::sep), add_sep_));
    return {};
}

void Tokenizer::load_specials(const gguf::Metadata& metadata) {
    const bool phi3 = is_phi3(metadata);
    std::vector<int32_t> user_defined;
    std::vector<int32_t> all;
    eats_spaces_.assign(size_t(n_tokens()), false);
    for (int32_t id = 0; id < n_tokens(); id++) {
        const bool is_user_defined = vocabulary_.type(id) == TokenType::user_defined;
        if ((!is_user_defined && !is_special(id)) || vocabulary_.text(id).empty()) { continue; }
        all.push_back(id);
        if (is_user_defined) { user_defined.push_back(id); }
        eats_spaces_[size_t(id)] = phi3 && !keeps_spaces_in_phi3(vocabulary_.text(id));
    }
    user_defined_ = SpecialMatcher(vocabulary_, std::move(user_defined));
    all_specials_ = SpecialMatcher(vocabulary_, std::move(all));
}

bool Tokenizer::is_special(int32_t id) const {
    if (!vocabulary_.has(id)) { return false; }
    return vocabulary_.type(id) == TokenType::control || vocabulary_.type(id) == TokenType::unknown;
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
    if (text.size() > max_text_bytes) {
        return Error{
            ErrorCode::capacity,
            fmt::format("a text of {} bytes is longer than the {} a call can tokenize", text.size(), max_text_bytes),
            {},
            "Split the text."};
    }
    std::vector<int32_t> out;
    out.reserve(text.size() / 3 + 2);
    if (options.add_special && add_bos_) { out.push_back(*bos()); }

    const SpecialMatcher& specials = options.parse_special ? all_specials_ : user_defined_;
    size_t begin = 0;  // of the plain text before `at`
    for (size_t at = 0; at < text.size();) {
        const auto match = specials.longest(vocabulary_, text.substr(at));
        if (!match) {
            at++;
            continue;
        }
        if (at > begin) { WALLABY_OK(encoder_->encode(text.substr(begin, at - begin), out)); }
        out.push_back(match->id);
        at += match->n_bytes;
        while (eats_spaces_[size_t(match->id)] && at < text.size() && is_ascii_space(text[at])) { at++; }
        begin = at;
    }
    if (begin < text.size()) { WALLABY_OK(encoder_->encode(text.substr(begin), out)); }

    if (options.add_special && add_sep_) { out.push_back(*role(Role::sep)); }
    if (options.add_special && add_eos_) { out.push_back(*eos()); }
    return out;
}

void Tokenizer::append_piece(int32_t id, std::string& out, bool render_special) const {
    if (!vocabulary_.has(id)) { return; }
    const std::string_view piece = vocabulary_.text(id);
    switch (vocabulary_.type(id)) {
        case TokenType::unknown:
        case TokenType::control:
            if (render_special) { out.append(piece); }
            return;
        case TokenType::user_defined: out.append(piece); return;
        case TokenType::byte: out += char(vocabulary_.byte_value(id)); return;
        case TokenType::unused:
        case TokenType::undefined: return;
        case TokenType::normal: break;
    }
    if (scheme() != Scheme::bpe) {
        append_reading_spaces(piece, out);
    } else if (!append_spelled_bytes(piece, out)) {
        out.append(piece);
    }
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool render_special) const {
    std::string out;
    bool may_strip = space_prefix_;
    for (const int32_t id : ids) {
        append_piece(id, out, render_special);
        if (!may_strip || out.empty()) { continue; }
        may_strip = false;
        if (out[0] == ' ' && !is_special(id)) { out.erase(0, 1); }
    }
    if (!cleans_spaces()) { return out; }
    std::string cleaned;
    SpaceCleaner cleaner;
    cleaner.push(out, cleaned);
    cleaner.flush(cleaned);
    return cleaned;
}

}  // namespace wallaby::text
