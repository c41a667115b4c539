// clang-format off: the vocabulary comes first
#include "kernels/simd/portable.h"
#include "kernels/text/table.h"
// clang-format on
namespace wallaby::kernels {
extern const Table portable_table;
constinit const Table portable_table = make_table(Isa::portable);
}  // namespace wallaby::kernels
