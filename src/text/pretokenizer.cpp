#include "text/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>

namespace wallaby::text {

namespace {

// Unicode's White_Space. The library's own \s has U+180E besides, which models count as a sign.
constexpr std::string_view space_chars =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// `pattern` with \s and \S spelled out. Inside a class only \s occurs.
std::string spell_spaces(std::string_view pattern) {
    std::string out;
    bool in_class = false;
    for (size_t i = 0; i < pattern.size(); i++) {
        const char c = pattern[i];
        if (c == '\\' && i + 1 < pattern.size()) {
            const char escaped = pattern[++i];
            if (escaped == 's' && in_class) {
                out += space_chars;
            } else if (escaped == 's' || escaped == 'S') {
                out += fmt::format("[{}{}]", escaped == 'S' ? "^" : "", space_chars);
            } else {
                out += c;
                out += escaped;
            }
            continue;
        }
        if (c == '[') { in_class = true; }
        if (c == ']') { in_class = false; }
        out += c;
    }
    return out;
}

std::string error_text(int code) {
    PCRE2_UCHAR text[256] = {};
    pcre2_get_error_message(code, text, sizeof(text));
    return reinterpret_cast<const char*>(text);
}

Error match_error(int code) {
    return {ErrorCode::capacity, fmt::format("splitting the text into words failed: {}", error_text(code)), {}, ""};
}

}  // namespace

void Pretokenizer::FreeCode::operator()(pcre2_code* code) const { pcre2_code_free(code); }

Result<Pretokenizer> Pretokenizer::compile(const PretokenizerRule& rule) {
    Pretokenizer out;
    for (const std::string_view pattern : rule.patterns) {
        const std::string spelled = spell_spaces(pattern);
        int code = 0;
        PCRE2_SIZE offset = 0;
        Code compiled(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(), PCRE2_UTF | PCRE2_UCP,
                                    &code, &offset, nullptr));
        if (!compiled) {
            return Error{ErrorCode::unsupported,
                         fmt::format("the pre-tokenizer '{}' does not compile: {} at {}", rule.names[0],
                                     error_text(code), offset),
                         {.file = "", .field = "key 'tokenizer.ggml.pre'"},
                         ""};
        }
        // Where there is no JIT the interpreter gives the same answers, only slower.
        pcre2_jit_compile(compiled.get(), PCRE2_JIT_COMPLETE);
        out.codes_.push_back(std::move(compiled));
    }
    return out;
}

void WordSplitter::FreeMatch::operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
void WordSplitter::FreeMatch::operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }

WordSplitter::WordSplitter(const Pretokenizer& pretokenizer, size_t max_bytes)
    : pretokenizer_(pretokenizer),
      data_(pcre2_match_data_create(1, nullptr)),
      context_(pcre2_match_context_create(nullptr)) {
    if (!context_) { return; }
    // A match tries each character a few times at most; the limits turn a bad pattern into an error.
    pcre2_set_match_limit(context_.get(), uint32_t(std::min<size_t>(1'000'000 + 32 * max_bytes, UINT32_MAX)));
    pcre2_set_depth_limit(context_.get(), 100'000);
    pcre2_set_heap_limit(context_.get(), 65'536);  // KiB
}

// 1 and the match in `begin` and `end`, PCRE2_ERROR_NOMATCH, or another negative error.
int WordSplitter::find(const pcre2_code* code, std::string_view piece, size_t from, size_t& begin, size_t& end) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(piece.data());
    int found = pcre2_match(code, subject, piece.size(), from, PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
        found = pcre2_match(code, subject, piece.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data_.get(),
                            context_.get());
    }
    if (found < 0) { return found; }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data_.get());
    begin = range[0];
    end = range[1];
    return 1;
}

// Appends the ends of the matches and gaps of text[begin, end).
Result<void> WordSplitter::split_piece(const pcre2_code* code, std::string_view text, uint32_t begin, uint32_t end,
                                       std::vector<uint32_t>& ends) {
    const std::string_view piece = text.substr(begin, end - begin);
    size_t done = 0;
    while (done < piece.size()) {
        size_t match_begin = 0;
        size_t match_end = 0;
        const int found = find(code, piece, done, match_begin, match_end);
        if (found == PCRE2_ERROR_NOMATCH) { break; }
        if (found < 0) { return match_error(found); }
        if (match_end <= match_begin) { break; }  // no pattern of the table matches nothing
        if (match_begin > done) { ends.push_back(begin + uint32_t(match_begin)); }
        ends.push_back(begin + uint32_t(match_end));
        done = match_end;
    }
    if (done < piece.size()) { ends.push_back(end); }
    return {};
}

Result<void> WordSplitter::split(std::string_view text, std::vector<uint32_t>& ends) {
    ends.clear();
    if (text.empty()) { return {}; }
    if (!data_ || !context_) { return Error{ErrorCode::memory, "no memory to split a text into words", {}, ""}; }
    ends.push_back(uint32_t(text.size()));
    for (const auto& code : pretokenizer_.codes_) {
        std::swap(pieces_, ends);
        ends.clear();
        uint32_t begin = 0;
        for (const uint32_t end : pieces_) {
            WALLABY_OK(split_piece(code.get(), text, begin, end, ends));
            begin = end;
        }
    }
    return {};
}

}  // namespace wallaby::text
