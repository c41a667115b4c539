#include "kv/pages.h"

#include <gtest/gtest.h>

#include <set>

namespace {

using namespace wallaby::kv;

TEST(KvPages, PagesForTokens) {
    EXPECT_EQ(pages_for(0), 0u);
    EXPECT_EQ(pages_for(1), 1u);
    EXPECT_EQ(pages_for(64), 1u);
    EXPECT_EQ(pages_for(65), 2u);
}

TEST(KvPages, TablesHoldDistinctPagesAndGiveThemBack) {
    PagePool pool(5);
    {
        PageTable a(pool), b(pool);
        ASSERT_TRUE(a.reserve(130).ok());
        ASSERT_TRUE(b.reserve(64).ok());
        EXPECT_EQ(pool.n_free(), 1u);
        std::set<PageId> all(a.pages().begin(), a.pages().end());
        all.insert(b.pages().begin(), b.pages().end());
        EXPECT_EQ(all.size(), 4u);
        for (const PageId page : all) { EXPECT_LT(page, pool.n_pages()); }
        a.truncate(65);
        EXPECT_EQ(a.pages().size(), 2u);
        EXPECT_EQ(pool.n_free(), 2u);
        const PageTable moved(std::move(a));
        EXPECT_EQ(moved.pages().size(), 2u);
    }
    EXPECT_EQ(pool.n_free(), 5u);
}

TEST(KvPages, ReservingIsIdempotentAndKeepsPages) {
    PagePool pool(4);
    PageTable table(pool);
    ASSERT_TRUE(table.reserve(100).ok());
    const std::vector<PageId> before(table.pages().begin(), table.pages().end());
    ASSERT_TRUE(table.reserve(10).ok());
    ASSERT_TRUE(table.reserve(200).ok());
    EXPECT_TRUE(std::equal(before.begin(), before.end(), table.pages().begin()));
}

TEST(KvPages, AFullPoolIsAnErrorThatChangesNothing) {
    PagePool pool(2);
    PageTable a(pool), b(pool);
    ASSERT_TRUE(a.reserve(64).ok());
    const auto refused = b.reserve(65);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, wallaby::ErrorCode::capacity);
    EXPECT_NE(refused.error().what.find("1 free pages"), std::string::npos) << refused.error().what;
    EXPECT_NE(refused.error().what.find("2 are needed"), std::string::npos) << refused.error().what;
    EXPECT_TRUE(b.pages().empty());
    EXPECT_EQ(pool.n_free(), 1u);
}

}  // namespace
