// SentencePiece's vocabularies, and those converted to look like them, spell a space as U+2581.
#pragma once
#include <string>
#include <string_view>

namespace wallaby::text {

inline constexpr std::string_view space_mark = "\xE2\x96\x81";

// Appends `text` with its spaces spelled as marks.
inline void append_marking_spaces(std::string_view text, std::string& out) {
    for (const char c : text) {
        if (c == ' ') {
            out += space_mark;
        } else {
            out += c;
        }
    }
}

// Appends `piece` with its marks read as spaces.
inline void append_reading_spaces(std::string_view piece, std::string& out) {
    while (!piece.empty()) {
        const size_t n = piece.find(space_mark);
        out.append(piece.substr(0, n));
        if (n == std::string_view::npos) { return; }
        out += ' ';
        piece.remove_prefix(n + space_mark.size());
    }
}

}  // namespace wallaby::text
