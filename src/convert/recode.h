// Some of a tensor's weights in another type: read, decoded, encoded, and decoded again to see what was lost.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gguf/weight_source.h"

namespace wallaby::convert {

// In the order of a tensor's data; whole blocks of both types.
struct WeightRange {
    uint64_t first = 0, n = 0;
};

// What a thread recodes in; grows to the largest range.
struct RecodeBuffers {
    std::vector<uint8_t> bytes;
    std::vector<float> in, out, importance;
};

// Views of the buffers, one number a weight.
struct Recoded {
    std::span<const float> in, out;
    std::span<const float> importance;  // empty: all errors count alike
};

// factors: of the tensor's weights' squared errors, by matrix and column [dims[3]][dims[2]][dims[0]]; empty: all alike.
// blocks: filled, the range's bytes in the new type. Weights that are not finite, or become so, are errors that name
// tensor, row and column.
Result<Recoded> recode(const gguf::WeightSource& source, const gguf::Tensor& tensor, const WeightRange& range,
                       quant::Type to, std::span<const float> factors, std::span<uint8_t> blocks,
                       RecodeBuffers& buffers);

}  // namespace wallaby::convert
