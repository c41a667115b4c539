// What this process and the machine have used so far, by the system's counters: two looks at them say what a stretch of
// time went to.
#pragma once
#include <cstdint>
#include <optional>

namespace wallaby::base {

// Nothing where the system does not tell.
struct Usage {
    double seconds = 0;                         // of monotonic_seconds
    std::optional<double> own_cpu;              // seconds of CPU time that this process took
    std::optional<double> all_cpu, stolen_cpu;  // seconds of all CPUs, busy ones; and what their host gave to others
    std::optional<double> throttled;            // seconds that the cgroup's quota made this process wait
    std::optional<uint64_t> major_faults;       // pages of this process that had to be read from a disk
    std::optional<uint64_t> swapped_in;         // pages that the machine read back from swap
};

Usage usage();

// What happened between two looks.
Usage operator-(const Usage& after, const Usage& before);

}  // namespace wallaby::base
