#include "base/system.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

namespace wallaby::base {
namespace {

std::optional<uint64_t> read_number(const char* path) {
    std::ifstream in(path);
    uint64_t n = 0;
    if (in >> n) { return n; }
    return std::nullopt;
}

}  // namespace

std::optional<uint64_t> available_memory() {
    std::optional<uint64_t> available;
    std::ifstream in("/proc/meminfo");
    std::string name, unit;
    uint64_t kib = 0;
    while (in >> name >> kib) {
        std::getline(in, unit);
        if (name == "MemAvailable:") { available = kib * 1024; }
    }
    const auto limit = read_number("/sys/fs/cgroup/memory.max");
    const auto used = read_number("/sys/fs/cgroup/memory.current");
    if (available && limit && used) { available = std::min(*available, *limit - std::min(*limit, *used)); }
    return available;
}

double monotonic_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace wallaby::base
