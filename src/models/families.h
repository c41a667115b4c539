// The families' builders, and what several of them share. A new family is one file and one row in families.cpp.
#pragma once
#include "models/builder.h"

namespace wallaby::models {

Result<ops::Model> build_gpt2(Builder& b);
Result<ops::Model> build_llama(Builder& b);
Result<ops::Model> build_mistral3(Builder& b);

// A file may state a sliding window that its family's program does not have: refused where it would change the answer.
void refuse_short_window(Builder& b);

}  // namespace wallaby::models
