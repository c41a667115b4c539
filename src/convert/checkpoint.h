// Checkpoints in Hugging Face's layout as models of ours: config.json gives keys and shapes (hf_config.h), a table of
// rules each tensor's place and layout (hf_tensors.h), generation_config.json the sampling that the model wants, the
// tokenizer's files its vocabulary (hf_vocabulary.h). Matrices keep their type, everything else is F32.
#pragma once
#include <memory>
#include <string>

#include "gguf/weight_source.h"

namespace wallaby::convert {

struct CheckpointOptions {
    bool vocabulary_only = false;  // keys and tokenizer, no tensors: no weights need be there
};

// A directory, or one safetensors file beside its config.json. Reads headers and small files; weights are read, and
// brought into our layout, as they are asked for. Errors name the file and the field or tensor: what is missing, of
// another shape or type than config.json says, or not known to the family.
Result<std::unique_ptr<gguf::WeightSource>> open_checkpoint(const std::string& path,
                                                            const CheckpointOptions& options = {});

}  // namespace wallaby::convert
