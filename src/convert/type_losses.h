// What each type would cost a tensor, in bytes and in error: the choices that a Frontier (allocate.h) is made of.
#pragma once
#include <span>
#include <stop_token>
#include <vector>

#include "base/log.h"
#include "convert/allocate.h"
#include "convert/quantize.h"
#include "threads/pool.h"

namespace wallaby::convert {

// What the tensor would take in another type, whose blocks divide its rows.
uint64_t bytes_as(const gguf::Tensor& tensor, quant::Type type);

// A tensor's choices: each of `types` whose blocks divide its rows and which is smaller than what it is now, and what
// it is now where that is one of `types`; or that alone, where there is no other and where the plan leaves it. The loss
// is the relative squared error of the matrix's product with inputs as the importance describes them, Σ f (q - w)² / Σ
// f w², from a sample of its weights that is the same in every run: a few MiB of memory for each thread. Weights that
// are not finite are errors.
Result<std::vector<std::vector<TypeChoice>>> type_choices(const gguf::WeightSource& source, const QuantizePlan& plan,
                                                          std::span<const quant::Type> types, threads::Pool& pool,
                                                          const base::Progress& progress, const std::stop_token& stop);

}  // namespace wallaby::convert
