#include "text/trim.h"

#include <cstddef>
#include <cstdint>

namespace wallaby::text {

namespace {

// White space that `text` begins with: the bytes of one character, or 0.
size_t space_at(std::string_view text) {
    if (text.empty()) { return 0; }
    const auto byte = uint8_t(text[0]);
    if (byte == ' ' || (byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x1F)) { return 1; }
    for (const std::string_view two : {"\xC2\x85", "\xC2\xA0"}) {
        if (text.starts_with(two)) { return 2; }
    }
    for (const std::string_view three :
         {"\xE1\x9A\x80", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"}) {
        if (text.starts_with(three)) { return 3; }
    }
    // U+2000 to U+200A
    const bool is_wide =
        text.size() >= 3 && text.starts_with("\xE2\x80") && uint8_t(text[2]) >= 0x80 && uint8_t(text[2]) <= 0x8A;
    return is_wide ? 3 : 0;
}

}  // namespace

std::string_view trim(std::string_view text) {
    while (const size_t n = space_at(text)) { text.remove_prefix(n); }
    while (!text.empty()) {
        size_t n = 0;
        for (size_t length = 1; length <= 3 && length <= text.size() && n == 0; length++) {
            if (space_at(text.substr(text.size() - length)) == length) { n = length; }
        }
        if (n == 0) { break; }
        text.remove_suffix(n);
    }
    return text;
}

}  // namespace wallaby::text
