#include "probe/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/system.h"

namespace wallaby::probe {
namespace {

constexpr uint64_t piece_bytes = 1 << 20;

Error failed(const std::string& folder, std::string_view what) {
    return Error{ErrorCode::io,
                 fmt::format("cannot {} a file to time the disk: {}", what, std::strerror(errno)),
                 {folder, "", {}},
                 "Give a folder that can be written to"};
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) { ::close(fd_); }
    }
    int get() const { return fd_; }

  private:
    int fd_;
};

}  // namespace

Result<double> measure_disk(const std::string& folder, uint64_t n_bytes, const std::stop_token& stop) {
    std::string path = folder + "/.wallaby-probe-XXXXXX";
    const Descriptor file(::mkstemp(path.data()));
    if (file.get() < 0) { return failed(folder, "make"); }
    (void)::unlink(path.c_str());
    // No two pieces alike, so that nothing on the way can store them as one.
    std::vector<uint8_t> piece(piece_bytes);
    uint64_t state = 1;
    for (uint64_t at = 0; at < n_bytes; at += piece_bytes) {
        for (size_t i = 0; i < piece.size(); i += sizeof(state)) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            std::memcpy(piece.data() + i, &state, sizeof(state));
        }
        if (::pwrite(file.get(), piece.data(), piece.size(), off_t(at)) != ssize_t(piece.size())) {
            return failed(folder, "write");
        }
        if (stop.stop_requested()) { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }
    }
    if (::fsync(file.get()) != 0) { return failed(folder, "write"); }
#ifdef POSIX_FADV_DONTNEED
    (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
#endif
    const double start = base::monotonic_seconds();
    for (uint64_t at = 0; at < n_bytes; at += piece_bytes) {
        if (::pread(file.get(), piece.data(), piece.size(), off_t(at)) != ssize_t(piece.size())) {
            return failed(folder, "read");
        }
    }
    const uint64_t n_pieces = (n_bytes + piece_bytes - 1) / piece_bytes;
    return double(n_pieces * piece_bytes) / std::max(base::monotonic_seconds() - start, 1e-9);
}

}  // namespace wallaby::probe
