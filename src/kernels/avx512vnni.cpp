// clang-format off: the vocabulary comes first
#include "kernels/simd/avx512vnni.h"
#include "kernels/text/table.h"
// clang-format on
namespace wallaby::kernels {
extern const Table avx512vnni_table;
constinit const Table avx512vnni_table = make_table(Isa::avx512vnni);
}  // namespace wallaby::kernels
