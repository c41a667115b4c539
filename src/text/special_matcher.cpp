#include "text/special_matcher.h"

#include <algorithm>

namespace wallaby::text {

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary, std::vector<int32_t> ids) : sorted_(std::move(ids)) {
    std::ranges::sort(sorted_, [&](int32_t a, int32_t b) {
        const int order = vocabulary.text(a).compare(vocabulary.text(b));
        return order < 0 || (order == 0 && a < b);
    });
    const auto same = [&](int32_t a, int32_t b) { return vocabulary.text(a) == vocabulary.text(b); };
    sorted_.erase(std::unique(sorted_.begin(), sorted_.end(), same), sorted_.end());

    for (const int32_t id : sorted_) { first_[size_t(uint8_t(vocabulary.text(id)[0])) + 1]++; }
    for (size_t byte = 0; byte < 256; byte++) { first_[byte + 1] += first_[byte]; }
}

std::optional<SpecialMatcher::Match> SpecialMatcher::longest(const Vocabulary& vocabulary,
                                                             std::string_view text) const {
    if (text.empty()) { return std::nullopt; }
    const size_t byte = uint8_t(text[0]);
    auto low = sorted_.begin() + first_[byte];
    auto high = sorted_.begin() + first_[byte + 1];
    std::optional<Match> found;
    // All of [low, high) share `depth` bytes with the text; the one that has no more of them sorts first.
    for (size_t depth = 1; low != high; depth++) {
        if (vocabulary.text(*low).size() == depth) {
            found = Match{*low, depth};
            ++low;
        }
        if (depth == text.size()) { break; }
        const auto byte_at = [&](int32_t id) { return uint8_t(vocabulary.text(id)[depth]); };
        const auto wanted = uint8_t(text[depth]);
        low = std::partition_point(low, high, [&](int32_t id) { return byte_at(id) < wanted; });
        high = std::partition_point(low, high, [&](int32_t id) { return byte_at(id) == wanted; });
    }
    return found;
}

}  // namespace wallaby::text
