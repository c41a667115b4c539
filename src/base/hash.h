// A hash of bytes that is the same everywhere: for names and layouts, not against anybody who wants two texts to agree.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace wallaby::base {

// FNV-1a, 64 bits (Fowler, Noll, Vo).
constexpr uint64_t fnv1a(std::string_view bytes) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : bytes) { hash = (hash ^ uint8_t(c)) * 0x100000001b3u; }
    return hash;
}

// For gigabytes, at the speed of memory: words of 8 bytes are multiplied into four lanes, which rotate so that high
// bits reach low ones; the lanes are then hashed with the length and what came before (`before`: the digest of the
// previous piece).
inline uint64_t digest(std::span<const uint8_t> bytes, uint64_t before = 0) {
    std::array<uint64_t, 6> lanes{1, 2, 3, 4, bytes.size(), before};
    const auto mix = [&](size_t lane, uint64_t word) {
        lanes[lane] = std::rotl((lanes[lane] ^ word) * 0x9e3779b97f4a7c15u, 31);  // 2^64 over the golden ratio
    };
    size_t i = 0;
    for (; i + 32 <= bytes.size(); i += 32) {
        std::array<uint64_t, 4> words;
        std::memcpy(words.data(), bytes.data() + i, 32);
        for (size_t lane = 0; lane < 4; lane++) { mix(lane, words[lane]); }
    }
    for (; i < bytes.size(); i++) { mix(i % 4, bytes[i]); }
    return fnv1a({reinterpret_cast<const char*>(lanes.data()), sizeof(lanes)});
}

}  // namespace wallaby::base
