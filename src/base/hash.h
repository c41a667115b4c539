// A hash of bytes that is the same everywhere: for names and layouts, not against anybody who wants two texts to agree.
#pragma once
#include <cstdint>
#include <string_view>

namespace wallaby::base {

// FNV-1a, 64 bits (Fowler, Noll, Vo).
constexpr uint64_t fnv1a(std::string_view bytes) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : bytes) { hash = (hash ^ uint8_t(c)) * 0x100000001b3u; }
    return hash;
}

}  // namespace wallaby::base
