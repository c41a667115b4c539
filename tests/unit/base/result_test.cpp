#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace {

using namespace wallaby;

Result<int> half(int n) {
    if (n % 2 != 0) { return Error{ErrorCode::argument, "is odd", {"", "n", {}}, "Pass an even number"}; }
    return n / 2;
}

Result<int> quarter(int n) {
    WALLABY_TRY(const int h, half(n));
    WALLABY_TRY(int q, half(h));
    return q;
}

Result<void> check_quarter(int n) {
    WALLABY_OK(quarter(n));
    return {};
}

TEST(BaseResult, HoldsAValueOrAnError) {
    const Result<int> good = half(4);
    ASSERT_TRUE(good.ok());
    EXPECT_TRUE(bool(good));
    EXPECT_EQ(*good, 2);
    const Result<int> bad = half(3);
    ASSERT_FALSE(bad.ok());
    EXPECT_FALSE(bool(bad));
    EXPECT_EQ(bad.error().code, ErrorCode::argument);
    EXPECT_TRUE(Result<void>().ok());
}

TEST(BaseResult, TryPassesErrorsOn) {
    EXPECT_EQ(*quarter(8), 2);
    EXPECT_EQ(quarter(6).error().what, "is odd");
    EXPECT_EQ(quarter(7).error().where.field, "n");
    EXPECT_TRUE(check_quarter(8).ok());
    EXPECT_EQ(check_quarter(6).error().remedy, "Pass an even number");
}

TEST(BaseResult, MovesWhatCannotBeCopied) {
    const auto make = [](bool ok) -> Result<std::unique_ptr<int>> {
        if (!ok) { return Error{}; }
        return std::make_unique<int>(5);
    };
    const auto pass = [&](bool ok) -> Result<std::unique_ptr<int>> {
        WALLABY_TRY(std::unique_ptr<int> p, make(ok));
        return p;
    };
    EXPECT_EQ(**pass(true), 5);
    EXPECT_FALSE(pass(false).ok());
    std::unique_ptr<int> taken = make(true).value();
    EXPECT_EQ(*taken, 5);
}

// `*f()` is a value, so that a loop over it does not read a Result that is gone.
TEST(BaseResult, DereferencedTemporaryIsAValue) {
    const auto make = [] { return Result<std::vector<int>>(std::vector<int>{1, 2, 3}); };
    static_assert(std::is_same_v<decltype(*make()), std::vector<int>>);
    int sum = 0;
    for (const int n : *make()) { sum += n; }
    EXPECT_EQ(sum, 6);
}

TEST(BaseError, MessageNamesWhatItKnows) {
    const auto message = [](Where where, std::string remedy) {
        return Error{ErrorCode::format, "is broken", std::move(where), std::move(remedy)}.message();
    };
    EXPECT_EQ(message({}, ""), "is broken");
    EXPECT_EQ(message({"m.gguf", "", {}}, ""), "m.gguf: is broken");
    EXPECT_EQ(message({"m.gguf", "key 'k'", {}}, ""), "m.gguf: key 'k': is broken");
    EXPECT_EQ(message({"m.gguf", "key 'k'", 7}, "Mend it"), "m.gguf: key 'k' at byte 7: is broken. Mend it");
    EXPECT_EQ(message({"m.gguf", "", 7}, ""), "m.gguf: at byte 7: is broken");
    EXPECT_EQ(message({"", "--top-k", {}}, ""), "--top-k: is broken");
}

// A file's keys reach the terminal through messages: they must not carry commands for it.
TEST(BaseError, MessageIsOnePrintableLine) {
    const Error error{ErrorCode::format, "is\nbroken", {"a\tb", "key '\x1b[2J\x7f'", {}}, "Mend\r\xc3\xa9"};
    EXPECT_EQ(error.message(), "a\\x09b: key '\\x1b[2J\\x7f': is\\x0abroken. Mend\\x0d\xc3\xa9");
}

TEST(BaseError, EveryCodeHasAName) {
    for (int i = 0; i <= int(ErrorCode::memory); i++) { EXPECT_NE(name_of(ErrorCode(i)), "unknown") << i; }
    EXPECT_EQ(name_of(ErrorCode::numeric), "numeric");
    EXPECT_EQ(name_of(ErrorCode(int(ErrorCode::memory) + 1)), "unknown");
}

}  // namespace
