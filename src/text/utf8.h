// Strict UTF-8 (RFC 3629): no surrogates, nothing above U+10FFFF, shortest forms only.
//
// Where bytes are not UTF-8, each maximal ill-formed part becomes one U+FFFD: the longest prefix of some well-formed
// character, or one byte where there is none (The Unicode Standard, section 3.9, "U+FFFD Substitution of Maximal
// Subparts"; the WHATWG decoder does the same).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace wallaby::text::utf8 {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

enum class Kind {
    valid,       // a whole character
    invalid,     // bytes that no continuation can make valid
    incomplete,  // the text ends inside what may still become a character
};

struct Part {
    Kind kind;
    size_t n_bytes;  // 1 to 4
};

// What `bytes`, which is not empty, begins with.
Part first_part(std::string_view bytes);

// The length of the longest well-formed prefix.
size_t valid_prefix(std::string_view bytes);

// Appends `bytes` to `out` with U+FFFD for what is ill-formed, and returns how many bytes at the end were left out
// because they may be the beginning of a character (0 to 3).
size_t append_replacing(std::string_view bytes, std::string& out);

// All of `bytes`, an incomplete end replaced too.
std::string replace_invalid(std::string_view bytes);

}  // namespace wallaby::text::utf8
