#include "kernels/tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"
#include "sampling/random.h"

namespace {

using namespace wallaby;

TEST(KernelsTiles, RowsComeBack) {
    for (const quant::Format& format : quant::formats()) {
        const uint32_t n_blocks = format.block_len == 1 ? 45 : 3;  // numbers are packed by 16 bytes, and a rest
        const uint32_t n_in = format.block_len * n_blocks;
        const uint64_t row_bytes = uint64_t(format.block_bytes) * n_blocks;
        for (const uint32_t n_rows : {1u, 15u, 16u}) {
            std::vector<uint8_t> rows(row_bytes * n_rows);
            sampling::Random random(n_rows);
            for (uint8_t& b : rows) { b = uint8_t(random.next()); }
            std::vector<uint8_t> tile(kernels::tile_bytes(format.type, n_in), 0xaa);
            ASSERT_EQ(tile.size(), row_bytes * 16);
            kernels::pack_tile(format.type, n_in, rows.data(), n_rows, tile.data());
            std::vector<uint8_t> row(row_bytes);
            for (uint32_t r = 0; r < 16; r++) {
                kernels::unpack_row(format.type, n_in, tile.data(), r, row.data());
                const std::vector<uint8_t> expected =
                    r < n_rows ? std::vector<uint8_t>(rows.begin() + std::ptrdiff_t(r * row_bytes),
                                                      rows.begin() + std::ptrdiff_t((r + 1) * row_bytes))
                               : std::vector<uint8_t>(row_bytes, 0);
                EXPECT_EQ(row, expected) << format.name << " row " << r << " of " << n_rows;
            }
        }
    }
}

// Any two bytes of a tile's rows set to a pattern: a tile said to be finite decodes to finite weights, and one said not
// to be does not, but for formats whose rows stay as they are, of which nothing is said.
TEST(KernelsTiles, SeenToBeFinite) {
    constexpr std::array<uint16_t, 9> patterns = {0x7c00, 0xfc00, 0x7e01, 0x7f80, 0xff80,
                                                  0x7fff, 0xffff, 0x7bff, 0x7f7f};
    size_t n_seen = 0, n_bad = 0;
    for (const quant::Format& format : quant::formats()) {
        const uint32_t n_blocks = format.block_len == 1 ? 13 : 3;
        const uint32_t n_in = format.block_len * n_blocks;
        const uint64_t row_bytes = uint64_t(format.block_bytes) * n_blocks;
        std::vector<uint8_t> rows(row_bytes * kernels::tile_rows), tile(rows.size());
        std::vector<float> weights(n_in);
        const auto is_seen = [&](uint32_t n_rows) {
            kernels::pack_tile(format.type, n_in, rows.data(), n_rows, tile.data());
            return kernels::is_tile_finite(format.type, n_in, tile.data());
        };
        const bool is_seen_at_all = is_seen(16);
        n_seen += is_seen_at_all ? 1 : 0;
        for (const uint32_t row : {0u, 9u, 15u}) {
            for (uint64_t at = 0; at + 1 < row_bytes; at++) {
                for (const uint16_t pattern : patterns) {
                    std::memcpy(&rows[row * row_bytes + at], &pattern, 2);
                    format.decode(rows.data() + row * row_bytes, weights.data(), n_blocks);
                    const bool finite = std::ranges::all_of(weights, [](float w) { return std::isfinite(w); });
                    ASSERT_EQ(is_seen(row + 1), is_seen_at_all && finite)
                        << format.name << " row " << row << " byte " << at << " pattern " << pattern;
                    n_bad += finite ? 0 : 1;
                    std::memset(&rows[row * row_bytes + at], 0, 2);
                }
            }
        }
    }
    EXPECT_EQ(n_seen, 25u);  // all with f16 scales known, and plain numbers
    EXPECT_GT(n_bad, 1000u);
}

TEST(KernelsTiles, AreStoredWhole) {
    for (const uint64_t n_bytes : {0, 16, 32, 48, 1152, 4096 + 16}) {
        std::vector<uint8_t> from(n_bytes + 1);  // read from where no vector is aligned
        for (size_t i = 0; i < from.size(); i++) { from[i] = uint8_t(i * 7 + 1); }
        alignas(16) std::array<uint8_t, 8192> to = {};
        kernels::store_tiles(from.data() + 1, n_bytes, to.data() + 16);
        EXPECT_EQ(std::memcmp(to.data() + 16, from.data() + 1, n_bytes), 0) << n_bytes;
        EXPECT_EQ(to[15], 0);
        EXPECT_TRUE(std::all_of(to.begin() + std::ptrdiff_t(16 + n_bytes), to.end(), [](uint8_t b) { return b == 0; }));
    }
}

}  // namespace
