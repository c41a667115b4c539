#include "base/processor.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <set>

namespace wallaby::base {
namespace {

std::string first_line(const std::string& path) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

// "32768K"
uint64_t size_of(const std::string& text) {
    char* unit = nullptr;
    const uint64_t n = std::strtoull(text.c_str(), &unit, 10);
    return *unit == 'K' ? n << 10 : *unit == 'M' ? n << 20 : n;
}

}  // namespace

std::string processor_name() {
    std::ifstream in("/proc/cpuinfo");
    std::string line;
    while (std::getline(in, line)) {
        const size_t colon = line.find(": ");
        if (colon != std::string::npos && (line.starts_with("model name") || line.starts_with("Model"))) {
            return line.substr(colon + 2);
        }
    }
    utsname names{};
    return ::uname(&names) == 0 ? names.machine : "unknown";
}

std::optional<uint64_t> l3_bytes() {
    std::set<std::string> seen;  // by the CPUs that share it
    uint64_t n_bytes = 0;
    const long n_cpus = ::sysconf(_SC_NPROCESSORS_CONF);
    for (long cpu = 0; cpu < n_cpus; cpu++) {
        const std::string caches = fmt::format("/sys/devices/system/cpu/cpu{}/cache/index", cpu);
        for (unsigned i = 0;; i++) {
            const std::string cache = caches + std::to_string(i);
            const std::string level = first_line(cache + "/level");
            if (level.empty()) { break; }
            if (level == "3" && seen.insert(first_line(cache + "/shared_cpu_list")).second) {
                n_bytes += size_of(first_line(cache + "/size"));
            }
        }
    }
    return n_bytes == 0 ? std::nullopt : std::optional(n_bytes);
}

}  // namespace wallaby::base
