// clang-format off
// processor: x86_64|AMD64
// options: -mavx2 -mfma -mf16c
#include "kernels/simd/avx2.h"
#include "kernels/text/table.h"
namespace wallaby::kernels {
extern const IsaUnit avx2_unit;
constinit const IsaUnit avx2_unit = make_unit({.name = "avx2", .rank = 20});
}  // namespace wallaby::kernels
