// Digests of bytes that come in pieces: SHA-256 (FIPS 180-4) and XXH64 (github.com/Cyan4973/xxHash,
// doc/xxhash_spec.md).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace wallaby::base {

class Digest {
  public:
    virtual ~Digest() = default;
    virtual void add(std::span<const uint8_t> bytes) = 0;
    // Of all bytes added, in hexadecimal; nothing can be added afterwards.
    virtual std::string finish() = 0;
};

// The names of make_digest.
inline constexpr std::array<std::string_view, 2> digest_names = {"sha256", "xxh64"};
// nullptr for another name.
std::unique_ptr<Digest> make_digest(std::string_view name);

}  // namespace wallaby::base
