// The built-in model, for tests of the engine that want a real one: trained, Q8_0, rows of multiples of 256 weights (so
// that every weight format applies), grouped heads of 64. Being in the program, it is there in every clone.
#pragma once
#include <memory>
#include <string>

#include "assets/joey.h"
#include "support/runner.h"
#include "support/source_dir.h"

namespace wallaby::testing {

inline std::unique_ptr<gguf::WeightSource> open_joey() { return must(assets::open_joey()); }
inline std::string joey_path() { return std::string(source_dir()) + "/assets/joey.gguf"; }

}  // namespace wallaby::testing
