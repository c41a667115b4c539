// clang-format off
// processor: x86_64|AMD64
// options: -mavx2 -mfma -mf16c -mavxvnni
#include "kernels/simd/avxvnni.h"
#include "kernels/text/table.h"
namespace wallaby::kernels {
extern const IsaUnit avxvnni_unit;
constinit const IsaUnit avxvnni_unit = make_unit({.name = "avxvnni", .rank = 30});
}  // namespace wallaby::kernels
