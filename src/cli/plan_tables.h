// The tables of `wallaby plan` that are about no model of the user's.
#pragma once
#include <string>

#include "base/result.h"
#include "planner/efficiency.h"

namespace wallaby::cli {

Result<std::string> machines_table();
// The article's numbers, its formulas', the corrected ones and what was measured (docs/arithmetic.md).
std::string article_table();
// Every published result beside what is predicted of its machine from the other machines of its tier.
Result<std::string> validation_table(bool as_json);

}  // namespace wallaby::cli
