#include "text/utf8.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>

namespace {

using namespace wallaby::text;

// Every code point, encoded by the formula of RFC 3629.
std::string encode(uint32_t c) {
    if (c < 0x80) { return {char(c)}; }
    if (c < 0x800) { return {char(0xC0 | c >> 6), char(0x80 | (c & 63))}; }
    if (c < 0x10000) { return {char(0xE0 | c >> 12), char(0x80 | (c >> 6 & 63)), char(0x80 | (c & 63))}; }
    return {char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 63)), char(0x80 | (c >> 6 & 63)), char(0x80 | (c & 63))};
}

TEST(TextUtf8, EveryCodePointIsOneCharacterAndEveryPrefixIncomplete) {
    for (uint32_t c = 0; c < 0x120000; c++) {
        const std::string bytes = encode(c);
        const bool valid = c < 0x110000 && (c < 0xD800 || c > 0xDFFF);
        const utf8::Part part = utf8::first_part(bytes);
        ASSERT_EQ(part.kind == utf8::Kind::valid, valid) << std::hex << c;
        if (!valid) { continue; }
        ASSERT_EQ(part.n_bytes, bytes.size());
        for (size_t n = 1; n < bytes.size(); n++) {
            const utf8::Part cut = utf8::first_part(std::string_view(bytes).substr(0, n));
            ASSERT_EQ(cut.kind, utf8::Kind::incomplete);
            ASSERT_EQ(cut.n_bytes, n);
        }
    }
}

// Long forms of a code point, in two to four bytes.
TEST(TextUtf8, LongFormsAreInvalid) {
    for (const char* bytes :
         {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF"}) {
        EXPECT_EQ(utf8::first_part(bytes).kind, utf8::Kind::invalid);
        EXPECT_EQ(utf8::valid_prefix(bytes), 0u);
    }
}

// The example of The Unicode Standard, table 3-8 and its neighbours.
TEST(TextUtf8, ReplacesMaximalSubparts) {
    const std::string r(utf8::replacement_character);
    EXPECT_EQ(utf8::replace_invalid("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
              "a" + r + r + r + "b" + r + "c" + r + r + "d");
    EXPECT_EQ(utf8::replace_invalid("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
    EXPECT_EQ(utf8::replace_invalid("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
    EXPECT_EQ(utf8::replace_invalid("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), r + r + r + r + r + "A" + r + r + "B");
    EXPECT_EQ(utf8::replace_invalid("ok \xF0\x9F\x98"), "ok " + r);
    EXPECT_EQ(utf8::replace_invalid(""), "");
}

TEST(TextUtf8, ValidPrefixEndsAtTheFirstByteThatIsWrong) {
    EXPECT_EQ(utf8::valid_prefix("h\xC3\xA9\xC3"), 3u);
    EXPECT_EQ(utf8::valid_prefix("\xFFh"), 0u);
    EXPECT_EQ(utf8::valid_prefix("hello"), 5u);
}

TEST(TextUtf8, ReplacedTextIsValidAndValidTextStays) {
    EXPECT_TRUE(rc::check([](const std::string& bytes) {
        const std::string once = utf8::replace_invalid(bytes);
        RC_ASSERT(utf8::valid_prefix(once) == once.size());
        RC_ASSERT(utf8::replace_invalid(once) == once);
        if (utf8::valid_prefix(bytes) == bytes.size()) { RC_ASSERT(once == bytes); }
    }));
}

}  // namespace
