// Packed weights as bytes that can be kept: the same wherever they lie, usable over a copy, and refused where they are
// another model's, another version's or cut short.
#include <gtest/gtest.h>

#include <cstring>

#include "backends/cpu/weights.h"
#include "convert/synthetic.h"
#include "kernels/tiles.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using backends::WeightsIn;
using backends::cpu::Weights;
using wallaby::testing::must;

class BackendsWeightsImage : public ::testing::Test {
  protected:
    struct Loaded {
        explicit Loaded(const char* type) : source(must(convert::open_synthetic("tiny-moe", type, 1))) {
            model = must(models::build(*source, {}));
        }
        Weights load(unsigned n_threads) const {
            threads::Pool pool(n_threads);
            return must(Weights::load(model, *source, WeightsIn::memory, pool, {}, {}));
        }
        std::unique_ptr<gguf::WeightSource> source;
        ops::Model model;
    };
    // At an address of its own, 64-byte aligned and followed by nothing.
    static base::Arena copy(std::span<const uint8_t> image, std::span<uint8_t>& at) {
        base::Arena arena = must(base::Arena::create(image.size() + 4096));
        (void)arena.take(4032);
        at = *arena.take(image.size());
        std::ranges::copy(image, at.begin());
        return arena;
    }
};

TEST_F(BackendsWeightsImage, SameBytesEveryTimeAndUsableWhereverTheyLie) {
    const Loaded tiny("Q4_K_M");
    const Weights made = tiny.load(1);
    ASSERT_EQ(made.image().size(), Weights::planned_bytes(tiny.model, WeightsIn::memory));
    std::span<uint8_t> at;
    const base::Arena arena = copy(made.image(), at);
    {
        const Weights again = tiny.load(3);
        ASSERT_EQ(again.image().size(), at.size());
        EXPECT_NE(again.image().data(), made.image().data());
        EXPECT_TRUE(std::ranges::equal(again.image(), at));
    }
    const Weights over = must(Weights::over(tiny.model, *tiny.source, WeightsIn::memory, at));
    uint64_t n_tiles = 0, n_vectors = 0;
    const auto offset = [](const void* p, const Weights& w) {
        return static_cast<const uint8_t*>(p) - w.image().data();
    };
    for (const ops::Program& program : tiny.model.programs) {
        for (const ops::Op& op : program.ops) {
            if (std::holds_alternative<ops::Matmul>(op.spec)) {
                const uint8_t* const a = must(made.tiles(op.weight[0], 0, 1, 1, nullptr));
                const uint8_t* const b = must(over.tiles(op.weight[0], 0, 1, 1, nullptr));
                EXPECT_EQ(offset(a, made), offset(b, over));
                EXPECT_NE(a, b);
                n_tiles++;
            } else if (std::holds_alternative<ops::Norm>(op.spec)) {
                EXPECT_EQ(offset(made.vector(op.weight[0]), made), offset(over.vector(op.weight[0]), over));
                n_vectors++;
            }
        }
    }
    EXPECT_GT(n_tiles, 10u);
    EXPECT_GT(n_vectors, 4u);
    std::vector<float> row(tiny.model.weights[0].n_in), expected(row.size());
    std::vector<uint8_t> scratch(row.size() * sizeof(float));
    ASSERT_TRUE(made.row(0, 3, expected.data(), scratch.data()).ok());
    ASSERT_TRUE(over.row(0, 3, row.data(), scratch.data()).ok());
    EXPECT_EQ(row, expected);
}

TEST_F(BackendsWeightsImage, AnotherIsRefused) {
    const Loaded tiny("Q8_0"), other("Q4_0");
    const Weights made = tiny.load(1);
    std::span<uint8_t> at;
    const base::Arena arena = copy(made.image(), at);
    const auto refuses = [&](const Loaded& model, std::span<const uint8_t> image) {
        const auto over = Weights::over(model.model, *model.source, WeightsIn::memory, image);
        return !over.ok() && over.error().message().find("no image") != std::string::npos;
    };
    EXPECT_FALSE(refuses(tiny, at));
    EXPECT_TRUE(refuses(other, at));
    EXPECT_TRUE(refuses(tiny, {}));
    EXPECT_TRUE(refuses(tiny, at.first(at.size() - 1)));
    EXPECT_TRUE(refuses(tiny, at.subspan(4)));
    for (const size_t byte : {0, 8, 12, 16, 24, 63}) {  // of the header: magic, version, places, size, layout, unused
        at[byte] ^= 1;
        EXPECT_TRUE(refuses(tiny, at)) << byte;
        at[byte] ^= 1;
    }
    EXPECT_FALSE(refuses(tiny, at));
}

}  // namespace
