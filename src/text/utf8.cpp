#include "text/utf8.h"

#include <cstdint>

namespace wallaby::text::utf8 {

Part first_part(std::string_view bytes) {
    const auto at = [&](size_t i) { return uint8_t(bytes[i]); };
    const uint8_t lead = at(0);
    if (lead < 0x80) { return {Kind::valid, 1}; }
    if (lead < 0xC2 || lead > 0xF4) { return {Kind::invalid, 1}; }

    // Only the second byte's range depends on the first: it keeps out long forms, surrogates and what is past U+10FFFF.
    const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    if (lead == 0xE0) { low = 0xA0; }
    if (lead == 0xED) { high = 0x9F; }
    if (lead == 0xF0) { low = 0x90; }
    if (lead == 0xF4) { high = 0x8F; }
    for (size_t i = 1; i < length; i++) {
        if (i == bytes.size()) { return {Kind::incomplete, i}; }
        if (at(i) < low || at(i) > high) { return {Kind::invalid, i}; }
        low = 0x80;
        high = 0xBF;
    }
    return {Kind::valid, length};
}

size_t valid_prefix(std::string_view bytes) {
    size_t at = 0;
    while (at < bytes.size()) {
        if (uint8_t(bytes[at]) < 0x80) {
            at++;
            continue;
        }
        const Part part = first_part(bytes.substr(at));
        if (part.kind != Kind::valid) { break; }
        at += part.n_bytes;
    }
    return at;
}

size_t append_replacing(std::string_view bytes, std::string& out) {
    while (!bytes.empty()) {
        const size_t n_valid = valid_prefix(bytes);
        out.append(bytes.substr(0, n_valid));
        bytes.remove_prefix(n_valid);
        if (bytes.empty()) { break; }
        const Part part = first_part(bytes);
        if (part.kind == Kind::incomplete) { return part.n_bytes; }
        out.append(replacement_character);
        bytes.remove_prefix(part.n_bytes);
    }
    return 0;
}

std::string replace_invalid(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    if (append_replacing(bytes, out) > 0) { out.append(replacement_character); }
    return out;
}

}  // namespace wallaby::text::utf8
