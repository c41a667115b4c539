#include "base/hash.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace {

using namespace wallaby;

TEST(BaseHash, PublishedValuesOfFnv1a) {
    EXPECT_EQ(base::fnv1a(""), 0xcbf29ce484222325u);
    EXPECT_EQ(base::fnv1a("a"), 0xaf63dc4c8601ec8cu);
    EXPECT_EQ(base::fnv1a("foobar"), 0x85944171f73967e8u);
}

TEST(BaseHash, ADigestTellsBytesLengthsAndPiecesApart) {
    std::vector<uint8_t> bytes(75, 0);
    std::set<uint64_t> seen;
    size_t n = 0;
    for (size_t i = 0; i < bytes.size(); i++) {
        for (const uint8_t bit : {0x01, 0x80}) {
            bytes[i] = bit;
            seen.insert(base::digest(bytes));
            n++;
        }
        bytes[i] = 0;
        seen.insert(base::digest(std::span(bytes).first(i)));
        seen.insert(base::digest(std::span(bytes).first(i), 1));
        n += 2;
    }
    EXPECT_EQ(seen.size(), n);
    EXPECT_EQ(base::digest(bytes), base::digest(bytes, 0));
}

}  // namespace
