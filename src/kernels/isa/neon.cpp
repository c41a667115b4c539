// clang-format off
// processor: aarch64|arm64
// options: -march=armv8-a
#include "kernels/simd/neon.h"
#include "kernels/text/table.h"
namespace wallaby::kernels {
extern const IsaUnit neon_unit;
constinit const IsaUnit neon_unit = make_unit({.name = "neon", .rank = 20});
}  // namespace wallaby::kernels
