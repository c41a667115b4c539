// Properties of characters, and their canonical decomposition. The tables are utf8proc's.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace wallaby::text::unicode {

// The code point of a character that utf8::first_part() found valid.
char32_t code_point(std::string_view character);
// Appends a code point below 0x110000 as UTF-8.
void append(char32_t c, std::string& out);

bool is_space(char32_t c);            // separators (Z), tab, newline and carriage return
bool is_control(char32_t c);          // Cc but for those three, Cf, Co, Cs
bool is_punctuation(char32_t c);      // P
bool is_nonspacing_mark(char32_t c);  // Mn
char32_t to_lower(char32_t c);        // the simple mapping, one code point to one

// The full canonical decomposition of one code point: NFD but for the order of marks among several.
class Decomposition {
  public:
    explicit Decomposition(char32_t c);
    std::span<const char32_t> code_points() const& { return {buffer_.data(), n_}; }
    std::span<const char32_t> code_points() && = delete;  // it would outlive what it points into

  private:
    std::array<char32_t, 8> buffer_{};  // the longest has 4
    size_t n_ = 0;
};

}  // namespace wallaby::text::unicode
