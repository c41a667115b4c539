// Time grows with the text, not with its square, whatever the text. Quadratic code takes sixteen times as long for four
// times the text; the bound lies between because the machine may be busy, and a short text fits a nearer cache. A
// sanitizer sees shorter texts: what it looks for does not wait for the long ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <random>

#include "support/sanitized.h"
#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// Of this thread's own processor time: other work on the machine counts little.
double seconds_to_encode(const text::Tokenizer& tokenizer, const std::string& text) {
    const auto now = [] {
        timespec t{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
    };
    const double start = now();
    const bool ok = tokenizer.encode(text).ok();
    return ok ? now() - start : 1e9;
}

std::string random_bytes(size_t n) {
    std::mt19937 random(5);
    std::string out(n, '\0');
    for (char& c : out) { c = char(random()); }
    return out;
}

void expect_linear(const text::Tokenizer& tokenizer, const char* name) {
    constexpr size_t n_part = under_sanitizer ? 1 << 11 : 1 << 15, n = 4 * n_part;
    const std::string words = random_bytes(n);
    const std::string letters = [] {
        std::string out = random_bytes(n);
        for (char& c : out) { c = char('a' + uint8_t(c) % 3); }
        return out;
    }();
    const auto repeated = [](std::string_view character) {
        std::string out;
        while (out.size() < n) { out += character; }
        return out;
    };
    for (const std::string& text : {std::string(n, 'a'), std::string(n, ' '), std::string(n, '\n'), std::string(n, '<'),
                                    words, letters, std::string(n, ' ') + "7", repeated("😀"), repeated("漢")}) {
        // The fastest of several runs of each, more of them while a neighbour disturbs: nothing helps quadratic code.
        double part = 1e9, whole = 1e9;
        for (int run = 0; run < (under_sanitizer ? 1 : 12) && (run < 2 || whole >= 8 * part); run++) {
            part = std::min(part, seconds_to_encode(tokenizer, text.substr(text.size() - n_part)));
            whole = std::min(whole, seconds_to_encode(tokenizer, text));
        }
        if (!under_sanitizer) { EXPECT_LT(whole, 8 * part) << name << " on " << int(text[0]); }
    }
}

TEST(TextLinearTime, Spm) {
    Toy toy = spm_toy();
    for (const char* piece : {"aa", "aaaa", "▁▁▁▁", "\n\n", "<<", "ba", "ca", "bab"}) { toy.add(piece, -20); }
    toy.add("<<<<<<<<<<<<<<<<<<<<x", 0, 3);
    expect_linear(*toy.load(), "spm");
    toy.add("a▁b", -30);  // texts cannot be cut into words
    expect_linear(*toy.load(), "spm over spaces");
    for (float& score : toy.scores) { score = 0; }
    expect_linear(*toy.load(), "spm without scores");
}

TEST(TextLinearTime, Bpe) {
    Toy toy = bpe_toy({"a a", "aa aa", "Ġ Ġ", "ĠĠ ĠĠ", "Ċ Ċ", "< <", "b a", "c a", "b c", "aaaa aaaa"});
    for (const char* pre : {"default", "gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-v3", "gpt-4o", "tekken",
                            "bloom", "exaone-moe", "kimi-k2", "chameleon"}) {
        const auto tokenizer = std::move(load_tokenizer(toy.file().kv("tokenizer.ggml.pre", pre))).value();
        expect_linear(*tokenizer, pre);
    }
}

TEST(TextLinearTime, CharBpe) {
    const Toy toy = char_bpe_toy({"a a", "aa aa", "▁ ▁", "▁▁ ▁▁", "\n \n", "< <", "b a", "c a", "b c", "aaaa aaaa"});
    expect_linear(*toy.load(), "gemma4");
}

TEST(TextLinearTime, WordPiece) {
    Toy toy = wordpiece_toy();
    for (const char* piece : {"a", "aa", "aaaa", "c", "<", "▁<"}) { toy.add(piece); }
    expect_linear(*toy.load(), "wordpiece");
}

TEST(TextLinearTime, Unigram) {
    Toy toy = unigram_toy();
    for (const char* piece : {"aa", "aaaaaaaa", "▁▁▁▁", "\n\n", "<<", "ba", "ca", "bab"}) { toy.add(piece, -5); }
    expect_linear(*toy.load(), "unigram");
    toy.add("a▁b", -30);  // texts cannot be cut into words
    const auto whole = load_tokenizer(toy.file().kv("tokenizer.ggml.remove_extra_whitespaces", false));
    expect_linear(**whole, "unigram over spaces");
}

}  // namespace
