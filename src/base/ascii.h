// Letters as names and flags have them, whatever the locale.
#pragma once
#include <string>
#include <string_view>

namespace wallaby::base {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c + 'a' - 'A') : c; }

inline std::string lower(std::string_view text) {
    std::string out;
    for (const char c : text) { out += lower(c); }
    return out;
}

}  // namespace wallaby::base
