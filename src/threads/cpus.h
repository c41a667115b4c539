// How many threads are worth starting here, and why. `root` is put before every path that is read: "" but for tests.
// What is missing there or makes no sense limits nothing.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wallaby::threads {

struct CpuCount {
    unsigned threads = 1;   // what a pool starts by default, the caller among them
    unsigned logical = 1;   // CPUs that are online
    unsigned affinity = 1;  // of these, CPUs that this process may run on
    unsigned physical = 1;  // cores that those belong to
    double quota = 0;       // CPUs' worth of time that cgroups grant, 0: no limit
    std::string reason;     // for threads, in words
};

// Of this process. Two threads on one core share its arithmetic units and its path to memory, so cores count once.
CpuCount count_cpus();
CpuCount count_cpus(const std::vector<unsigned>& allowed, const std::string& root);

// count_cpus().threads.
unsigned available_cpus();

// CPUs by number, ascending. This process's affinity mask has one at least; online is empty where unknown.
std::vector<unsigned> allowed_cpus();
std::vector<unsigned> online_cpus(const std::string& root = "");

// The allowed CPUs by the core that they belong to, ascending by each core's first.
std::vector<std::vector<unsigned>> physical_cores(const std::vector<unsigned>& allowed, const std::string& root = "");

// The cores that threads may be kept on: none unless this process may run on every CPU that is online, since whoever
// narrowed that has plans of their own.
std::vector<std::vector<unsigned>> cores_to_pin(const std::vector<unsigned>& allowed, const std::string& root = "");

// "0-3,8", ascending, as the kernel writes it. Nothing for any other text.
std::optional<std::vector<unsigned>> parse_cpu_list(std::string_view text);

}  // namespace wallaby::threads
