// What this processor can do and what the operating system lets it.
#pragma once

namespace wallaby::base {

// Features of x86-64 that kernels ask for; all false elsewhere. A feature counts only when the system keeps its
// registers.
struct CpuFeatures {
    bool avx2 = false, fma = false, f16c = false;
    bool avx512f = false, avx512bw = false, avx512dq = false, avx512vl = false;
    bool avx512vnni = false, avx512bf16 = false;
};

CpuFeatures cpu_features();

}  // namespace wallaby::base
