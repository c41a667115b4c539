#include "text/unicode.h"

#include <utf8proc.h>

#include <cstdint>

namespace wallaby::text::unicode {

char32_t code_point(std::string_view character) {
    const auto at = [&](size_t i) { return char32_t(uint8_t(character[i])); };
    const auto tail = [&](size_t i) { return at(i) & 0x3F; };
    switch (character.size()) {
        case 1: return at(0);
        case 2: return (at(0) & 0x1F) << 6 | tail(1);
        case 3: return (at(0) & 0x0F) << 12 | tail(1) << 6 | tail(2);
        default: return (at(0) & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3);
    }
}

void append(char32_t c, std::string& out) {
    utf8proc_uint8_t bytes[4] = {};
    const utf8proc_ssize_t n = utf8proc_encode_char(utf8proc_int32_t(c), bytes);
    out.append(reinterpret_cast<const char*>(bytes), size_t(n));
}

bool is_space(char32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') { return true; }
    switch (utf8proc_category(utf8proc_int32_t(c))) {
        case UTF8PROC_CATEGORY_ZS:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP: return true;
        default: return false;
    }
}

bool is_control(char32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') { return false; }
    switch (utf8proc_category(utf8proc_int32_t(c))) {
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_CS: return true;
        default: return false;
    }
}

bool is_punctuation(char32_t c) {
    switch (utf8proc_category(utf8proc_int32_t(c))) {
        case UTF8PROC_CATEGORY_PC:
        case UTF8PROC_CATEGORY_PD:
        case UTF8PROC_CATEGORY_PS:
        case UTF8PROC_CATEGORY_PE:
        case UTF8PROC_CATEGORY_PI:
        case UTF8PROC_CATEGORY_PF:
        case UTF8PROC_CATEGORY_PO: return true;
        default: return false;
    }
}

bool is_nonspacing_mark(char32_t c) { return utf8proc_category(utf8proc_int32_t(c)) == UTF8PROC_CATEGORY_MN; }

char32_t to_lower(char32_t c) { return char32_t(utf8proc_tolower(utf8proc_int32_t(c))); }

Decomposition::Decomposition(char32_t c) {
    std::array<utf8proc_int32_t, 8> parts{};
    int bound_class = 0;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(utf8proc_int32_t(c), parts.data(), parts.size(), UTF8PROC_DECOMPOSE, &bound_class);
    if (n < 1 || size_t(n) > buffer_.size()) {  // what the library does not decompose stays as it is
        buffer_[n_++] = c;
        return;
    }
    while (n_ < size_t(n)) {
        buffer_[n_] = char32_t(parts[n_]);
        n_++;
    }
}

}  // namespace wallaby::text::unicode
