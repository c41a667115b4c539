#include "base/system.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>

namespace wallaby::base {
namespace {

std::optional<uint64_t> read_number(const char* path) {
    std::ifstream in(path);
    uint64_t n = 0;
    if (in >> n) { return n; }
    return std::nullopt;
}

// Bytes.
std::optional<uint64_t> meminfo(std::string_view wanted) {
    std::optional<uint64_t> found;
    std::ifstream in("/proc/meminfo");
    std::string name, unit;
    uint64_t kib = 0;
    while (in >> name >> kib) {
        std::getline(in, unit);
        if (name == wanted) { found = kib * 1024; }
    }
    return found;
}

}  // namespace

std::optional<uint64_t> total_memory() {
    const std::optional<uint64_t> all = meminfo("MemTotal:");
    const auto limit = read_number("/sys/fs/cgroup/memory.max");
    return all && limit ? std::min(*all, *limit) : all;
}

std::optional<CpuTime> cpu_time() {
    std::ifstream in("/proc/stat");
    std::string name;
    // user, nice, system, idle, iowait, irq, softirq, steal: proc(5)
    std::array<double, 8> ticks{};
    if (!(in >> name) || name != "cpu") { return std::nullopt; }
    for (double& t : ticks) {
        if (!(in >> t)) { return std::nullopt; }
    }
    return CpuTime{std::accumulate(ticks.begin(), ticks.end(), 0.0), ticks[7]};
}

std::string huge_pages() {
    std::ifstream in("/sys/kernel/mm/transparent_hugepage/enabled");  // "always [madvise] never"
    std::string word;
    while (in >> word) {
        if (word.front() == '[' && word.back() == ']') { return word.substr(1, word.size() - 2); }
    }
    return "";
}

std::optional<uint64_t> available_memory() {
    std::optional<uint64_t> available = meminfo("MemAvailable:");
    const auto limit = read_number("/sys/fs/cgroup/memory.max");
    const auto used = read_number("/sys/fs/cgroup/memory.current");
    if (available && limit && used) { available = std::min(*available, *limit - std::min(*limit, *used)); }
    return available;
}

double monotonic_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace wallaby::base
