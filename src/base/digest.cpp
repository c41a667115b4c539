#include "base/digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"

namespace wallaby::base {
namespace {

// Hands whole blocks on, and keeps the rest for later.
template <size_t block_bytes>
class Blocks {
  public:
    template <class Use>
    void add(std::span<const uint8_t> bytes, const Use& use) {
        n_bytes_ += bytes.size();
        if (n_kept_ > 0) {
            const auto first = bytes.first(std::min(bytes.size(), block_bytes - n_kept_));
            std::ranges::copy(first, kept_.begin() + n_kept_);
            n_kept_ += first.size();
            bytes = bytes.subspan(first.size());
            if (n_kept_ < block_bytes) { return; }
            use(kept_.data());
            n_kept_ = 0;
        }
        for (; bytes.size() >= block_bytes; bytes = bytes.subspan(block_bytes)) { use(bytes.data()); }
        std::ranges::copy(bytes, kept_.begin());
        n_kept_ = bytes.size();
    }
    uint64_t n_bytes() const { return n_bytes_; }
    std::span<const uint8_t> kept() const { return std::span(kept_).first(n_kept_); }

  private:
    std::array<uint8_t, block_bytes> kept_{};
    size_t n_kept_ = 0;
    uint64_t n_bytes_ = 0;
};

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> sha256_constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

class Sha256 final : public Digest {
  public:
    void add(std::span<const uint8_t> bytes) override {
        blocks_.add(bytes, [this](const uint8_t* block) { use(block); });
    }
    std::string finish() override {
        const uint64_t n_bits = 8 * blocks_.n_bytes();
        std::array<uint8_t, 72> end{0x80};  // zeros, and the length in bits, so that whole blocks come out
        const size_t n_kept = blocks_.kept().size();
        const size_t n_pad = (n_kept < 56 ? 56 : 120) - n_kept;
        for (size_t i = 0; i < 8; i++) { end[n_pad + i] = uint8_t(n_bits >> (56 - 8 * i)); }
        add(std::span(end).first(n_pad + 8));
        std::string hex;
        for (const uint32_t word : state_) { hex += fmt::format("{:08x}", word); }
        return hex;
    }

  private:
    void use(const uint8_t* block) {
        std::array<uint32_t, 64> w;
        for (size_t i = 0; i < 16; i++) {
            w[i] = uint32_t(block[4 * i]) << 24 | uint32_t(block[4 * i + 1]) << 16 | uint32_t(block[4 * i + 2]) << 8 |
                   block[4 * i + 3];
        }
        for (size_t i = 16; i < 64; i++) {
            const uint32_t a = w[i - 15], b = w[i - 2];
            const uint32_t small0 = std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3;
            const uint32_t small1 = std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10;
            w[i] = w[i - 16] + small0 + w[i - 7] + small1;
        }
        auto [a, b, c, d, e, f, g, h] = state_;
        for (size_t i = 0; i < 64; i++) {
            const uint32_t big1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
            const uint32_t big0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
            const uint32_t first = h + big1 + ((e & f) ^ (~e & g)) + sha256_constants[i] + w[i];
            const uint32_t second = big0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g;
            g = f;
            f = e;
            e = d + first;
            d = c;
            c = b;
            b = a;
            a = first + second;
        }
        const std::array<uint32_t, 8> after = {a, b, c, d, e, f, g, h};
        for (size_t i = 0; i < 8; i++) { state_[i] += after[i]; }
    }

    Blocks<64> blocks_;
    // The first 32 bits of the fractional parts of the square roots of the first 8 primes.
    std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

class Xxh64 final : public Digest {
  public:
    void add(std::span<const uint8_t> bytes) override {
        blocks_.add(bytes, [this](const uint8_t* block) {
            for (size_t i = 0; i < 4; i++) { lanes_[i] = round(lanes_[i], load_le<uint64_t>(block + 8 * i)); }
        });
    }
    std::string finish() override {
        uint64_t hash = prime5;
        if (blocks_.n_bytes() >= 32) {
            hash =
                std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
            for (const uint64_t lane : lanes_) { hash = (hash ^ round(0, lane)) * prime1 + prime4; }
        }
        hash += blocks_.n_bytes();
        auto rest = blocks_.kept();
        for (; rest.size() >= 8; rest = rest.subspan(8)) {
            hash = std::rotl(hash ^ round(0, load_le<uint64_t>(rest.data())), 27) * prime1 + prime4;
        }
        if (rest.size() >= 4) {
            hash = std::rotl(hash ^ load_le<uint32_t>(rest.data()) * prime1, 23) * prime2 + prime3;
            rest = rest.subspan(4);
        }
        for (const uint8_t byte : rest) { hash = std::rotl(hash ^ byte * prime5, 11) * prime1; }
        hash = (hash ^ hash >> 33) * prime2;
        hash = (hash ^ hash >> 29) * prime3;
        return fmt::format("{:016x}", hash ^ hash >> 32);
    }

  private:
    static constexpr uint64_t prime1 = 0x9e3779b185ebca87, prime2 = 0xc2b2ae3d27d4eb4f, prime3 = 0x165667b19e3779f9,
                              prime4 = 0x85ebca77c2b2ae63, prime5 = 0x27d4eb2f165667c5;
    static uint64_t round(uint64_t lane, uint64_t word) { return std::rotl(lane + word * prime2, 31) * prime1; }

    Blocks<32> blocks_;
    std::array<uint64_t, 4> lanes_ = {prime1 + prime2, prime2, 0, -prime1};
};

}  // namespace

std::unique_ptr<Digest> make_digest(std::string_view name) {
    if (name == digest_names[0]) { return std::make_unique<Sha256>(); }
    if (name == digest_names[1]) { return std::make_unique<Xxh64>(); }
    return nullptr;
}

}  // namespace wallaby::base
