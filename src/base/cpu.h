// What this processor can do and what the operating system lets it.
#pragma once
#include <cstdint>
#include <string_view>

namespace wallaby::base {

// What kernels ask for beyond the least that a 64-bit x86 or ARM processor has. A feature counts only when the system
// keeps its registers.
enum class CpuFeature : uint8_t {
    avx2,
    fma,
    f16c,
    avxvnni,
    avx512f,
    avx512bw,
    avx512dq,
    avx512vl,
    avx512vnni,
    avx512bf16,
    dotprod,  // ARM: products of four bytes
    i8mm,     // ARM: products of 2 x 8 by 8 x 2 bytes
};
inline constexpr int n_cpu_features = 12;
std::string_view name_of(CpuFeature feature);

class CpuFeatures {
  public:
    constexpr bool has(CpuFeature feature) const { return (bits_ >> int(feature) & 1u) != 0; }
    constexpr void set(CpuFeature feature, bool value = true) {
        bits_ = (bits_ & ~(1u << int(feature))) | uint32_t(value) << int(feature);
    }

  private:
    uint32_t bits_ = 0;
};

CpuFeatures cpu_features();

}  // namespace wallaby::base
