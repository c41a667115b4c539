#include "base/system.h"

#include <algorithm>
#include <chrono>
#include <fstream>
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
