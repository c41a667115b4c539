#include "base/stream.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <numeric>
#include <thread>
#include <vector>

namespace {

using namespace wallaby;

// A pipe that a thread writes `bytes` into, a few at a time, and closes.
class Pipe {
  public:
    explicit Pipe(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {
        EXPECT_EQ(::pipe(ends_), 0);
        writer_ = std::thread([this] {
            for (size_t at = 0; at < bytes_.size();) {
                const ssize_t n = ::write(ends_[1], bytes_.data() + at, std::min<size_t>(bytes_.size() - at, 10007));
                if (n < 0) { break; }
                at += size_t(n);
            }
            ::close(ends_[1]);
        });
    }
    ~Pipe() {
        std::vector<uint8_t> rest(1 << 16);
        while (::read(ends_[0], rest.data(), rest.size()) > 0) {}
        writer_.join();
        ::close(ends_[0]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    int fd() const { return ends_[0]; }

  private:
    std::vector<uint8_t> bytes_;
    int ends_[2] = {};
    std::thread writer_;
};

std::vector<uint8_t> counted(size_t n) {
    std::vector<uint8_t> bytes(n);
    for (size_t i = 0; i < n; i++) { bytes[i] = uint8_t(i * 7 + (i >> 8)); }
    return bytes;
}

constexpr uint64_t kib = 1024;

TEST(BaseStream, AsksEachTimeTheBytesHaveDoubledAndAtTheEnd) {
    const std::vector<uint8_t> bytes = counted(5000 * kib);
    const Pipe pipe(bytes);
    std::vector<uint64_t> asked;
    const auto read = base::read_until(pipe.fd(), "a pipe", "a thing", uint64_t(1) << 30, [&](auto seen) {
        asked.push_back(seen.size());
        EXPECT_TRUE(std::equal(seen.begin(), seen.end(), bytes.begin()));
        return Result<bool>(seen.size() == bytes.size());
    });
    EXPECT_TRUE(read.ok());
    EXPECT_EQ(asked, (std::vector<uint64_t>{256 * kib, 512 * kib, 1024 * kib, 2048 * kib, 4096 * kib, 5000 * kib}));
}

TEST(BaseStream, StopsWhenItIsEnough) {
    const Pipe pipe(counted(3000 * kib));
    const auto is_enough = [](std::span<const uint8_t> seen) { return Result<bool>(seen.size() >= 300 * kib); };
    ASSERT_TRUE(base::read_until(pipe.fd(), "a pipe", "a thing", uint64_t(1) << 30, is_enough).ok());
    uint8_t next = 0;
    ASSERT_EQ(::read(pipe.fd(), &next, 1), 1);
    EXPECT_EQ(next, counted(512 * kib + 1).back());
}

TEST(BaseStream, EndsAndBudgetsAreErrorsThatSaySo) {
    const auto never = [](std::span<const uint8_t>) { return Result<bool>(false); };
    const auto error = [&](size_t n_bytes, uint64_t budget) {
        const Pipe pipe(counted(n_bytes));
        const auto read = base::read_until(pipe.fd(), "a pipe", "a thing", budget, never);
        EXPECT_FALSE(read.ok());
        return read.ok() ? Error{} : read.error();
    };
    EXPECT_EQ(error(0, 100).what, "ends after 0 bytes, inside a thing");
    EXPECT_EQ(error(99, 100).what, "ends after 99 bytes, inside a thing");
    EXPECT_EQ(error(100, 100).code, ErrorCode::capacity);
    EXPECT_EQ(error(400 * kib, 300 * kib).what, "a thing is not complete within the 307200 bytes that are read for it");
    EXPECT_EQ(error(1, 0).code, ErrorCode::capacity);
    EXPECT_EQ(error(99, 100).where.file, "a pipe");
    const auto failed = [](std::span<const uint8_t>) -> Result<bool> { return Error{ErrorCode::format, "no", {}, ""}; };
    const Pipe pipe(counted(10));
    EXPECT_EQ(base::read_until(pipe.fd(), "a pipe", "a thing", 100, failed).error().what, "no");
    EXPECT_EQ(base::read_until(-1, "a pipe", "a thing", 100, never).error().code, ErrorCode::io);
}

}  // namespace
