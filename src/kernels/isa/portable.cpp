// clang-format off
// processor: any
// options:
#include "kernels/simd/portable.h"
#include "kernels/text/table.h"
namespace wallaby::kernels {
extern const IsaUnit portable_unit;
constinit const IsaUnit portable_unit = make_unit({.name = "portable"});
}  // namespace wallaby::kernels
