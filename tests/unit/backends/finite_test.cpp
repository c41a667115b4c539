#include "backends/finite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "quant/format.h"

namespace {

using namespace wallaby;
using backends::check_finite;

struct Case {
    gguf::Tensor tensor;
    std::vector<uint8_t> bytes;
};

Case zeros(quant::Type type, uint64_t n_in, uint64_t n_out) {
    const quant::Format& format = quant::format_of(type);
    Case c;
    c.tensor.name = "w";
    c.tensor.type = type;
    c.tensor.n_dims = 2;
    c.tensor.dims = {n_in, n_out, 1, 1};
    c.tensor.n_bytes = n_in / format.block_len * format.block_bytes * n_out;
    c.tensor.offset = 1000;
    c.bytes.assign(c.tensor.n_bytes, 0);
    return c;
}

Result<void> check(const Case& c, unsigned n_threads = 1) {
    threads::Pool pool(n_threads);
    return check_finite(c.tensor, c.bytes.data(), "file", pool, {});
}

TEST(BackendsFinite, NamesTheFirstRowAndColumn) {
    for (const unsigned n_threads : {1u, 4u}) {
        for (const float bad : {INFINITY, -INFINITY, NAN, -NAN, std::bit_cast<float>(0x7f800001u)}) {
            Case c = zeros(quant::Type::f32, 1000, 3000);  // several chunks, and a piece that is not full
            auto* values = reinterpret_cast<float*>(c.bytes.data());
            std::fill_n(values, 3000000, std::numeric_limits<float>::max());
            ASSERT_TRUE(check(c, n_threads).ok());
            values[2999999] = values[2000000] = bad;
            values[1234567] = bad;
            const auto refused = check(c, n_threads);
            ASSERT_FALSE(refused.ok());
            EXPECT_EQ(refused.error().code, ErrorCode::numeric);
            EXPECT_EQ(refused.error().where.file, "file");
            EXPECT_EQ(refused.error().where.field, "tensor 'w'");
            EXPECT_EQ(refused.error().where.offset, 1000u + 1234u * 4000);
            EXPECT_EQ(refused.error().what, fmt::format("row 1234 of 3000 holds {} at column 567", bad));
            values[1234567] = values[2000000] = 0;
            EXPECT_EQ(check(c, n_threads).error().what, fmt::format("row 2999 of 3000 holds {} at column 999", bad));
        }
    }
}

// Every format: all bytes zero are finite weights, and all bit patterns of any two bytes at any place of a block are
// found non-finite exactly when decoding the block shows it.
TEST(BackendsFinite, EveryFormatsScales) {
    size_t n_with = 0;
    for (const quant::Format& format : quant::formats()) {
        SCOPED_TRACE(format.name);
        Case c = zeros(format.type, uint64_t(format.block_len) * 3, 2);
        EXPECT_TRUE(check(c).ok());
        threads::Pool pool(1);
        size_t n_refused = 0;
        const size_t block = size_t(format.block_bytes) * 4;  // row 1, the block in the middle
        for (size_t at = 0; at + 1 < format.block_bytes; at++) {
            for (const uint16_t pattern : {0x7c00, 0xfc00, 0x7e01, 0x7f80, 0xff80, 0x7fff, 0xffff, 0x7bff, 0x3c00}) {
                std::memcpy(&c.bytes[block + at], &pattern, 2);
                std::vector<float> values(format.block_len);
                format.decode(&c.bytes[block], values.data(), 1);
                const bool finite = std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
                const auto checked = check_finite(c.tensor, c.bytes.data(), "file", pool, {});
                ASSERT_EQ(checked.ok(), finite) << at << " " << pattern;
                if (!finite) {
                    EXPECT_EQ(checked.error().what.rfind("row 1 of 2 holds ", 0), 0u) << checked.error().what;
                    n_refused++;
                }
                std::memset(&c.bytes[block + at], 0, 2);
            }
        }
        n_with += n_refused > 0 ? 1 : 0;
        // Codes of these formats have no pattern, and no 16-bit scale, that is not a number.
        const bool never = format.name[0] == 'I' && format.name[1] >= '0' && format.name[1] <= '9';
        if (never) { EXPECT_EQ(n_refused, 0u); }
    }
    EXPECT_GE(n_with, 24u);
}

TEST(BackendsFinite, AStopEndsTheSearch) {
    Case c = zeros(quant::Type::f32, 1000, 1000);
    const float bad = NAN;
    std::memcpy(c.bytes.data(), &bad, 4);
    std::stop_source stop;
    stop.request_stop();
    threads::Pool pool(1);
    EXPECT_TRUE(check_finite(c.tensor, c.bytes.data(), "file", pool, stop.get_token()).ok());
}

}  // namespace
