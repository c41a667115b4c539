// Our own generator and mapping, so that a seed gives the same tokens with every library and on every machine.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace wallaby::sampling {

// xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), seeded by splitmix64.
class Random {
  public:
    explicit Random(uint64_t seed) {
        for (uint64_t& word : state_) {
            seed += 0x9e3779b97f4a7c15u;
            uint64_t z = seed;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
            word = z ^ (z >> 31);
        }
    }

    uint64_t next() {
        const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const uint64_t t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // Uniform in [0, 1): a multiple of 2^-53.
    double uniform() { return double(next() >> 11) * 0x1p-53; }

  private:
    std::array<uint64_t, 4> state_{};
};

}  // namespace wallaby::sampling
