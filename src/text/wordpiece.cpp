#include "text/wordpiece.h"

#include <algorithm>

#include "text/space_mark.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace wallaby::text {

namespace {

// A word of more characters is unknown as a whole (tokenization.py: max_input_chars_per_word, 100 in the models).
constexpr size_t max_word_chars = 100;

// Characters that are words of their own: the blocks of tokenization.py's _is_chinese_char.
bool is_chinese(char32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// All signs of ASCII are punctuation, also those that Unicode counts as symbols.
bool stands_alone(char32_t c) {
    if (c < 0x80) {
        return c > ' ' && c < 0x7F && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    }
    return is_chinese(c) || unicode::is_punctuation(c);
}

}  // namespace

// The word that is being read: its bytes and where its characters end.
class WordPieceEncoder::Word {
  public:
    void clear() {
        text_.clear();
        ends_.clear();
        is_too_long_ = false;
    }
    void add(char32_t c) {
        is_too_long_ = ends_.size() == max_word_chars;
        if (is_too_long_) { return; }
        unicode::append(c, text_);
        ends_.push_back(text_.size());
    }
    bool is_empty() const { return ends_.empty(); }
    bool is_too_long() const { return is_too_long_; }
    std::string_view text() const { return text_; }
    const std::vector<size_t>& ends() const { return ends_; }

  private:
    std::string text_;
    std::vector<size_t> ends_;
    bool is_too_long_ = false;
};

void WordPieceEncoder::Table::add(std::string_view text, int32_t token) {
    if (text.empty() || index.find(texts, text)) { return; }
    index.insert(texts, [&] {
        texts.add(text);
        tokens.push_back(token);
        return int32_t(texts.size()) - 1;
    }());
}

WordPieceEncoder::WordPieceEncoder(const Vocabulary& vocabulary, WordPieceOptions options)
    : vocabulary_(vocabulary), options_(options) {
    for (int32_t id = 0; id < vocabulary.n_tokens(); id++) {
        if (!vocabulary.is_plain(id)) { continue; }
        std::string_view text = vocabulary.text(id);
        const bool is_first = text.starts_with(space_mark);
        if (is_first) { text.remove_prefix(space_mark.size()); }
        (is_first ? first_ : later_).add(text, id);
        longest_piece_ = std::max(longest_piece_, text.size());
    }
}

Result<void> WordPieceEncoder::encode(std::string_view text, std::vector<int32_t>& out) const {
    Word word;
    const auto end_word = [&] {
        if (!word.is_empty()) { encode_word(word, out); }
        word.clear();
    };
    const auto add = [&](char32_t c) {
        if (!stands_alone(c)) {
            word.add(c);
            return;
        }
        end_word();
        word.add(c);
        end_word();
    };
    while (!text.empty()) {
        const utf8::Part part = utf8::first_part(text);
        const std::string_view character = text.substr(0, part.n_bytes);
        text.remove_prefix(part.n_bytes);
        if (part.kind != utf8::Kind::valid) { continue; }
        const char32_t c = unicode::code_point(character);
        if (c == 0 || c == 0xFFFD || unicode::is_control(c)) { continue; }
        if (unicode::is_space(c)) {
            end_word();
            continue;
        }
        const auto lower = [&](char32_t each) { return options_.lower_case ? unicode::to_lower(each) : each; };
        if (c < 0x80 || !options_.strip_accents) {
            add(lower(c));
            continue;
        }
        const unicode::Decomposition decomposition(c);
        for (const char32_t each : decomposition.code_points()) {
            if (!unicode::is_nonspacing_mark(each)) { add(lower(each)); }
        }
    }
    end_word();
    return {};
}

// A word that the pieces cannot spell to its end is unknown as a whole.
void WordPieceEncoder::encode_word(const Word& word, std::vector<int32_t>& out) const {
    const size_t n_before = out.size();
    const std::vector<size_t>& ends = word.ends();
    size_t begin = 0;  // bytes
    size_t done = 0;   // characters
    while (done < ends.size() && !word.is_too_long()) {
        const Table& table = begin == 0 ? first_ : later_;
        size_t n = ends.size();
        while (n > done && ends[n - 1] - begin > longest_piece_) { n--; }
        std::optional<int32_t> piece;
        for (; n > done && !piece; n--) {
            piece = table.index.find(table.texts, word.text().substr(begin, ends[n - 1] - begin));
            if (piece) { break; }
        }
        if (!piece) { break; }
        out.push_back(table.tokens[size_t(*piece)]);
        begin = ends[n - 1];
        done = n;
    }
    if (done == ends.size()) { return; }
    out.resize(n_before);
    if (const auto unknown = vocabulary_.role(Role::unk)) { out.push_back(*unknown); }
}

}  // namespace wallaby::text
