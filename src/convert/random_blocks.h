// Random weights made directly as valid blocks of any weight format: random codes under scales chosen so that the
// decoded weights have about the wanted standard deviation, never an infinity or a NaN. Each byte depends on the key
// and on its place alone, so that any range can be made at any time by any thread.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "quant/format.h"

namespace wallaby::convert {

// The key of a tensor's stream: another seed or another name gives other weights.
uint64_t stream_key(uint64_t seed, std::string_view tensor_name);

class RandomBlocks {
  public:
    // Weights about mean ± sigma; sigma is held within 1e-6 … 1e4. Formats with shared scales have mean 0 whatever is
    // asked, and NVFP4, whose scales end at 2^-9, no sigma below 0.005. Integer types give zeros.
    RandomBlocks(quant::Type type, double mean, double sigma);

    // Bytes offset … offset + out.size() - 1 of the stream.
    void fill(uint64_t key, uint64_t offset, std::span<uint8_t> out) const;

    // What the makers of units choose from.
    struct Tables {
        size_t unit_bytes = 8;                         // a block, or eight bytes of a format without blocks
        float mean = 0, step = 0;                      // F32 and F64: mean + step * a random 32-bit integer
        std::array<uint16_t, 4096> weights{};          // F16 and BF16, as bits
        std::array<uint16_t, 256> scales{}, minima{};  // of blocks, as bits
        uint16_t scale_at = 0, minimum_at = 0;         // their places in the block
    };

  private:
    // Makes units first … first + n - 1.
    using MakeUnits = void (*)(const Tables& tables, uint64_t key, uint64_t first, size_t n, uint8_t* out);
    Tables tables_;
    MakeUnits make_;
};

}  // namespace wallaby::convert
