#include "base/cpu.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace wallaby::base {

#if defined(__x86_64__)
namespace {

struct Registers {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
    Registers r;
    if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) { return {}; }
    return r;
}

// Which register sets the operating system saves (XCR0).
uint64_t saved_registers() {
    uint32_t low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t(high) << 32 | low;
}

bool bit(uint32_t word, int i) { return (word >> i & 1) != 0; }

}  // namespace

CpuFeatures cpu_features() {
    CpuFeatures f;
    const Registers one = cpuid(1), seven = cpuid(7), seven_one = cpuid(7, 1);
    constexpr int osxsave = 27;
    if (!bit(one.ecx, osxsave)) { return f; }
    const uint64_t saved = saved_registers();
    const bool has_ymm = (saved & 0x06) == 0x06, has_zmm = (saved & 0xe6) == 0xe6;
    f.fma = has_ymm && bit(one.ecx, 12);
    f.f16c = has_ymm && bit(one.ecx, 29);
    f.avx2 = has_ymm && bit(seven.ebx, 5);
    f.avx512f = has_zmm && bit(seven.ebx, 16);
    f.avx512dq = has_zmm && bit(seven.ebx, 17);
    f.avx512bw = has_zmm && bit(seven.ebx, 30);
    f.avx512vl = has_zmm && bit(seven.ebx, 31);
    f.avx512vnni = has_zmm && bit(seven.ecx, 11);
    f.avx512bf16 = has_zmm && bit(seven_one.eax, 5);
    return f;
}
#else
CpuFeatures cpu_features() { return {}; }
#endif

}  // namespace wallaby::base
