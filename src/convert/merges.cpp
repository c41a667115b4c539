#include "convert/merges.h"

#include <algorithm>

#include "text/merge_table.h"
#include "text/pieces.h"
#include "text/space_mark.h"
#include "text/utf8.h"

namespace wallaby::convert {
namespace {

using text::TokenType;

// Of BPE over characters; bounds the time to try all cuts of a token. Real ones stay below 100.
constexpr size_t max_char_token_bytes = 512;

Error merge_error(size_t number, std::string_view what, const std::string& file, std::string field) {
    return {ErrorCode::format, fmt::format("merge {} {}", number, what), {file, std::move(field), {}}, ""};
}

// The tokens that text may become by merging: not those that are found before, or stand for bytes.
class Mergeable {
  public:
    explicit Mergeable(const VocabularyParts& parts) {
        std::vector<uint64_t> added;
        for (const Token& token : parts.added) { added.push_back(token.id); }
        std::ranges::sort(added);
        for (const Token& token : parts.tokens) {
            texts_.add(token.text);
            const auto place = int32_t(texts_.size() - 1);
            all_.insert(texts_, place);
            const bool is_found_before = std::ranges::binary_search(added, token.id);
            if (token.type == TokenType::normal && !is_found_before) { mergeable_.insert(texts_, place); }
        }
    }
    bool is_token(std::string_view text) const { return all_.find(texts_, text).has_value(); }
    std::optional<int32_t> find(std::string_view text) const { return mergeable_.find(texts_, text); }

  private:
    text::Pieces texts_;
    text::PieceIndex all_, mergeable_;
};

// Every way to cut a token into two tokens is one of the merges.
bool has_all_merges(const VocabularyParts& parts, const Mergeable& tokens, const text::MergeTable& merges) {
    for (const Token& token : parts.tokens) {
        const std::string_view whole = token.text;
        if (whole.empty() || !tokens.find(whole)) { continue; }
        for (size_t at = text::utf8::first_part(whole).n_bytes; at < whole.size();
             at += text::utf8::first_part(whole.substr(at)).n_bytes) {
            const auto left = tokens.find(whole.substr(0, at));
            const auto right = left ? tokens.find(whole.substr(at)) : std::nullopt;
            if (right && merges.find(*left, *right).rank == text::no_merge) { return false; }
        }
    }
    return true;
}

}  // namespace

Result<std::vector<std::string>> read_merges_text(std::string_view text, const std::string& file) {
    std::vector<std::string> merges;
    for (bool is_first = true; !text.empty(); is_first = false) {
        const size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.ends_with('\r')) { line.remove_suffix(1); }
        if (line.empty() || (is_first && line.starts_with("#version"))) { continue; }
        const size_t space = line.find(' ');
        if (space == std::string_view::npos || space == 0 || space + 1 == line.size() || space != line.rfind(' ')) {
            return merge_error(merges.size(), "is not two pieces with a space between them", file, "");
        }
        merges.emplace_back(line);
    }
    if (merges.empty()) { return Error{ErrorCode::format, "has no merges", {file, "", {}}, ""}; }
    return merges;
}

Result<bool> set_merge_scores(VocabularyParts& parts) {
    for (const Token& token : parts.tokens) {
        if (token.text.size() > max_char_token_bytes) {
            return Error{
                ErrorCode::unsupported,
                fmt::format("token {} has {} bytes, more than {}", token.id, token.text.size(), max_char_token_bytes),
                {parts.file, "field 'model.vocab'", {}},
                ""};
        }
    }
    const Mergeable tokens(parts);
    text::MergeTable table;
    table.reserve(parts.merges.size());
    bool stand_together = true;
    int32_t previous = -1;
    uint32_t n_made = 0;
    std::vector<bool> is_made(parts.tokens.size());
    for (size_t i = 0; i < parts.merges.size(); i++) {
        const std::string& merge = parts.merges[i];
        const size_t space = merge.find(' ');
        const std::string left = merge.substr(0, space);
        const std::string right = merge.substr(space + 1);
        if (!tokens.is_token(left) || !tokens.is_token(right) || !tokens.is_token(left + right)) {
            return merge_error(i, fmt::format("('{:.200}') is not of tokens to a token", merge), parts.file,
                               "field 'model.merges'");
        }
        const auto from_left = tokens.find(left);
        const auto from_right = tokens.find(right);
        const auto made = tokens.find(left + right);
        if (!made || !from_left || !from_right) { continue; }
        table.insert(*from_left, *from_right, {uint32_t(i), *made});
        if (*made == previous) { continue; }
        previous = *made;
        stand_together = stand_together && !is_made[size_t(*made)];
        is_made[size_t(*made)] = true;
        parts.tokens[size_t(*made)].score = -float(n_made++);
    }
    return stand_together && has_all_merges(parts, tokens, table);
}

bool has_inner_space(const std::vector<Token>& tokens) {
    return std::ranges::any_of(
        tokens, [](const Token& token) { return text::spaced_word_end(token.text) != token.text.size(); });
}

}  // namespace wallaby::convert
