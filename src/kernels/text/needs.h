// What a unit was compiled for, and so what a CPU must have to run it. The options of its third line say it; these are
// the compiler's words for them.
#pragma once
#include "kernels/kernels.h"

namespace wallaby::kernels {
namespace {

consteval base::CpuFeatures needs_of_options() {
    using base::CpuFeature;
    base::CpuFeatures f;
#ifdef __AVX2__
    f.set(CpuFeature::avx2);
#endif
#ifdef __FMA__
    f.set(CpuFeature::fma);
#endif
#ifdef __F16C__
    f.set(CpuFeature::f16c);
#endif
#ifdef __AVXVNNI__
    f.set(CpuFeature::avxvnni);
#endif
#ifdef __AVX512F__
    f.set(CpuFeature::avx512f);
#endif
#ifdef __AVX512BW__
    f.set(CpuFeature::avx512bw);
#endif
#ifdef __AVX512DQ__
    f.set(CpuFeature::avx512dq);
#endif
#ifdef __AVX512VL__
    f.set(CpuFeature::avx512vl);
#endif
#ifdef __AVX512VNNI__
    f.set(CpuFeature::avx512vnni);
#endif
#ifdef __AVX512BF16__
    f.set(CpuFeature::avx512bf16);
#endif
#ifdef __ARM_FEATURE_DOTPROD
    f.set(CpuFeature::dotprod);
#endif
#ifdef __ARM_FEATURE_MATMUL_INT8
    f.set(CpuFeature::i8mm);
#endif
    return f;
}

}  // namespace
}  // namespace wallaby::kernels
