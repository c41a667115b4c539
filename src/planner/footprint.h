// What a process holds in memory that runs a model, and what fits.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "ops/program.h"

namespace wallaby::planner {

// Bytes besides what a back end plans, measured (docs/arithmetic.md): the program's own code and data, threads, logits,
// and the file's metadata (gguf::Metadata::n_bytes).
uint64_t process_bytes(const ops::Model& model, uint64_t metadata_bytes);
// The same of a process that holds a tokenizer too, as `wallaby run` does.
uint64_t run_bytes(const ops::Model& model, uint64_t metadata_bytes);
// The metadata of a model of which there is no file: mostly its vocabulary.
uint64_t usual_metadata_bytes(const ops::Model& model);

// The largest n in [1, most] for which fits(n) holds, given that it holds below any n for which it does; 0: for none.
uint32_t largest(uint32_t most, const std::function<bool(uint32_t)>& fits);

// Settings like `wanted` whose plan is at most n_bytes: the longest context up to the wanted one in the wanted types of
// keys and values, then in smaller ones as long as those allow a longer one. Contexts of less than 256 tokens are none.
// Empty: the weights alone are too large.
std::vector<backends::Settings> settings_that_fit(const backends::Backend& backend, const ops::Model& model,
                                                  const backends::Settings& wanted, uint64_t n_bytes);
// As flags: "-c 8192 or -c 16384 --ctk q8_0 --ctv q8_0"; empty of none.
std::string flags_of(const std::vector<backends::Settings>& settings, const backends::Settings& wanted);

}  // namespace wallaby::planner
