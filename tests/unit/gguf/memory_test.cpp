// What a file claims allocates nothing; what it holds is held once. Each case runs in a child process whose address
// space may grow by the file's size and a fixed allowance, and no further.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "support/children.h"
#include "unit/gguf/raw.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using gguf::ValueType;

#define NEED_PLAIN_MEMORY() \
    if (under_sanitizer) { GTEST_SKIP() << "a sanitizer's own memory hides what the reader allocates"; }

constexpr uint64_t mib = 1 << 20;

// Whether `work` returns true in a child that can map n_bytes more than it has. An allocation beyond ends the child.
bool succeeds_within(uint64_t n_bytes, const std::function<bool()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        const rlim_t bound = mapped_bytes() + n_bytes;
        const rlimit limit{bound, bound};
        if (::setrlimit(RLIMIT_AS, &limit) != 0) { ::_exit(2); }
        try {
            ::_exit(work() ? 0 : 1);
        } catch (...) { ::_exit(3); }  // or gtest would catch it, and go on with the tests in the child
    }
    int status = 0;
    return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(GgufMemory, TheBoundItselfWorks) {
    NEED_PLAIN_MEMORY();
    const auto take = [](size_t n_bytes) {
        return [n_bytes] {
            const std::vector<uint8_t> block(n_bytes);
            return block[n_bytes / 2] == 0;
        };
    };
    EXPECT_TRUE(succeeds_within(8 * mib, take(4 * mib)));
    // Far more than what earlier tests may have left free in the heap; by mapping, the bound is sharp.
    EXPECT_FALSE(succeeds_within(8 * mib, take(512 * mib)));
    const auto map = [](size_t n_bytes) {
        return
            [n_bytes] { return ::mmap(nullptr, n_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED; };
    };
    EXPECT_TRUE(succeeds_within(8 * mib, map(7 * mib)));
    EXPECT_FALSE(succeeds_within(8 * mib, map(9 * mib)));
}

TEST(GgufMemory, ClaimsAllocateNothing) {
    NEED_PLAIN_MEMORY();
    const uint64_t gib = uint64_t(1) << 30;
    const std::vector<std::pair<std::string, Raw>> files = {
        {"n_tensors", Raw::header(UINT64_MAX, 0)},
        {"n_tensors 2^31", Raw::header(uint64_t(1) << 31, 0)},
        {"n_kv", Raw::header(0, UINT64_MAX)},
        {"n_kv 2^31", Raw::header(0, uint64_t(1) << 31)},
        {"key", Raw::header(0, 1).put(gib).zeros(99)},
        {"string", Raw::header(0, 1).key("k", ValueType::string).put(gib).zeros(99)},
        {"array of u8", Raw::header(0, 1).array("k", ValueType::u8, gib).zeros(99)},
        {"array of strings", Raw::header(0, 1).array("k", ValueType::string, gib).zeros(99)},
        {"string of an array", Raw::header(0, 1).array("k", ValueType::string, 1).put(gib).zeros(99)},
        {"alignment", Raw::header(1, 1).key_u32("general.alignment", 1u << 30).tensor("t", {1}, 0, 0).zeros(99)},
        {"name", Raw::header(1, 0).put(gib).zeros(99)},
        {"shape", Raw::header(1, 0).tensor("t", {gib, 64}, 0, 0).zeros(99)},
    };
    for (const auto& [name, raw] : files) {
        const auto& bytes = raw.done();
        EXPECT_TRUE(succeeds_within(2 * mib, [&] {
            const auto file = read(bytes);
            return !file.ok() && file.error().code == ErrorCode::format;
        })) << name;
    }
}

// As many keys, or tensors, as are allowed, as small as they can be: the index grows most per byte of file.
TEST(GgufMemory, ManySmallKeys) {
    NEED_PLAIN_MEMORY();
    const uint64_t n = gguf::Limits().max_kv;
    Raw raw = Raw::header(0, n);
    for (uint64_t i = 0; i < n; i++) {
        raw.put(uint64_t(4))
            .put(uint32_t(0x40404040 + i % 16 + (i / 16 % 16 << 8) + (i / 256 % 16 << 16) + (i / 4096 << 24)))
            .put(uint32_t(0))
            .put(uint8_t(1));
    }
    EXPECT_TRUE(succeeds_within(raw.size() + 64 * mib, [&] { return read(raw.done()).ok(); }));
}

TEST(GgufMemory, ManySmallTensors) {
    NEED_PLAIN_MEMORY();
    const uint64_t n = gguf::Limits().max_tensors;
    Raw raw = Raw::header(n, 1).key_u32("general.alignment", 1);
    for (uint64_t i = 0; i < n; i++) {
        std::string name = std::to_string(i);
        name.append(63 - name.size(), '.');
        raw.tensor(name, {1}, 24, i);
    }
    raw.zeros(n);
    EXPECT_TRUE(succeeds_within(raw.size() + 64 * mib, [&] { return read(raw.done()).ok(); }));
}

// A header that outgrows every read: it must never stand in memory twice. The file is made up as it is read.
class LongHeader final : public base::ByteSource {
  public:
    LongHeader() {
        first_ = Raw::header(0, 2).array("a", ValueType::u8, length).done();
        second_ = Raw().array("b", ValueType::u8, length).done();
    }
    uint64_t size() const override { return first_.size() + second_.size() + 2 * length; }
    const std::string& name() const override { return name_; }
    Result<void> read(uint64_t offset, std::span<uint8_t> out) const override {
        std::fill(out.begin(), out.end(), uint8_t(1));
        copy(first_, 0, offset, out);
        copy(second_, first_.size() + length, offset, out);
        return {};
    }

  private:
    static constexpr uint64_t length = 120 * mib;
    static void copy(const std::vector<uint8_t>& from, uint64_t at, uint64_t offset, std::span<uint8_t> out) {
        for (uint64_t i = 0; i < from.size(); i++) {
            if (at + i >= offset && at + i - offset < out.size()) { out[at + i - offset] = from[i]; }
        }
    }
    std::vector<uint8_t> first_, second_;
    std::string name_ = "made up";
};

TEST(GgufMemory, ALongHeaderIsHeldOnce) {
    NEED_PLAIN_MEMORY();
    const LongHeader source;
    EXPECT_TRUE(succeeds_within(source.size() + 64 * mib, [&] {
        const auto file = gguf::read_file(source);
        return file.ok() && file->metadata.find("b")->integer(0) == 1;
    }));
}

}  // namespace
