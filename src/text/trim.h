// White space around a text, as Jinja templates trim it.
#pragma once
#include <string_view>

namespace wallaby::text {

// `text` without the white space at both ends: what Python's str.strip() takes, which is Unicode's White_Space and the
// four separators U+001C to U+001F.
std::string_view trim(std::string_view text);

}  // namespace wallaby::text
