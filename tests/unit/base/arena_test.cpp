#include "base/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace {

using namespace wallaby;
using base::Arena;

constexpr uint64_t huge_page = uint64_t(2) << 20;

TEST(BaseArena, RoundsUpToHugePages) {
    EXPECT_EQ(Arena::create(1)->size(), huge_page);
    EXPECT_EQ(Arena::create(huge_page)->size(), huge_page);
    EXPECT_EQ(Arena::create(huge_page + 1)->size(), 2 * huge_page);
}

TEST(BaseArena, HandsOutZeroedAlignedPiecesApart) {
    auto arena = Arena::create(1 << 20);
    ASSERT_TRUE(arena.ok());
    const uint8_t* end = nullptr;
    for (const uint64_t n : {1, 64, 100, 63, 65}) {
        const auto piece = arena->take(n);
        ASSERT_TRUE(piece.has_value());
        EXPECT_EQ(piece->size(), n);
        EXPECT_EQ(uintptr_t(piece->data()) % Arena::alignment, 0u);
        EXPECT_TRUE(std::ranges::all_of(*piece, [](uint8_t b) { return b == 0; }));
        EXPECT_GE(piece->data(), end);
        std::ranges::fill(*piece, uint8_t(0xff));
        end = piece->data() + n;
    }
    EXPECT_EQ(arena->used(), 64u + 64 + 128 + 64 + 128);
}

TEST(BaseArena, IsFullWhenItIsFull) {
    auto arena = Arena::create(huge_page);
    ASSERT_TRUE(arena->take(huge_page - 64).has_value());
    EXPECT_FALSE(arena->take(65).has_value());
    EXPECT_FALSE(arena->take(UINT64_MAX).has_value());
    EXPECT_FALSE(arena->take(UINT64_MAX - 62).has_value());
    EXPECT_TRUE(arena->take(64).has_value());
    EXPECT_FALSE(arena->take(1).has_value());
    EXPECT_TRUE(arena->take(0).has_value());
}

// Of the huge page at `page`, its middle.
bool is_resident_at(uint8_t* page) {
    unsigned char resident = 0;
    EXPECT_EQ(::mincore(page + huge_page / 2, 1, &resident), 0);
    return (resident & 1) != 0;
}

// Linux since 5.14, and not where it is emulated.
bool system_backs_pages() {
    void* const page = ::mmap(nullptr, huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(page, MAP_FAILED);
    (void)::madvise(page, huge_page, MADV_POPULATE_WRITE);
    const bool is_backed = is_resident_at(static_cast<uint8_t*>(page));
    ::munmap(page, huge_page);
    return is_backed;
}

TEST(BaseArena, BackedPagesAreThereAndStillZeros) {
    auto arena = Arena::create(3 * huge_page);
    const auto all = arena->take(3 * huge_page);
    ASSERT_TRUE(all.has_value());
    (*all)[huge_page] = 7;
    const auto is_resident = [&](uint64_t page) { return is_resident_at(all->data() + page * huge_page); };
    ASSERT_FALSE(is_resident(2));
    arena->back(1);
    arena->back(2);
    EXPECT_FALSE(is_resident(0));
    EXPECT_EQ(is_resident(2), system_backs_pages());
    EXPECT_EQ((*all)[huge_page], 7);
    (*all)[huge_page] = 0;
    EXPECT_TRUE(std::ranges::all_of(*all, [](uint8_t b) { return b == 0; }));
}

TEST(BaseArena, OfNothing) {
    auto arena = Arena::create(0);
    ASSERT_TRUE(arena.ok());
    EXPECT_EQ(arena->size(), 0u);
    EXPECT_FALSE(arena->take(1).has_value());
    EXPECT_FALSE(Arena().take(1).has_value());
}

TEST(BaseArena, ImpossibleSizesAreErrors) {
    for (const uint64_t n : {UINT64_MAX, UINT64_MAX - huge_page, uint64_t(1) << 62}) {
        const auto arena = Arena::create(n);
        ASSERT_FALSE(arena.ok()) << n;
        EXPECT_EQ(arena.error().code, ErrorCode::memory);
    }
}

TEST(BaseArena, MovesItsMemory) {
    Arena first = *Arena::create(1);
    const auto piece = first.take(8);
    (*piece)[0] = 7;
    Arena second = std::move(first);
    EXPECT_EQ((*piece)[0], 7);
    EXPECT_EQ(second.used(), 64u);
    Arena third;
    third = std::move(second);
    EXPECT_EQ((*piece)[0], 7);
    EXPECT_EQ(third.size(), huge_page);
    EXPECT_EQ(third.used(), 64u);
}

}  // namespace
