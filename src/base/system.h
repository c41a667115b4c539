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

// CPU time that all CPUs together have had since the machine started, idle or not, and how much of it its host gave to
// others; in one unit, the system's own. Nothing where it is not told.
struct CpuTime {
    double total = 0, stolen = 0;
};
std::optional<CpuTime> cpu_time();

// "always", "madvise" or "never": which memory gets huge pages; empty where there are none.
std::string huge_pages();

// Seconds of a clock that never goes back.
double monotonic_seconds();

}  // namespace wallaby::base
