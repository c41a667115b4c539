#include "base/memory_use.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/arena.h"
#include "base/processor.h"

namespace {

using namespace wallaby;
using namespace wallaby::base;

TEST(BaseMemoryUse, ThePeakIsThatSinceItWasReset) {
    constexpr uint64_t n_bytes = 64 << 20, slack = 16 << 20;
    if (!resident() || !reset_peak_resident()) { GTEST_SKIP() << "this system does not let a process reset its peak"; }
    {
        auto arena = Arena::create(n_bytes);
        ASSERT_TRUE(arena.ok());
        std::memset(arena->take(n_bytes)->data(), 1, n_bytes);
        EXPECT_GE(resident()->now, n_bytes);
    }
    EXPECT_GE(resident()->peak, resident()->now + n_bytes - slack);
    ASSERT_TRUE(reset_peak_resident());
    EXPECT_LE(resident()->peak, resident()->now + slack);
}

TEST(BaseMemoryUse, DroppingAFileLeavesItsBytes) {
    const std::string path = ::testing::TempDir() + "wallaby_dropped_" + std::to_string(::getpid());
    std::ofstream(path) << "abc";
    EXPECT_TRUE(drop_cached(path).ok());
    std::string text;
    std::ifstream(path) >> text;
    EXPECT_EQ(text, "abc");
    std::filesystem::remove(path);
    const auto gone = drop_cached(path);
    ASSERT_FALSE(gone.ok());
    EXPECT_NE(gone.error().message().find(path), std::string::npos);
}

TEST(BaseProcessor, HasANameAndACacheOfASizeThatExists) {
    EXPECT_FALSE(processor_name().empty());
    if (const auto n = l3_bytes()) {
        EXPECT_GE(*n, 1u << 18);
        EXPECT_LE(*n, uint64_t(1) << 40);
    }
}

}  // namespace
