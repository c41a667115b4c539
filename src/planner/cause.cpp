#include "planner/cause.h"

#include <fmt/format.h>

#include <algorithm>

namespace wallaby::planner {
namespace {

// Shares of the time from which on something counts as a cause.
constexpr double much = 0.1;
constexpr uint64_t page_bytes = 4096, much_read_per_s = 20 << 20;  // from a disk

}  // namespace

std::optional<std::string> likely_cause(const Evidence& e) {
    const base::Usage& u = e.used;
    const double seconds = std::max(u.seconds, 1e-9), cpu_seconds = seconds * e.n_threads;
    const auto per_s = [&](const std::optional<uint64_t>& pages) {
        return pages ? double(*pages * page_bytes) / seconds : 0.0;
    };
    if (per_s(u.swapped_in) > much_read_per_s) {
        return fmt::format("swapping: {:.0f} MB/s were read back from swap; use a smaller model or context",
                           per_s(u.swapped_in) / 1e6);
    }
    if (per_s(u.major_faults) > much_read_per_s) {
        return fmt::format(
            "a cold file: {:.0f} MB/s of the weights came from the disk; the next run finds them in memory",
            per_s(u.major_faults) / 1e6);
    }
    if (u.throttled && *u.throttled > much * seconds) {
        return fmt::format("throttled: the cgroup's CPU quota made threads wait for {:.1f} of {:.1f} s", *u.throttled,
                           seconds);
    }
    const double allowed = e.quota > 0 ? std::min(e.quota, double(e.n_cores)) : e.n_cores;
    if (e.n_threads > allowed + 0.5) {
        return fmt::format("oversubscribed: {} threads on {:.3g} cores; use -t {:.0f}", e.n_threads, allowed,
                           std::max(1.0, allowed));
    }
    if (u.stolen_cpu && *u.stolen_cpu > much * cpu_seconds) {
        return fmt::format("noise: the host gave {:.0f} % of the CPU time to other guests",
                           100 * *u.stolen_cpu / cpu_seconds);
    }
    if (u.all_cpu && u.own_cpu && *u.all_cpu - *u.own_cpu > much * cpu_seconds) {
        return fmt::format("other processes took {:.1f} s of CPU time meanwhile, this one {:.1f} s",
                           *u.all_cpu - *u.own_cpu, *u.own_cpu);
    }
    if (2 * e.n_threads <= e.n_cores) {
        return fmt::format("fewer threads than cores: {} of {}; use -t {}", e.n_threads, e.n_cores, e.n_cores);
    }
    if (e.before && e.after) {
        const auto varies = [&](double before, double after, std::string_view what,
                                std::string_view unit) -> std::optional<std::string> {
            if (before <= 0 || after <= 0 || std::min(before, after) > 0.8 * std::max(before, after)) {
                return std::nullopt;
            }
            return fmt::format("noise: {} was {:.3g} {} before and {:.3g} after", what, before / 1e9, unit,
                               after / 1e9);
        };
        if (auto line =
                varies(e.before->read_bytes_per_s, e.after->read_bytes_per_s, "the memory's bandwidth", "GB/s")) {
            return line;
        }
        if (auto line = varies(e.before->int8_ops_per_s, e.after->int8_ops_per_s, "the int8 rate", "GOP/s")) {
            return line;
        }
    }
    return std::nullopt;
}

}  // namespace wallaby::planner
