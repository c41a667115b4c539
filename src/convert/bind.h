// Which of a checkpoint's tensors ours are made of, and how: the rules of hf_tensors.h, applied to a model's shape.
#pragma once
#include <string>
#include <vector>

#include "convert/assembled.h"
#include "convert/hf_config.h"
#include "convert/safetensors.h"

namespace wallaby::convert {

// One for each tensor of the model's shape, in its order. `path` names the checkpoint in errors: a tensor that is
// missing, of another shape, of no type of weights, or left over.
Result<std::vector<AssembledTensor>> bind_tensors(const Safetensors& stored, const std::string& path,
                                                  const ConfigModel& model);

}  // namespace wallaby::convert
