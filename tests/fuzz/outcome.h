// What every fuzz target asks of a Result.
#pragma once
#include "base/result.h"

namespace wallaby::fuzz {

// Whether it holds a value; an error must say what is wrong.
template <class T>
bool is_good(const Result<T>& result) {
    if (!result.ok() && result.error().message().empty()) { __builtin_trap(); }
    return result.ok();
}

}  // namespace wallaby::fuzz
