// Weights are finite: what a file holds is checked once, as it is loaded, so that NaN never comes as a surprise later.
#pragma once
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "gguf/reader.h"
#include "threads/pool.h"

namespace wallaby::backends {

struct NotFinite {
    uint64_t element = 0;  // of the blocks looked at
    float value = 0;
};
// The first weight of n_blocks that is an infinity or NaN.
std::optional<NotFinite> find_not_finite(const quant::Format& format, const uint8_t* bytes, uint64_t n_blocks);
// What is said of one: element counts from the tensor's first.
Error not_finite(const gguf::Tensor& tensor, const std::string& file, uint64_t element, float value);

// Decodes all of a tensor and refuses NaN and infinities by its name, row and column; `file` names it in the error.
// bytes: the tensor's. A stop request leaves weights unchecked: the caller gives up then.
Result<void> check_finite(const gguf::Tensor& tensor, const uint8_t* bytes, const std::string& file,
                          threads::Pool& pool, const std::stop_token& stop);

}  // namespace wallaby::backends
