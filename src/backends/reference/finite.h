// Weights are finite: what a file holds is checked once, as it is loaded, so that NaN never comes as a surprise later.
#pragma once
#include <stop_token>
#include <string>

#include "base/result.h"
#include "gguf/reader.h"
#include "threads/pool.h"

namespace wallaby::backends::reference {

// Decodes all of a tensor and refuses NaN and infinities by its name, row and column; `file` names it in the error.
// bytes: the tensor's. A stop request leaves weights unchecked: the caller gives up then.
Result<void> check_finite(const gguf::Tensor& tensor, const uint8_t* bytes, const std::string& file,
                          threads::Pool& pool, const std::stop_token& stop);

}  // namespace wallaby::backends::reference
