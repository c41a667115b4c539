#include "text/detokenizer.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "text/utf8.h"
#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// Bytes that make whole, broken and half characters likely.
rc::Gen<std::string> bytes_of_text() {
    const auto part = rc::gen::element<std::string>("a", "é", "€", "😀", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\x98",
                                                    "\xFF", "\xED\xA0\x80", "\xE0\x9F", "\xF4\x90", " ", "\xC0");
    return rc::gen::map(rc::gen::container<std::vector<std::string>>(part), [](const std::vector<std::string>& parts) {
        std::string out;
        for (const std::string& p : parts) { out += p; }
        return out;
    });
}

TEST(TextStreamDecoder, AnySplitOfAnyBytesGivesTheWholeTextReplacedAtOnce) {
    const auto tokenizer = bpe_toy().load();
    EXPECT_TRUE(rc::check([&] {
        const std::string bytes = *bytes_of_text();
        text::StreamDecoder decoder(*tokenizer);
        std::string streamed;
        for (size_t at = 0; at < bytes.size();) {
            const size_t n = *rc::gen::inRange<size_t>(1, 6);
            const std::string out = decoder.push_bytes(std::string_view(bytes).substr(at, n));
            RC_ASSERT(text::utf8::valid_prefix(out) == out.size());
            RC_ASSERT(decoder.n_pending() <= 3u);
            streamed += out;
            at += n;
        }
        streamed += decoder.flush();
        RC_ASSERT(streamed == text::utf8::replace_invalid(bytes));
        RC_ASSERT(decoder.n_pending() == 0u);
    }));
}

TEST(TextStreamDecoder, TokensStreamToWhatDecodingThemAtOnceGives) {
    for (const Toy& toy : {spm_toy(), bpe_toy(), char_bpe_toy(), wordpiece_toy(), unigram_toy()}) {
        const auto tokenizer = toy.load();
        EXPECT_TRUE(rc::check([&](bool render_special) {
            const auto ids = *rc::gen::container<std::vector<int32_t>>(rc::gen::inRange(-1, tokenizer->n_tokens() + 1));
            text::StreamDecoder decoder(*tokenizer, render_special, true);
            std::string streamed;
            for (const int32_t id : ids) { streamed += decoder.push(id); }
            streamed += decoder.flush();
            RC_ASSERT(streamed == text::utf8::replace_invalid(tokenizer->decode(ids, render_special)));
        }));
    }
}

TEST(TextStreamDecoder, ACharacterComesWhenItsLastByteDoes) {
    const auto tokenizer = bpe_toy().load();  // byte b is token b
    text::StreamDecoder decoder(*tokenizer);
    EXPECT_EQ(decoder.push(0xF0), "");
    EXPECT_EQ(decoder.push(0x9F), "");
    EXPECT_EQ(decoder.push(0x98), "");
    EXPECT_EQ(decoder.n_pending(), 3u);
    EXPECT_EQ(decoder.push(0x80), "😀");
    EXPECT_EQ(decoder.push(0xE2), "");
    EXPECT_EQ(decoder.push('x'), "\uFFFDx");
    EXPECT_EQ(decoder.push(0xC3), "");
    EXPECT_EQ(decoder.flush(), "\uFFFD");
    EXPECT_EQ(decoder.flush(), "");
}

TEST(TextStreamDecoder, KeepsTheSpaceAfterAPromptAndDropsTheOneAtTheStart) {
    const auto tokenizer = spm_toy().load();
    const int32_t piece = *tokenizer->find("▁ab");
    EXPECT_EQ(text::StreamDecoder(*tokenizer).push(piece), " ab");
    text::StreamDecoder at_start(*tokenizer, false, true);
    EXPECT_EQ(at_start.push(piece), "ab");
    EXPECT_EQ(at_start.push(piece), " ab");
}

}  // namespace
