#include "threads/cpus.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <thread>

#include "threads/cgroup.h"
#include "threads/read_text.h"

namespace wallaby::threads {
namespace {

constexpr unsigned max_cpus = 1 << 16;  // Linux builds for 8192 at most

// Takes a number off the front of text.
bool take_number(std::string_view& text, unsigned& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number >= max_cpus) { return false; }
    text.remove_prefix(size_t(end - text.data()));
    return true;
}

bool take(std::string_view& text, char c) {
    if (!text.starts_with(c)) { return false; }
    text.remove_prefix(1);
    return true;
}

std::string reason_for(const CpuCount& n) {
    if (n.quota > 0 && std::ceil(n.quota) < n.physical) {
        return fmt::format("a cgroup grants the time of {:.2f} CPUs", n.quota);
    }
    std::string cores = n.physical == 1 ? "one physical core" : fmt::format("{} physical cores", n.physical);
    if (n.affinity < n.logical) {
        return fmt::format("this process may run on {} of {} CPUs: {}", n.affinity, n.logical, cores);
    }
    return n.physical < n.affinity ? fmt::format("{} CPUs share {}", n.affinity, cores) : cores;
}

}  // namespace

std::optional<std::vector<unsigned>> parse_cpu_list(std::string_view text) {
    std::vector<unsigned> cpus;
    do {
        unsigned first = 0;
        if (!take_number(text, first)) { return std::nullopt; }
        unsigned last = first;
        if (take(text, '-') && !take_number(text, last)) { return std::nullopt; }
        if (last < first || (!cpus.empty() && first <= cpus.back())) { return std::nullopt; }
        for (unsigned cpu = first; cpu <= last; cpu++) { cpus.push_back(cpu); }
    } while (take(text, ','));
    take(text, '\n');
    if (!text.empty()) { return std::nullopt; }
    return cpus;
}

std::vector<unsigned> online_cpus(const std::string& root) {
    return parse_cpu_list(read_text(root + "/sys/devices/system/cpu/online")).value_or(std::vector<unsigned>());
}

std::vector<unsigned> allowed_cpus() {
    std::vector<unsigned> cpus;
    for (unsigned n = CPU_SETSIZE; n <= max_cpus && cpus.empty(); n *= 2) {  // too small a mask is refused
        std::vector<cpu_set_t> mask(n / CPU_SETSIZE);
        const size_t n_bytes = mask.size() * sizeof(cpu_set_t);
        if (::sched_getaffinity(0, n_bytes, mask.data()) != 0) { continue; }
        for (unsigned cpu = 0; cpu < n; cpu++) {
            if (CPU_ISSET_S(cpu, n_bytes, mask.data())) { cpus.push_back(cpu); }
        }
    }
    if (cpus.empty()) {
        cpus.resize(std::max(1u, std::thread::hardware_concurrency()));
        std::iota(cpus.begin(), cpus.end(), 0u);
    }
    return cpus;
}

std::vector<std::vector<unsigned>> physical_cores(const std::vector<unsigned>& allowed, const std::string& root) {
    std::vector<std::vector<unsigned>> cores;
    std::vector<bool> is_taken(max_cpus);
    for (const unsigned cpu : allowed) {
        if (cpu >= max_cpus || is_taken[cpu]) { continue; }
        std::vector<unsigned>& core = cores.emplace_back(1, cpu);
        is_taken[cpu] = true;
        const std::string path =
            fmt::format("{}/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", root, cpu);
        const auto siblings = parse_cpu_list(read_text(path));
        if (!siblings || !std::ranges::binary_search(*siblings, cpu)) { continue; }
        for (const unsigned sibling : *siblings) {
            if (is_taken[sibling] || !std::ranges::binary_search(allowed, sibling)) { continue; }
            core.push_back(sibling);
            is_taken[sibling] = true;
        }
    }
    return cores;
}

std::vector<std::vector<unsigned>> cores_to_pin(const std::vector<unsigned>& allowed, const std::string& root) {
    if (allowed != online_cpus(root)) { return {}; }
    return physical_cores(allowed, root);
}

CpuCount count_cpus(const std::vector<unsigned>& allowed, const std::string& root) {
    CpuCount n;
    n.affinity = std::max(1u, unsigned(allowed.size()));
    n.logical = std::max(n.affinity, unsigned(online_cpus(root).size()));
    n.physical = std::max(1u, unsigned(physical_cores(allowed, root).size()));
    n.quota = cgroup_quota(root);
    n.threads = n.physical;
    // Rounded up: a part of a CPU's time is time that a further thread can use.
    if (n.quota > 0) { n.threads = unsigned(std::min<double>(n.threads, std::ceil(n.quota))); }
    n.reason = reason_for(n);
    return n;
}

CpuCount count_cpus() { return count_cpus(allowed_cpus(), ""); }

unsigned available_cpus() { return count_cpus().threads; }

}  // namespace wallaby::threads
