#include "text/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "text/space_mark.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace wallaby::text {

namespace {

constexpr int32_t unreached = -2;
constexpr int32_t unknown = -1;
constexpr double unknown_penalty = 10;  // unigram_model.cc: kUnkPenalty
constexpr size_t max_normalized_bytes = 4 * Tokenizer::max_text_bytes;
constexpr uint64_t max_trie_bytes = uint64_t(1) << 30;

size_t character_bytes(std::string_view text) {
    const utf8::Part part = utf8::first_part(text);
    return part.kind == utf8::Kind::valid ? part.n_bytes : 1;
}

}  // namespace

UnigramEncoder::UnigramEncoder(const Vocabulary& vocabulary, UnigramOptions options)
    : vocabulary_(vocabulary), options_(options) {}

Result<std::unique_ptr<Encoder>> UnigramEncoder::load(const gguf::Metadata& metadata, const Vocabulary& vocabulary,
                                                      UnigramOptions options) {
    std::unique_ptr<UnigramEncoder> encoder(new UnigramEncoder(vocabulary, options));
    WALLABY_TRY(encoder->charsmap_, Charsmap::load(metadata));
    std::vector<int32_t> ids;
    uint64_t n_bytes = 0;
    double lowest = std::numeric_limits<float>::max();
    double highest = std::numeric_limits<float>::lowest();
    for (int32_t id = 0; id < vocabulary.n_tokens(); id++) {
        const std::string_view text = vocabulary.text(id);
        const bool is_normal = vocabulary.type(id) == TokenType::normal;
        if (text.empty() || (!is_normal && vocabulary.type(id) != TokenType::user_defined)) { continue; }
        ids.push_back(id);
        n_bytes += text.size();
        encoder->words_are_apart_ = encoder->words_are_apart_ && spaced_word_end(text) == text.size();
        if (!is_normal) { continue; }
        lowest = std::min(lowest, double(vocabulary.score(id)));
        highest = std::max(highest, double(vocabulary.score(id)));
    }
    if (n_bytes > max_trie_bytes) {
        return metadata.error(
            ErrorCode::unsupported, "tokenizer.ggml.tokens",
            fmt::format("{} bytes of pieces are more than the {} supported", n_bytes, max_trie_bytes));
    }
    encoder->unknown_score_ = lowest - unknown_penalty;
    encoder->highest_score_ = highest;
    encoder->trie_ = PieceTrie(vocabulary, std::move(ids));
    for (int byte = 0; byte < 256; byte++) {
        encoder->has_all_bytes_ = encoder->has_all_bytes_ && vocabulary.byte_token(uint8_t(byte)).has_value();
    }
    return std::unique_ptr<Encoder>(std::move(encoder));
}

// What `text`, which is not empty, begins with, and what that becomes.
Result<Charsmap::Match> UnigramEncoder::next_normalized(std::string_view text) const {
    WALLABY_TRY(const Charsmap::Match match, charsmap_.longest(text));
    if (match.n_bytes > 0) { return match; }
    const utf8::Part part = utf8::first_part(text);
    if (part.kind != utf8::Kind::valid) { return Charsmap::Match{1, utf8::replacement_character}; }
    return Charsmap::Match{part.n_bytes, text.substr(0, part.n_bytes)};
}

Result<std::string> UnigramEncoder::normalize(std::string_view text) const {
    std::string out;
    bool needs_prefix = options_.space_prefix;
    bool after_space = options_.remove_extra_spaces;  // spaces here are dropped
    while (!text.empty()) {
        WALLABY_TRY(const Charsmap::Match match, next_normalized(text));
        text.remove_prefix(match.n_bytes);
        std::string_view part = match.replacement;
        while (after_space && part.starts_with(' ')) { part.remove_prefix(1); }
        if (part.empty()) { continue; }
        if (needs_prefix) { out += space_mark; }
        needs_prefix = false;
        append_marking_spaces(part, out);
        after_space = options_.remove_extra_spaces && part.ends_with(' ');
        if (out.size() > max_normalized_bytes) {
            return Error{
                ErrorCode::capacity, "the tokenizer's normaliser makes the text too long", {}, "Split the text."};
        }
    }
    while (options_.remove_extra_spaces && out.ends_with(space_mark)) { out.resize(out.size() - space_mark.size()); }
    return out;
}

Result<void> UnigramEncoder::encode(std::string_view text, std::vector<int32_t>& out) const {
    WALLABY_TRY(const std::string normalized, normalize(text));
    std::vector<Best> best;
    std::vector<int32_t> path;
    bool after_unknown = false;
    for (std::string_view rest = normalized; !rest.empty();) {
        const size_t n = words_are_apart_ ? spaced_word_end(rest) : rest.size();
        encode_word(rest.substr(0, n), best, path, out, after_unknown);
        rest.remove_prefix(n);
    }
    return {};
}

// A user-defined piece counts as if each of its bytes were the best piece (unigram_model.cc).
double UnigramEncoder::score_of(int32_t token) const {
    if (vocabulary_.type(token) != TokenType::user_defined) { return vocabulary_.score(token); }
    return double(vocabulary_.text(token).size()) * highest_score_ - 0.1;
}

void UnigramEncoder::encode_word(std::string_view word, std::vector<Best>& best, std::vector<int32_t>& path,
                                 std::vector<int32_t>& out, bool& after_unknown) const {
    best.assign(word.size() + 1, Best{0, 0, unreached});
    best[0].token = unknown;
    for (uint32_t begin = 0; begin < word.size(); begin++) {
        if (best[begin].token == unreached) { continue; }
        const auto offer = [&](size_t n_bytes, int32_t token, double score) {
            Best& target = best[begin + n_bytes];
            const double sum = best[begin].score + score;
            if (target.token == unreached || sum > target.score) { target = {sum, begin, token}; }
        };
        const size_t n_character = character_bytes(word.substr(begin));
        bool has_character = false;
        trie_.for_each_prefix(word.substr(begin), [&](size_t n_bytes, int32_t token) {
            has_character = has_character || n_bytes == n_character;
            offer(n_bytes, token, score_of(token));
        });
        if (!has_character) { offer(n_character, unknown, unknown_score_); }
    }
    // The path is found from its end; `path` holds the ends of its pieces.
    path.clear();
    for (uint32_t end = uint32_t(word.size()); end > 0; end = best[end].begin) { path.push_back(int32_t(end)); }
    std::ranges::reverse(path);
    for (const int32_t end : path) {
        const Best& piece = best[size_t(end)];
        if (piece.token != unknown) {
            out.push_back(piece.token);
            after_unknown = false;
            continue;
        }
        if (has_all_bytes_) {
            for (const char byte : word.substr(piece.begin, size_t(end) - piece.begin)) {
                out.push_back(*vocabulary_.byte_token(uint8_t(byte)));
            }
            continue;
        }
        const auto unk = vocabulary_.role(Role::unk);
        if (unk && !after_unknown) { out.push_back(*unk); }  // a run of unknown characters is one token
        after_unknown = true;
    }
}

}  // namespace wallaby::text
