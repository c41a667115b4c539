// SentencePiece's vocabularies, and those converted to look like them, spell a space as U+2581.
#pragma once
#include <cstddef>
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

// The space, in either spelling, that `text` begins with: its length, or 0.
inline size_t space_at(std::string_view text) {
    if (text.starts_with(' ')) { return 1; }
    return text.starts_with(space_mark) ? space_mark.size() : 0;
}

// Where the first word of `text` ends: before the first space that follows something else.
inline size_t spaced_word_end(std::string_view text) {
    size_t at = 0;
    while (const size_t n = space_at(text.substr(at))) { at += n; }
    while (at < text.size() && space_at(text.substr(at)) == 0) { at++; }
    return at;
}

}  // namespace wallaby::text
