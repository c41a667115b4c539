#include "base/cpu.h"

#include <array>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace wallaby::base {

std::string_view name_of(CpuFeature feature) {
    static constexpr std::array<std::string_view, n_cpu_features> names = {
        "avx2",     "fma",      "f16c",       "avxvnni",    "avx512f", "avx512bw",
        "avx512dq", "avx512vl", "avx512vnni", "avx512bf16", "dotprod", "i8mm"};
    return names[size_t(feature)];
}

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

}  // namespace

CpuFeatures cpu_features() {
    CpuFeatures f;
    const Registers one = cpuid(1), seven = cpuid(7), seven_one = cpuid(7, 1);
    constexpr int osxsave = 27;
    const auto bit = [](uint32_t word, int i) { return (word >> i & 1) != 0; };
    if (!bit(one.ecx, osxsave)) { return f; }
    const uint64_t saved = saved_registers();
    const bool has_ymm = (saved & 0x06) == 0x06, has_zmm = (saved & 0xe6) == 0xe6;
    f.set(CpuFeature::fma, has_ymm && bit(one.ecx, 12));
    f.set(CpuFeature::f16c, has_ymm && bit(one.ecx, 29));
    f.set(CpuFeature::avx2, has_ymm && bit(seven.ebx, 5));
    f.set(CpuFeature::avxvnni, has_ymm && bit(seven_one.eax, 4));
    f.set(CpuFeature::avx512f, has_zmm && bit(seven.ebx, 16));
    f.set(CpuFeature::avx512dq, has_zmm && bit(seven.ebx, 17));
    f.set(CpuFeature::avx512bw, has_zmm && bit(seven.ebx, 30));
    f.set(CpuFeature::avx512vl, has_zmm && bit(seven.ebx, 31));
    f.set(CpuFeature::avx512vnni, has_zmm && bit(seven.ecx, 11));
    f.set(CpuFeature::avx512bf16, has_zmm && bit(seven_one.eax, 5));
    return f;
}
#elif defined(__aarch64__) && defined(__linux__)
CpuFeatures cpu_features() {
    CpuFeatures f;
    f.set(CpuFeature::dotprod, (getauxval(AT_HWCAP) >> 20 & 1) != 0);  // HWCAP_ASIMDDP
    f.set(CpuFeature::i8mm, (getauxval(AT_HWCAP2) >> 13 & 1) != 0);    // HWCAP2_I8MM
    return f;
}
#elif defined(__aarch64__) && defined(__APPLE__)
CpuFeatures cpu_features() {
    CpuFeatures f;
    const auto has = [](const char* name) {
        int value = 0;
        size_t size = sizeof(value);
        return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
    };
    f.set(CpuFeature::dotprod, has("hw.optional.arm.FEAT_DotProd"));
    f.set(CpuFeature::i8mm, has("hw.optional.arm.FEAT_I8MM"));
    return f;
}
#else
CpuFeatures cpu_features() { return {}; }
#endif

}  // namespace wallaby::base
