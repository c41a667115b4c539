// The beginning of what can only be read in order: a pipe, standard input.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wallaby::base {

// Reads the descriptor `fd`, which stays the caller's, until `is_enough` says so of all bytes together. It is asked
// each time that they have doubled, and at the end: what it costs in all is twice what it costs for the last. May read
// beyond what was enough. An error where the stream ends or max_bytes are read before that; `name` is the stream's,
// `what` is what the bytes were to hold.
Result<void> read_until(int fd, const std::string& name, std::string_view what, uint64_t max_bytes,
                        const std::function<Result<bool>(std::span<const uint8_t>)>& is_enough);

}  // namespace wallaby::base
