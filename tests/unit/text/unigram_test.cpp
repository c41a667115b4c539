// Unigram: the best way to cut a text, against all ways; normaliser tables made here, whole and broken.
#include "text/unigram.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <random>

#include "support/charsmap_bytes.h"
#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

constexpr std::string_view charsmap_key = "tokenizer.ggml.precompiled_charsmap";

TEST(TextUnigram, TakesThePiecesWhoseScoresAddUpBest) {
    const auto tokenizer = unigram_toy().load();
    EXPECT_EQ(pieces(*tokenizer, "abc"), "▁a|bc") << "-9, against -13 of ▁|a|bc and -16 of ▁|abc";
    EXPECT_EQ(pieces(*tokenizer, "ab"), "▁a|b");
    EXPECT_EQ(pieces(*tokenizer, "babab"), "▁|b|ab|ab");
    EXPECT_EQ(pieces(*tokenizer, ""), "");
    EXPECT_EQ(*tokenizer->encode("a"), (std::vector<int32_t>{10, 1})) << "EOS is added";
}

TEST(TextUnigram, UnknownCharactersAreOneTokenOrBytes) {
    Toy toy = unigram_toy();
    EXPECT_EQ(pieces(*toy.load(), "a€xyb"), "▁a|<unk>|b");
    EXPECT_EQ(pieces(*toy.load(), "a\xE2\x82 b"), "▁a|<unk>|▁|b");
    for (int byte = 0; byte < 256; byte++) { toy.add(fmt::format("<0x{:02X}>", byte), 0, 6); }
    EXPECT_EQ(pieces(*toy.load(), "a€b"), "▁a|<0xE2>|<0x82>|<0xAC>|b");
    EXPECT_EQ(toy.load()->decode(*toy.load()->encode("a€b")), "a€b");
}

TEST(TextUnigram, UnknownCharactersCostTenMoreThanTheWorstPiece) {
    Toy toy = unigram_toy();
    toy.add("q", 1);
    toy.add("zq", -14);  // the worst
    EXPECT_EQ(pieces(*toy.load(), "azq"), "▁a|zq") << "-14, against -24 + 1";
    toy.add("bad", -26);
    EXPECT_EQ(pieces(*toy.load(), "azqb"), "▁a|zq|b");
}

TEST(TextUnigram, SpacesFollowTheFile) {
    const Toy toy = unigram_toy();
    const auto load = [&](bool prefix, bool remove) {
        return std::move(load_tokenizer(toy.file()
                                            .kv("tokenizer.ggml.add_space_prefix", prefix)
                                            .kv("tokenizer.ggml.remove_extra_whitespaces", remove)))
            .value();
    };
    EXPECT_EQ(pieces(*load(true, true), "  a   b  "), "▁a|▁|b");
    EXPECT_EQ(pieces(*load(true, true), "   "), "");
    EXPECT_EQ(pieces(*load(false, true), " a  a "), "a|▁a");
    EXPECT_EQ(pieces(*load(true, false), " a  a "), "▁|▁a|▁|▁a|▁");
    EXPECT_EQ(pieces(*load(false, false), "a  "), "a|▁▁");
    EXPECT_EQ(load(true, true)->decode(*load(true, true)->encode("a ab")), "a ab");
}

TEST(TextUnigram, UserDefinedPiecesAreFoundAndUnusedOnesAreNot) {
    Toy toy = unigram_toy();
    toy.add("cab", 0, 4);
    toy.add("abca", 0, 5);
    EXPECT_EQ(pieces(*toy.load(), "a cab"), "▁a|cab") << "the text before it ends there";
    EXPECT_EQ(pieces(*toy.load(), "abca"), "▁a|bc|a");
}

// All ways to cut a text, one after the other.
TEST(TextUnigram, NoOtherWayScoresBetter) {
    std::mt19937 random(3);
    for (int round = 0; round < 300; round++) {
        Toy toy = unigram_toy();
        const bool over_spaces = round % 3 == 0;
        for (int i = 0; i < 12; i++) {
            std::string piece;
            for (uint32_t n = 1 + random() % 4; n > 0; n--) {
                piece += std::array{"a", "b", "c", "▁"}[random() % 4];
                if (!over_spaces && piece.size() > 3 && piece.ends_with("▁")) { piece = "▁"; }
            }
            toy.add(piece, -float(random() % 4096) / 256);
        }
        std::string text;
        for (uint32_t n = random() % 9; n > 0; n--) { text += std::array{"a", "b", "c", " ", "z"}[random() % 5]; }
        const auto tokenizer = std::move(load_tokenizer(toy.file()
                                                            .kv("tokenizer.ggml.add_space_prefix", false)
                                                            .kv("tokenizer.ggml.remove_extra_whitespaces", false)))
                                   .value();
        std::string spelled;
        for (const char c : text) { spelled += c == ' ' ? "▁" : std::string(1, c); }
        float lowest = 0;
        std::map<std::string, double> scores;
        for (int32_t id = 3; id < tokenizer->n_tokens(); id++) {
            lowest = std::min(lowest, toy.scores[size_t(id)]);
            scores.try_emplace(toy.tokens[size_t(id)], toy.scores[size_t(id)]);
        }
        const std::function<double(std::string_view)> best = [&](std::string_view rest) -> double {
            if (rest.empty()) { return 0; }
            double found = -1e9;
            for (size_t n = 1; n <= rest.size(); n++) {
                const auto piece = scores.find(std::string(rest.substr(0, n)));
                if (piece != scores.end()) { found = std::max(found, piece->second + best(rest.substr(n))); }
            }
            if (rest[0] == 'z') { found = std::max(found, lowest - 10 + best(rest.substr(1))); }
            return found;
        };
        double ours = 0;
        std::string written;
        for (const int32_t id : *tokenizer->encode(text, {.add_special = false})) {
            written += id == 2 ? "?" : tokenizer->token_text(id);
            ours += id == 2 ? 0 : scores.at(std::string(tokenizer->token_text(id)));
        }
        ours += double(std::ranges::count(text, 'z')) * (double(lowest) - 10);
        EXPECT_NEAR(ours, best(spelled), 1e-9) << "text '" << text << "' as " << written;
    }
}

TEST(TextCharsmap, ReplacesTheLongestPrefix) {
    const std::vector<uint8_t> table =
        CharsmapBytes({{"A", "a"}, {"AB", "cc"}, {"\t", " "}, {"ﬁ", "ab"}, {"x", ""}, {"é", "e\u0301"}, {"AC", ""}})
            .build();
    const Toy toy = unigram_toy();
    const auto tokenizer = std::move(load_tokenizer(toy.file().array(charsmap_key, table))).value();
    EXPECT_EQ(pieces(*tokenizer, "A"), "▁a");
    EXPECT_EQ(pieces(*tokenizer, "AB"), "▁|c|c");
    EXPECT_EQ(pieces(*tokenizer, "AAB"), "▁a|c|c");
    EXPECT_EQ(pieces(*tokenizer, "\tA\t \tA"), "▁a|▁a") << "what becomes a space is one";
    EXPECT_EQ(pieces(*tokenizer, "aﬁ"), "▁a|ab");
    EXPECT_EQ(pieces(*tokenizer, "axa"), "▁a|a");
    EXPECT_EQ(pieces(*tokenizer, "xx"), "") << "nothing is left, and no space is put before it";
    EXPECT_EQ(pieces(*tokenizer, "ACA"), "▁a");
}

// Random tables against the obvious search.
TEST(TextCharsmap, AgreesWithASearchOfItsEntries) {
    std::mt19937 random(9);
    const auto word = [&](size_t n) {
        std::string out(1 + random() % n, '\0');
        for (char& c : out) { c = "abcde\xC3\xA9\xFF"[random() % 8]; }
        return out;
    };
    for (int round = 0; round < 60; round++) {
        std::map<std::string, std::string> entries;
        for (uint32_t n = 1 + random() % 40; n > 0; n--) { entries[word(4)] = random() % 5 == 0 ? "" : word(3); }
        GgufBytes file;
        file.array(charsmap_key, CharsmapBytes(entries).build());
        const std::vector<uint8_t> bytes = file.build();
        const base::MemorySource source(bytes, "toy.gguf");
        const auto read = gguf::read_file(source);
        const auto charsmap = text::Charsmap::load(read->metadata);
        ASSERT_TRUE(charsmap.ok());
        for (int i = 0; i < 50; i++) {
            const std::string text = word(7);
            size_t longest = 0;
            for (const auto& [from, to] : entries) {
                if (text.starts_with(from)) { longest = std::max(longest, from.size()); }
            }
            const auto match = charsmap->longest(text);
            ASSERT_TRUE(match.ok());
            ASSERT_EQ(match->n_bytes, longest) << text;
            if (longest > 0) { EXPECT_EQ(match->replacement, entries.at(text.substr(0, longest))); }
        }
    }
}

TEST(TextCharsmap, RefusesPlacesOutsideTheTable) {
    const auto encode = [](const std::vector<uint8_t>& table) {
        const auto tokenizer = load_tokenizer(unigram_toy().file().array(charsmap_key, table));
        return (*tokenizer)->encode("a");
    };
    // One unit of two: the root, whose offset leads past them.
    EXPECT_FALSE(encode({8, 0, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0, 'x', 0}).ok());
    // The root leads to 'a' itself at 0 ^ 'a', which is past two units.
    EXPECT_FALSE(encode({8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x', 0}).ok());
}

// Tables with bytes changed: every text is encoded, or refused with the key's name.
TEST(TextCharsmap, SurvivesDamagedTables) {
    const std::vector<uint8_t> good = CharsmapBytes({{"A", "a"}, {"AB", "b"}, {"C", "c"}, {"é", "e"}}).build();
    std::mt19937 random(1);
    int n_refused = 0;
    for (int round = 0; round < 2000; round++) {
        std::vector<uint8_t> bytes = good;
        for (uint32_t i = 1 + random() % 40; i > 0; i--) {
            bytes[4 + random() % (bytes.size() - 4)] = uint8_t(random());
        }
        if (round % 2 == 0) { bytes.back() = 'x'; }  // the last string has no end
        const auto tokenizer = load_tokenizer(unigram_toy().file().array(charsmap_key, bytes));
        ASSERT_TRUE(tokenizer.ok());
        const auto ids = (*tokenizer)->encode("ABCéABC\xFF\x01zz");
        if (ids.ok()) { continue; }
        n_refused++;
        EXPECT_NE(ids.error().message().find(charsmap_key), std::string::npos);
    }
    EXPECT_GT(n_refused, 100);
}

}  // namespace
