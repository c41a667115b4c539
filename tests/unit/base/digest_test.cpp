#include "base/digest.h"

#include <gtest/gtest.h>

#include <vector>

namespace {

using namespace wallaby;

std::string digest_of(std::string_view name, std::string_view text, size_t piece = 1000) {
    const auto digest = base::make_digest(name);
    while (!text.empty()) {
        const std::string_view now = text.substr(0, piece);
        digest->add({reinterpret_cast<const uint8_t*>(now.data()), now.size()});
        text.remove_prefix(now.size());
    }
    return digest->finish();
}

// FIPS 180-4's examples (csrc.nist.gov, SHA256.pdf), and a million times "a".
TEST(BaseDigest, Sha256) {
    EXPECT_EQ(digest_of("sha256", ""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(digest_of("sha256", "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(digest_of("sha256", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(digest_of("sha256", std::string(1'000'000, 'a')),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// What npm's xxhash-wasm 1.1 gives.
TEST(BaseDigest, Xxh64) {
    EXPECT_EQ(digest_of("xxh64", ""), "ef46db3751d8e999");
    EXPECT_EQ(digest_of("xxh64", "abc"), "44bc2cf5ad770999");
    EXPECT_EQ(digest_of("xxh64", std::string(1'000'000, 'a')), "dc483aaa9b4fdc40");
    EXPECT_EQ(digest_of("xxh64", "0123456789abcdefghijklmnopqrstuvwxyz!"), "dde9d7f125de8f22");
}

TEST(BaseDigest, PiecesDoNotMatter) {
    std::string text;
    for (int i = 0; i < 333; i++) { text += char(i * 7); }
    for (const std::string_view name : base::digest_names) {
        for (size_t size = 0; size < text.size(); size += 13) {
            const std::string whole = digest_of(name, text.substr(0, size));
            for (const size_t piece : {1, 7, 31, 32, 33, 64, 65}) {
                EXPECT_EQ(digest_of(name, text.substr(0, size), piece), whole) << name << size << " in " << piece;
            }
        }
    }
    EXPECT_EQ(base::make_digest("md5"), nullptr);
}

}  // namespace
