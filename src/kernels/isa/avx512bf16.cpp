// clang-format off
// processor: x86_64|AMD64
// options: -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512 -mavx512vnni -mavx512bf16
#include "kernels/simd/avx512bf16.h"
#include "kernels/text/matmul_bf16.h"
#include "kernels/text/needs.h"
namespace wallaby::kernels {
extern const IsaUnit avx512vnni_unit, avx512bf16_unit;
constinit const IsaUnit avx512bf16_unit = {
    .isa = {.name = "avx512bf16", .rank = 50, .needs = needs_of_options(), .by_name_only = true},
    .over = &avx512vnni_unit,
    .change = use_bf16<avx512vnni_unit>};
}  // namespace wallaby::kernels
