#include "text/spm.h"

#include <algorithm>
#include <string>

#include "text/merge.h"
#include "text/space_mark.h"
#include "text/utf8.h"

namespace wallaby::text {

namespace {

constexpr int32_t shared_rules = -1;

}  // namespace

SpmEncoder::SpmEncoder(const Vocabulary& vocabulary, bool space_prefix)
    : vocabulary_(vocabulary), space_prefix_(space_prefix) {
    std::vector<float> scores;
    for (int32_t id = 0; id < vocabulary.n_tokens(); id++) {
        const std::string_view text = vocabulary.text(id);
        if (!vocabulary.is_plain(id) || text.empty()) { continue; }
        plain_.insert(vocabulary.texts(), id);
        scores.push_back(vocabulary.score(id));
        longest_piece_ = std::max(longest_piece_, text.size());
        words_are_apart_ = words_are_apart_ && spaced_word_end(text) == text.size();
    }
    std::ranges::sort(scores, std::greater{});
    scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
    constexpr int32_t nobody = -2;
    ranks_.resize(size_t(vocabulary.n_tokens()));
    ranked_.assign(scores.size() + 1, nobody);
    for (int32_t id = 0; id < vocabulary.n_tokens(); id++) {
        const auto place = std::ranges::lower_bound(scores, vocabulary.score(id), std::greater{});
        const auto rank = uint32_t(place - scores.begin());
        ranks_[size_t(id)] = rank;
        if (plain_.find(vocabulary.texts(), vocabulary.text(id)) != id) { continue; }
        ranked_[rank] = ranked_[rank] == nobody ? id : shared_rules;
    }
}

Result<void> SpmEncoder::encode(std::string_view text, std::vector<int32_t>& out) const {
    Merger merger;
    std::string word;
    bool needs_prefix = space_prefix_;
    while (!text.empty()) {
        // A space put before a text that begins with spaces joins them: they are one run.
        const size_t n = words_are_apart_ ? spaced_word_end(text) : text.size();
        word.clear();
        if (needs_prefix) { word += space_mark; }
        needs_prefix = false;
        append_marking_spaces(text.substr(0, n), word);
        encode_word(word, merger, out);
        text.remove_prefix(n);
    }
    return {};
}

void SpmEncoder::encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const {
    const Pieces& texts = vocabulary_.texts();
    merger.start(word.size());
    for (size_t at = 0; at < word.size();) {
        const utf8::Part part = utf8::first_part(word.substr(at));
        const size_t n = part.kind == utf8::Kind::valid ? part.n_bytes : 1;
        merger.add(uint32_t(at), plain_.find(texts, word.substr(at, n)).value_or(-1));
        at += n;
    }
    const auto joint = [&](const Symbol& left, const Symbol& right) -> std::optional<int32_t> {
        const size_t n_bytes = size_t(left.n_bytes) + right.n_bytes;
        if (n_bytes > longest_piece_) { return std::nullopt; }
        return plain_.find(texts, word.substr(left.begin, n_bytes));
    };
    merger.run(
        uint32_t(word.size()),
        [&](const Symbol& left, const Symbol& right) {
            const auto id = joint(left, right);
            return id ? ranks_[size_t(*id)] : no_merge;
        },
        [&](const Symbol& left, const Symbol& right, uint32_t rank) {
            return ranked_[rank] >= 0 ? ranked_[rank] : joint(left, right).value_or(-1);
        });
    merger.for_each([&](const Symbol& symbol) {
        if (symbol.id >= 0) {
            out.push_back(symbol.id);
        } else {
            append_bytes(word.substr(symbol.begin, symbol.n_bytes), out);
        }
    });
}

// A character is written in bytes, or is unknown as a whole.
void SpmEncoder::append_bytes(std::string_view character, std::vector<int32_t>& out) const {
    const size_t n_before = out.size();
    for (const char byte : character) {
        if (const auto id = vocabulary_.byte_token(uint8_t(byte))) {
            out.push_back(*id);
            continue;
        }
        out.resize(n_before);
        if (const auto unknown = vocabulary_.role(Role::unk)) { out.push_back(*unknown); }
        return;
    }
}

}  // namespace wallaby::text
