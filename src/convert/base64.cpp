#include "convert/base64.h"

#include <cstdint>

namespace wallaby::convert {

std::optional<std::string> decode_base64(std::string_view text) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 2 && text.ends_with('='); i++) { text.remove_suffix(1); }
    if (text.size() % 4 == 1) { return std::nullopt; }
    std::string out;
    out.reserve(text.size() / 4 * 3 + 2);
    uint32_t bits = 0;
    uint32_t n_bits = 0;
    for (const char c : text) {
        const size_t digit = digits.find(c);
        if (digit == std::string_view::npos) { return std::nullopt; }
        bits = (bits << 6 | uint32_t(digit)) & 0xFFF;
        n_bits += 6;
        if (n_bits < 8) { continue; }
        n_bits -= 8;
        out += char(uint8_t(bits >> n_bits));
    }
    return out;
}

}  // namespace wallaby::convert
