// clang-format off
// processor: x86_64
// options: -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512 -mavx512vnni -mavx512bf16
#include "kernels/simd/avx512bf16.h"
#include "kernels/text/matmul_bf16.h"
namespace wallaby::kernels {
extern const IsaUnit avx512vnni_unit, avx512bf16_unit;
constexpr base::CpuFeature needs[] = {base::CpuFeature::avx2, base::CpuFeature::fma, base::CpuFeature::f16c,
    base::CpuFeature::avx512f, base::CpuFeature::avx512bw, base::CpuFeature::avx512dq, base::CpuFeature::avx512vl,
    base::CpuFeature::avx512vnni, base::CpuFeature::avx512bf16};
constinit const IsaUnit avx512bf16_unit = {
    .isa = {.name = "avx512bf16", .rank = 50, .needs = needs, .by_name_only = true},
    .over = &avx512vnni_unit,
    .change = use_bf16<avx512vnni_unit>};
}  // namespace wallaby::kernels
