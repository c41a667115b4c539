// `inspect --cpu`: what this machine has, which kernels are used, and why not others.
#pragma once
#include <string>

#include "base/result.h"

namespace wallaby::cli {

Result<std::string> describe_cpu(const std::string& isa, bool as_json);

}  // namespace wallaby::cli
