#include "base/stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace wallaby::base {
namespace {

constexpr uint64_t first_bytes = 256 << 10;

// Fills `out` as far as the stream goes; returns how far.
Result<uint64_t> fill(int fd, const std::string& name, std::span<uint8_t> out) {
    uint64_t done = 0;
    while (done < out.size()) {
        const ssize_t n = ::read(fd, out.data() + done, out.size() - done);
        if (n < 0 && errno == EINTR) { continue; }
        if (n < 0) {
            return Error{ErrorCode::io, fmt::format("cannot read: {}", std::strerror(errno)), {name, "", {}}, ""};
        }
        if (n == 0) { break; }
        done += uint64_t(n);
    }
    return done;
}

}  // namespace

Result<void> read_until(int fd, const std::string& name, std::string_view what, uint64_t max_bytes,
                        const std::function<Result<bool>(std::span<const uint8_t>)>& is_enough) {
    std::vector<uint8_t> bytes;
    for (uint64_t had = 0;;) {
        bytes.resize(std::min(max_bytes, std::max(first_bytes, 2 * had)));
        WALLABY_TRY(const uint64_t n, fill(fd, name, std::span(bytes).subspan(had)));
        const bool has_ended = had + n < bytes.size();
        had += n;
        WALLABY_TRY(const bool enough, is_enough(std::span(bytes).first(had)));
        if (enough) { return {}; }
        if (has_ended) {
            return Error{ErrorCode::format,
                         fmt::format("ends after {} bytes, inside {}", had, what),
                         {name, "", had},
                         "Give more of it from its beginning"};
        }
        if (had == max_bytes) {
            return Error{ErrorCode::capacity,
                         fmt::format("{} is not complete within the {} bytes that are read for it", what, had),
                         {name, "", had},
                         ""};
        }
    }
}

}  // namespace wallaby::base
