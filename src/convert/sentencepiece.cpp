#include "convert/sentencepiece.h"

#include <cmath>

#include "convert/protobuf.h"
#include "text/utf8.h"

namespace wallaby::convert {
namespace {

// Numbers of fields, and what they are where a file leaves them out.
enum class ModelField : uint32_t { pieces = 1, trainer = 2, normalizer = 3 };
enum class PieceField : uint32_t { text = 1, score = 2, type = 3 };
enum class TrainerField : uint32_t { algorithm = 3, space_is_suffix = 24, unk = 40, bos = 41, eos = 42, pad = 43 };
enum class NormalizerField : uint32_t { charsmap = 2, space_prefix = 3, remove_extra_spaces = 4, mark_spaces = 5 };
enum class Algorithm : uint64_t { unigram = 1, bpe = 2 };

struct Model {
    std::vector<Token> tokens;
    Algorithm algorithm = Algorithm::unigram;
    bool space_is_suffix = false;
    int32_t unk = 0, bos = 1, eos = 2, pad = -1;
    std::string charsmap;
    bool space_prefix = true, remove_extra_spaces = true, mark_spaces = true;
};

// The kinds of pieces have the numbers that GGUF gives them.
Result<text::TokenType> read_type(const ProtobufMessage& piece, const ProtobufField& field) {
    WALLABY_TRY(const uint64_t type, piece.integer(field));
    if (type == 0 || type > uint64_t(text::TokenType::byte)) {
        return piece.error(field.offset, fmt::format("is of the unknown type {}", type));
    }
    return text::TokenType(type);
}

Result<Token> read_piece(ProtobufMessage piece, uint64_t id) {
    Token token{.id = id, .score = 0};
    while (true) {
        WALLABY_TRY(const auto field, piece.next());
        if (!field) { return token; }
        switch (PieceField(field->number)) {
            case PieceField::text: {
                WALLABY_OK(piece.bytes(*field));
                token.text = field->text();
                if (text::utf8::valid_prefix(token.text) != token.text.size()) {
                    return piece.error(field->offset, fmt::format("{} is not UTF-8", id));
                }
                break;
            }
            case PieceField::score: {
                WALLABY_TRY(token.score, piece.f32(*field));
                if (std::isnan(token.score)) {
                    return piece.error(field->offset, fmt::format("{} has a score that is not a number", id));
                }
                break;
            }
            case PieceField::type: {
                WALLABY_TRY(token.type, read_type(piece, *field));
                break;
            }
        }
    }
}

Result<void> read_trainer(ProtobufMessage trainer, Model& model) {
    while (true) {
        WALLABY_TRY(const auto field, trainer.next());
        if (!field) { return {}; }
        // Negative numbers stand in 64 bits; cut to 32 they are themselves again.
        const auto id = int32_t(uint32_t(field->value));
        switch (TrainerField(field->number)) {
            case TrainerField::algorithm: model.algorithm = Algorithm(field->value); break;
            case TrainerField::space_is_suffix: model.space_is_suffix = field->value != 0; break;
            case TrainerField::unk: model.unk = id; break;
            case TrainerField::bos: model.bos = id; break;
            case TrainerField::eos: model.eos = id; break;
            case TrainerField::pad: model.pad = id; break;
            default: continue;
        }
        WALLABY_OK(trainer.integer(*field));
    }
}

Result<void> read_normalizer(ProtobufMessage normalizer, Model& model) {
    while (true) {
        WALLABY_TRY(const auto field, normalizer.next());
        if (!field) { return {}; }
        switch (NormalizerField(field->number)) {
            case NormalizerField::charsmap:
                WALLABY_OK(normalizer.bytes(*field));
                model.charsmap = field->text();
                continue;
            case NormalizerField::space_prefix: model.space_prefix = field->value != 0; break;
            case NormalizerField::remove_extra_spaces: model.remove_extra_spaces = field->value != 0; break;
            case NormalizerField::mark_spaces: model.mark_spaces = field->value != 0; break;
            default: continue;
        }
        WALLABY_OK(normalizer.integer(*field));
    }
}

Result<Model> read_model(std::span<const uint8_t> bytes, const std::string& file) {
    ProtobufMessage message(bytes, 0, "model", file);
    Model model;
    while (true) {
        WALLABY_TRY(const auto field, message.next());
        if (!field) { return model; }
        switch (ModelField(field->number)) {
            case ModelField::pieces: {
                if (model.tokens.size() == max_listed_tokens) {
                    return message.error(field->offset, fmt::format("has more than {} pieces", max_listed_tokens));
                }
                WALLABY_TRY(const auto piece, message.inner(*field, "piece"));
                WALLABY_TRY(Token token, read_piece(piece, model.tokens.size()));
                model.tokens.push_back(std::move(token));
                break;
            }
            case ModelField::trainer: {
                WALLABY_TRY(const auto trainer, message.inner(*field, "trainer_spec"));
                WALLABY_OK(read_trainer(trainer, model));
                break;
            }
            case ModelField::normalizer: {
                WALLABY_TRY(const auto normalizer, message.inner(*field, "normalizer_spec"));
                WALLABY_OK(read_normalizer(normalizer, model));
                break;
            }
        }
    }
}

// What GGUF's readers do, and no key of it can change.
Result<void> check_normalisation(const Model& model, const std::string& file) {
    const auto refuse = [&](std::string_view field, std::string_view what) {
        return Error{ErrorCode::unsupported, std::string(what), {file, fmt::format("field '{}'", field), {}}, ""};
    };
    if (model.algorithm != Algorithm::bpe && model.algorithm != Algorithm::unigram) {
        return refuse("trainer_spec.model_type", "is neither BPE nor Unigram");
    }
    if (model.space_is_suffix) { return refuse("trainer_spec.treat_whitespace_as_suffix", "is true"); }
    if (!model.mark_spaces) { return refuse("normalizer_spec.escape_whitespaces", "is false"); }
    if (model.algorithm == Algorithm::unigram) { return {}; }
    if (!model.charsmap.empty()) {
        return refuse("normalizer_spec.precompiled_charsmap", "asks a BPE model for normalised text");
    }
    if (model.remove_extra_spaces) {
        return refuse("normalizer_spec.remove_extra_whitespaces", "asks a BPE model for text without runs of spaces");
    }
    return {};
}

// Of a negative id: there is no such token.
Result<void> name_roles(const Model& model, VocabularyParts& parts) {
    const std::pair<std::string_view, int32_t> roles[] = {
        {"unk", model.unk}, {"bos", model.bos}, {"eos", model.eos}, {"pad", model.pad}};
    for (const auto& [name, id] : roles) {
        if (id < 0) { continue; }
        if (size_t(id) >= parts.tokens.size()) {
            return Error{ErrorCode::model,
                         fmt::format("is {}, but there are {} pieces", id, parts.tokens.size()),
                         {parts.file, fmt::format("field 'trainer_spec.{}_id'", name), {}},
                         ""};
        }
        parts.add_role(fmt::format("{}_token", name), parts.tokens[size_t(id)].text, parts.file);
    }
    return {};
}

}  // namespace

Result<VocabularyParts> read_sentencepiece(std::span<const uint8_t> bytes, const std::string& file) {
    WALLABY_TRY(Model model, read_model(bytes, file));
    if (model.tokens.empty()) {
        return Error{ErrorCode::format,
                     "is not a SentencePiece model with pieces",
                     {file, "", {}},
                     "Without it, a tokenizer.json beside it is read"};
    }
    WALLABY_OK(check_normalisation(model, file));
    const bool is_bpe = model.algorithm == Algorithm::bpe;
    VocabularyParts parts(file, is_bpe ? "llama" : "t5");
    if (is_bpe) { parts.pre = "default"; }
    parts.tokens = std::move(model.tokens);
    parts.added_may_rename = true;
    parts.has_scores = true;
    parts.space_prefix = model.space_prefix;
    if (!is_bpe) { parts.remove_extra_spaces = model.remove_extra_spaces; }
    parts.charsmap = std::move(model.charsmap);
    for (Token& token : parts.tokens) {
        if (token.type == text::TokenType::user_defined) { token.text = with_spaces(token.text); }
    }
    WALLABY_OK(name_roles(model, parts));
    return parts;
}

}  // namespace wallaby::convert
