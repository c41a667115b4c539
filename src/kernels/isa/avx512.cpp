// clang-format off
// processor: x86_64|AMD64
// options: -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
#include "kernels/simd/avx512.h"
#include "kernels/text/table.h"
namespace wallaby::kernels {
extern const IsaUnit avx512_unit;
constinit const IsaUnit avx512_unit = make_unit({.name = "avx512", .rank = 40});
}  // namespace wallaby::kernels
