// clang-format off
// processor: aarch64|arm64
// options: -march=armv8.2-a+dotprod+i8mm
#include "kernels/simd/i8mm.h"
#include "kernels/text/table.h"
namespace wallaby::kernels {
extern const IsaUnit i8mm_unit;
constinit const IsaUnit i8mm_unit = make_unit({.name = "i8mm", .rank = 60});
}  // namespace wallaby::kernels
