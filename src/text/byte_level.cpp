#include "text/byte_level.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "text/utf8.h"

namespace wallaby::text {

namespace {

constexpr size_t alphabet_end = 0x144;
constexpr int16_t no_byte = -1;

constexpr bool is_printable(int byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<int16_t, alphabet_end> make_bytes() {
    std::array<int16_t, alphabet_end> bytes{};
    bytes.fill(no_byte);
    size_t next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        if (is_printable(byte)) {
            bytes[size_t(byte)] = int16_t(byte);
        } else {
            bytes[next++] = int16_t(byte);
        }
    }
    return bytes;
}

constexpr std::array<int16_t, alphabet_end> n_bytes_half = make_bytes();
static_assert(n_bytes_half[0x120] == ' ' && n_bytes_half[0x10A] == '\n' && n_bytes_half[0x143] == 0xAD &&
              n_bytes_half['a'] == 'a');

}  // namespace

bool append_spelled_bytes(std::string_view piece, std::string& out) {
    const size_t n_before = out.size();
    while (!piece.empty()) {
        const utf8::Part part = utf8::first_part(piece);
        size_t character = alphabet_end;  // of three and more bytes: past the alphabet
        if (part.kind == utf8::Kind::valid && part.n_bytes == 1) { character = uint8_t(piece[0]); }
        if (part.kind == utf8::Kind::valid && part.n_bytes == 2) {
            character = size_t(uint8_t(piece[0]) & 0x1F) << 6 | (uint8_t(piece[1]) & 0x3F);
        }
        if (character >= alphabet_end || n_bytes_half[character] == no_byte) {
            out.resize(n_before);
            return false;
        }
        out += char(n_bytes_half[character]);
        piece.remove_prefix(part.n_bytes);
    }
    return true;
}

}  // namespace wallaby::text
