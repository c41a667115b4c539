#include "base/mapping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "base/bytes.h"
#include "support/fake_root.h"

namespace {

using namespace wallaby;
using base::Mapping;

// A file of n_bytes that goes away with it.
class Temporary {
  public:
    explicit Temporary(size_t n_bytes) {
        for (size_t i = 0; i < n_bytes; i++) { content.push_back(uint8_t(1 + i % 251)); }
        folder_.file("/file", {reinterpret_cast<const char*>(content.data()), n_bytes});
        fd_ = ::open(path().c_str(), O_RDWR | O_CLOEXEC);
        EXPECT_GE(fd_, 0);
    }
    ~Temporary() { ::close(fd_); }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    int fd() const { return fd_; }
    std::string path() const { return folder_.path() + "/file"; }
    void cut(size_t n_bytes) const { EXPECT_EQ(::ftruncate(fd_, off_t(n_bytes)), 0); }

    std::vector<uint8_t> content;

  private:
    wallaby::testing::FakeRoot folder_;
    int fd_ = -1;
};

Mapping map(const Temporary& file) {
    auto mapping = Mapping::create(file.fd(), file.content.size(), "a file");
    EXPECT_TRUE(mapping.ok()) << mapping.error().message();
    return *std::move(mapping);
}

TEST(BaseMapping, HoldsTheFile) {
    const Temporary file(100'001);
    Mapping first = map(file);
    const Mapping mapping(std::move(first));
    EXPECT_TRUE(std::ranges::equal(mapping.bytes(), file.content));
    EXPECT_TRUE(mapping.check().ok());
}

TEST(BaseMapping, WhatTheFileLosesIsZerosAndAnError) {
    const Temporary file(1 << 20), other(1 << 16);
    const Mapping mapping = map(file), untouched = map(other);
    EXPECT_EQ(mapping.bytes()[900'000], file.content[900'000]);
    file.cut(300'000);
    EXPECT_EQ(mapping.bytes()[100'000], file.content[100'000]);
    EXPECT_TRUE(mapping.check().ok());
    EXPECT_EQ(mapping.bytes()[900'000], 0);
    EXPECT_EQ(mapping.bytes()[(1 << 20) - 1], 0);
    const auto checked = mapping.check();
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().code, ErrorCode::io);
    EXPECT_NE(checked.error().message().find("a file"), std::string::npos);
    EXPECT_TRUE(untouched.check().ok());
    EXPECT_TRUE(std::ranges::equal(untouched.bytes(), other.content));
}

TEST(BaseMapping, ThereIsAnEndOfThem) {
    const Temporary file(10);
    std::vector<Mapping> all;
    for (int i = 0; i < Mapping::max_mappings; i++) {
        auto mapping = Mapping::create(file.fd(), 10, "a file");
        if (!mapping.ok()) { break; }  // some may be in use elsewhere in this program
        all.push_back(*std::move(mapping));
    }
    EXPECT_FALSE(Mapping::create(file.fd(), 10, "a file").ok());
    all.pop_back();
    const Mapping again = map(file);
    EXPECT_TRUE(std::ranges::equal(again.bytes(), file.content));
}

TEST(BaseMappingDeathTest, OtherBusErrorsAreNotOurs) {
    const Temporary file(10);
    const Mapping mapping = map(file);
    EXPECT_DEATH(
        {
            std::signal(SIGSEGV, SIG_DFL);
            std::raise(SIGBUS);
            std::raise(SIGBUS);
        },
        "");
}

TEST(BaseBytes, OfAFileAndOfMemory) {
    const Temporary file(5000);
    auto source = base::open_file(file.path());
    ASSERT_TRUE(source.ok());
    EXPECT_TRUE(std::ranges::equal((*source)->bytes(), file.content));
    EXPECT_TRUE((*source)->check_bytes().ok());
    file.cut(0);
    EXPECT_EQ((*source)->bytes()[4999], 0);
    EXPECT_FALSE((*source)->check_bytes().ok());
    const base::MemorySource memory(file.content, "memory");
    EXPECT_EQ(memory.bytes().data(), file.content.data());
    const Temporary empty(0);
    EXPECT_TRUE((*base::open_file(empty.path()))->bytes().empty());
}

}  // namespace
