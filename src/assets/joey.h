// The model that the program carries: assets/joey.gguf, in its read-only data.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "gguf/weight_source.h"

namespace wallaby::assets {

// What metadata().file() and errors call it.
inline constexpr std::string_view joey_name = "joey (built in)";

// The whole file, at a multiple of 64; there as long as the program is.
std::span<const uint8_t> joey_bytes();

// Opened over those bytes with the checks of any file; nothing but the header is copied.
Result<std::unique_ptr<gguf::WeightSource>> open_joey();

// The model of that name: "joey" is the one that the program carries, wherever it runs; anything else is the path of a
// file ("./joey" too).
Result<std::unique_ptr<gguf::WeightSource>> open_named(const std::string& name);

}  // namespace wallaby::assets
