// What the operating system says of this machine.
#pragma once
#include <cstdint>
#include <optional>

namespace wallaby::base {

// Bytes that can be allocated without swapping: MemAvailable, within the cgroup's limit. Nothing where unknown.
std::optional<uint64_t> available_memory();

// Seconds of a clock that never goes back.
double monotonic_seconds();

}  // namespace wallaby::base
