// Merging against its definition: look at all pairs, merge the best, start again.
#include "text/merge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "support/sanitized.h"

namespace {

using namespace wallaby::text;

// Symbols are letters; rules give two of them a rank and what they become.
struct Rule {
    uint32_t rank = no_merge;
    int32_t id = 0;
};
using Rules = std::map<std::pair<int32_t, int32_t>, Rule>;

std::vector<int32_t> merge_by_definition(std::vector<int32_t> word, const Rules& rules) {
    for (;;) {
        size_t best_at = 0;
        Rule best;
        for (size_t i = 0; i + 1 < word.size(); i++) {
            const auto rule = rules.find({word[i], word[i + 1]});
            if (rule != rules.end() && rule->second.rank < best.rank) {
                best = rule->second;
                best_at = i;
            }
        }
        if (best.rank == no_merge) { return word; }
        word[best_at] = best.id;
        word.erase(word.begin() + long(best_at) + 1);
    }
}

std::vector<int32_t> merge(Merger& merger, const std::vector<int32_t>& word, const Rules& rules) {
    const auto rule = [&](const Symbol& left, const Symbol& right) {
        const auto found = rules.find({left.id, right.id});
        return found == rules.end() ? Rule{} : found->second;
    };
    merger.start(word.size());
    for (size_t i = 0; i < word.size(); i++) { merger.add(uint32_t(3 * i), word[i]); }
    merger.run(
        uint32_t(3 * word.size()), [&](const Symbol& left, const Symbol& right) { return rule(left, right).rank; },
        [&](const Symbol& left, const Symbol& right, uint32_t) { return rule(left, right).id; });
    std::vector<int32_t> out;
    uint32_t end = 0;
    merger.for_each([&](const Symbol& symbol) {
        EXPECT_EQ(symbol.begin, end);
        end = symbol.begin + symbol.n_bytes;
        out.push_back(symbol.id);
    });
    EXPECT_EQ(end, 3 * word.size());
    return out;
}

// Few letters and few ranks, so that many pairs wait with one rank, in and out of order; words on both sides of the
// length from which the queue keeps streams.
TEST(TextMerge, AgreesWithItsDefinition) {
    std::mt19937 random(3);
    Merger merger;
    for (int round = 0; round < (wallaby::testing::under_sanitizer ? 30 : 300); round++) {
        const int n_letters = 2 + int(random() % 4);
        const uint32_t n_ranks = 1 + random() % 30;
        Rules rules;
        int32_t next = n_letters;
        for (int i = 0; i < 40; i++) {
            const auto any = [&] { return int32_t(random() % uint32_t(next)); };
            const std::pair<int32_t, int32_t> pair(any(), any());
            if (rules.emplace(pair, Rule{uint32_t(random() % n_ranks), next}).second) { next++; }
        }
        std::vector<int32_t> word(round % 3 == 0 ? 500 + random() % 700 : random() % 60);
        for (int32_t& letter : word) { letter = int32_t(random() % uint32_t(n_letters)); }
        ASSERT_EQ(merge(merger, word, rules), merge_by_definition(word, rules)) << "round " << round;
    }
}

}  // namespace
