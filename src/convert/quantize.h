// A model file in another format: every tensor decoded, and encoded as its plan says.
#pragma once
#include <cstdint>
#include <stop_token>
#include <vector>

#include "base/log.h"
#include "convert/quantize_plan.h"
#include "gguf/set_writer.h"
#include "gguf/weight_source.h"
#include "threads/pool.h"

namespace wallaby::convert {

// What became of the tensors that have one type now.
struct QuantizedType {
    quant::Type type = quant::Type::f32;
    uint64_t n_tensors = 0, n_bytes = 0;
    // Of those that were encoded, |out - in| and |in|, squared.
    double error_squared = 0, size_squared = 0;
};
// One entry a type, ascending. Without errors where nothing was encoded yet.
std::vector<QuantizedType> types_of(const QuantizePlan& plan);

// Streams the file or set of files: memory is a few MiB for each thread and 16 bytes for 32,768 weights; bytes do not
// depend on the number of threads. Weights that are not finite, or become so in the new type, are errors that name
// tensor, row and column. A stop request ends it within a few milliseconds; then, and after an error, nothing is left
// behind.
Result<std::vector<QuantizedType>> quantize(const gguf::WeightSource& source, const QuantizePlan& plan,
                                            gguf::SetWriter writer, threads::Pool& pool, const base::Progress& progress,
                                            const std::stop_token& stop);

}  // namespace wallaby::convert
