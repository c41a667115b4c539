#include "base/memory_use.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace wallaby::base {

std::optional<Resident> resident() {
    std::ifstream in("/proc/self/status");
    Resident found;
    std::string line;
    while (std::getline(in, line)) {
        const auto kib = [&] { return std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10); };
        if (line.starts_with("VmHWM:")) { found.peak = kib() * 1024; }
        if (line.starts_with("VmRSS:")) { found.now = kib() * 1024; }
    }
    return found.now == 0 ? std::nullopt : std::optional(found);
}

bool reset_peak_resident() {
    const int fd = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0) { return false; }
    constexpr char reset_peak = '5';  // proc(5)
    const bool done = ::write(fd, &reset_peak, 1) == 1;
    ::close(fd);
    return done;
}

Result<void> drop_cached(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    int problem = fd < 0 ? errno : 0;
    if (fd >= 0) {
        (void)::fdatasync(fd);  // pages that are not on the disk yet would stay
        problem = ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        ::close(fd);
    }
    if (problem == 0) { return {}; }
    return Error{ErrorCode::io,
                 fmt::format("cannot be taken out of the page cache: {}", std::strerror(problem)),
                 {path, "", {}},
                 ""};
}

}  // namespace wallaby::base
