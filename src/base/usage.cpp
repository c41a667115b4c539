#include "base/usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

#include "base/system.h"

namespace wallaby::base {
namespace {

// The number after `name` in a file of "name number" lines.
std::optional<uint64_t> counter(const char* path, std::string_view name) {
    std::ifstream in(path);
    std::string word;
    uint64_t value = 0;
    while (in >> word >> value) {
        if (word == name) { return value; }
    }
    return std::nullopt;
}

double seconds_of(const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); }

template <class T>
std::optional<T> less(const std::optional<T>& after, const std::optional<T>& before) {
    if (!after || !before || *after < *before) { return std::nullopt; }
    return *after - *before;
}

}  // namespace

Usage usage() {
    Usage u;
    u.seconds = monotonic_seconds();
    rusage own{};
    if (::getrusage(RUSAGE_SELF, &own) == 0) {
        u.own_cpu = seconds_of(own.ru_utime) + seconds_of(own.ru_stime);
        u.major_faults = uint64_t(own.ru_majflt);
    }
    std::ifstream in("/proc/stat");
    std::string name;
    std::array<double, 8> ticks{};  // user, nice, system, idle, iowait, irq, softirq, steal: proc(5)
    if (in >> name && name == "cpu") {
        for (double& t : ticks) { in >> t; }
        if (in) {
            const auto per_second = double(::sysconf(_SC_CLK_TCK));
            u.all_cpu = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / per_second;
            u.stolen_cpu = ticks[7] / per_second;
        }
    }
    if (const auto microseconds = counter("/sys/fs/cgroup/cpu.stat", "throttled_usec")) {
        u.throttled = 1e-6 * double(*microseconds);
    }
    u.swapped_in = counter("/proc/vmstat", "pswpin");
    return u;
}

Usage operator-(const Usage& after, const Usage& before) {
    Usage d;
    d.seconds = after.seconds - before.seconds;
    d.own_cpu = less(after.own_cpu, before.own_cpu);
    d.all_cpu = less(after.all_cpu, before.all_cpu);
    d.stolen_cpu = less(after.stolen_cpu, before.stolen_cpu);
    d.throttled = less(after.throttled, before.throttled);
    d.major_faults = less(after.major_faults, before.major_faults);
    d.swapped_in = less(after.swapped_in, before.swapped_in);
    return d;
}

}  // namespace wallaby::base
