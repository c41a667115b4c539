#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace wallaby::convert {

// The bytes that RFC 4648's base64 stands for, with or without its padding; nothing for any other text.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace wallaby::convert
