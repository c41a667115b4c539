// From a file's hyper-parameters and tensor list to programs (ops/program.h). One file per family; the architecture's
// name is read here and nowhere else.
#pragma once
#include <span>
#include <string_view>

#include "gguf/weight_source.h"
#include "ops/program.h"

namespace wallaby::models {

struct Options {
    uint32_t n_ctx = 0;          // tokens a sequence may reach; LongRoPE chooses its factors by it. 0: as trained
    double rope_freq_base = 0;   // replaces the file's base frequency (NTK-aware scaling by hand); 0: the file's
    double rope_freq_scale = 0;  // multiplies positions (linear scaling, 1/factor); 0: the file's
};

// Builds the program "main" and checks that the file's tensors are exactly those it needs: a missing, misshapen or
// unknown tensor and an impossible hyper-parameter are errors that name it. Reads small tensors (rope factors) only.
Result<ops::Model> build(const gguf::WeightSource& source, const Options& options);

// The architecture names this build knows.
std::span<const std::string_view> known_architectures();

}  // namespace wallaby::models
