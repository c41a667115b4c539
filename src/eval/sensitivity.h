// Measures how much each tensor's error counts (convert/sensitivity.h): kind by kind and layer by layer in coarse
// types, all else as it is.
#pragma once
#include <functional>
#include <vector>

#include "eval/quantization_loss.h"

namespace wallaby::eval {

// Called after each measurement: of which group, and its KL divergence in nats.
using SensitivityProgress = std::function<void(size_t n_done, size_t n_total, std::string_view group, double kld)>;

// Of each tensor, nats of KL divergence per relative squared error; 0 of those that `coarse`, a plan of the source,
// leaves as they are. options: those of `coarse`. loss: of the same source. The cost: as many loads and evaluations as
// it has layers and kinds of matrices.
Result<std::vector<double>> measure_sensitivities(const gguf::WeightSource& source, const convert::QuantizePlan& coarse,
                                                  const convert::TypesOptions& options, const QuantizationLoss& loss,
                                                  const engine::Resources& resources,
                                                  const SensitivityProgress& progress);

}  // namespace wallaby::eval
