// clang-format off: the vocabulary comes first
#include "kernels/simd/avx512bf16.h"
#include "kernels/text/matmul_bf16.h"
// clang-format on
namespace wallaby::kernels {
extern const NativeBf16 avx512bf16_table;
constinit const NativeBf16 avx512bf16_table = make_native_bf16();
}  // namespace wallaby::kernels
