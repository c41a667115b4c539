// llama2.c's tokenizer.bin: int32 n_bytes of the longest token | per token: float32 score, int32 n_bytes, text.
// Spaces are spaces in it, and ids 0, 1 and 2 are <unk>, BOS and EOS, whatever their texts (tokenizer.py writes them
// between line ends). Definition: https://github.com/karpathy/llama2.c (tokenizer.py, run.c).
#include <cmath>

#include "base/bytes.h"
#include "convert/hf_vocabulary.h"
#include "convert/json_file.h"
#include "convert/vocabulary_parts.h"
#include "text/space_mark.h"

namespace wallaby::convert {
namespace {

using text::TokenType;

constexpr uint64_t max_bytes = uint64_t(1) << 26;

class Cursor {
  public:
    Cursor(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

    template <class T>
    Result<T> number() {
        WALLABY_TRY(const std::string_view bytes, take(sizeof(T)));
        return base::load_le<T>(reinterpret_cast<const uint8_t*>(bytes.data()));
    }
    Result<std::string_view> take(uint64_t n_bytes) {
        if (n_bytes > bytes_.size() - at_) {
            return error(fmt::format("has {} bytes left where {} are required", bytes_.size() - at_, n_bytes));
        }
        const std::string_view taken = bytes_.substr(at_, n_bytes);
        at_ += n_bytes;
        return taken;
    }
    bool at_end() const { return at_ == bytes_.size(); }
    Error error(std::string what) const {
        return {ErrorCode::format,
                std::move(what),
                {file_, "", at_},
                "Name a llama2.c tokenizer of as many tokens as the model has"};
    }

  private:
    std::string_view bytes_;
    const std::string& file_;
    size_t at_ = 0;
};

Result<Token> read_token(Cursor& cursor, uint64_t id, uint64_t longest) {
    Token token{.id = id};
    WALLABY_TRY(token.score, cursor.number<float>());
    if (std::isnan(token.score)) { return cursor.error(fmt::format("has a score that is not a number, of {}", id)); }
    WALLABY_TRY(const uint32_t n_bytes, cursor.number<uint32_t>());
    if (n_bytes > longest) {
        return cursor.error(fmt::format("has a token of {} bytes, but the longest is to have {}", n_bytes, longest));
    }
    WALLABY_TRY(const std::string_view text, cursor.take(n_bytes));
    text::append_marking_spaces(text, token.text);
    constexpr std::pair<std::string_view, TokenType> first[] = {
        {"<unk>", TokenType::unknown}, {"<s>", TokenType::control}, {"</s>", TokenType::control}};
    if (id < std::size(first)) {
        token.text = first[id].first;
        token.type = first[id].second;
    } else if (text::spelled_byte(token.text)) {
        token.type = TokenType::byte;
    }
    return token;
}

}  // namespace

Result<void> set_llama2c_tokenizer(gguf::Draft& draft, const std::string& path, uint32_t n_vocab) {
    WALLABY_TRY(const std::string bytes, read_text_file(path, max_bytes));
    Cursor cursor(bytes, path);
    VocabularyParts parts(path, "llama");
    parts.has_scores = true;
    WALLABY_TRY(const uint32_t longest, cursor.number<uint32_t>());
    for (uint32_t id = 0; id < n_vocab; id++) {
        WALLABY_TRY(Token token, read_token(cursor, id, longest));
        parts.tokens.push_back(std::move(token));
    }
    if (parts.tokens.size() < 3 || !cursor.at_end()) {
        return cursor.error(fmt::format("does not end after {} tokens", n_vocab));
    }
    parts.add_role("unk_token", parts.tokens[0].text, path);
    parts.add_role("bos_token", parts.tokens[1].text, path);
    parts.add_role("eos_token", parts.tokens[2].text, path);
    return write_vocabulary(draft, parts, n_vocab);
}

}  // namespace wallaby::convert
