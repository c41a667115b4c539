// The alphabet of byte-level BPE: vocabularies spell each byte as one printable character. Printable bytes of Latin-1
// (0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF) stand for themselves; the other 68, in order, are U+0100 onwards, so that a space
// is U+0120. Definition: https://github.com/openai/gpt-2 (encoder.py).
#pragma once
#include <string>
#include <string_view>

namespace wallaby::text {

// Appends the bytes that `piece` spells to `out`. False, with `out` as it was, when it has other characters.
bool append_spelled_bytes(std::string_view piece, std::string& out);

}  // namespace wallaby::text
