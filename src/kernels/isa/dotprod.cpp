// clang-format off
// processor: aarch64|arm64
// options: -march=armv8.2-a+dotprod
#include "kernels/simd/dotprod.h"
#include "kernels/text/table.h"
namespace wallaby::kernels {
extern const IsaUnit dotprod_unit;
constinit const IsaUnit dotprod_unit = make_unit({.name = "dotprod", .rank = 40});
}  // namespace wallaby::kernels
