// What the operating system says of this machine.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace wallaby::base {

// Bytes that can be allocated without swapping: MemAvailable, within the cgroup's limit. Nothing where unknown.
std::optional<uint64_t> available_memory();

// Bytes of memory that this machine has, or that the cgroup may use of it. Nothing where unknown.
std::optional<uint64_t> total_memory();

// "always", "madvise" or "never": which memory gets huge pages; empty where there are none.
std::string huge_pages();

// Seconds of a clock that never goes back.
double monotonic_seconds();

}  // namespace wallaby::base
