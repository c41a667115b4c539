// Adapters merged into a model's weights: W + scale * strength * B A, as a file of it would have them.
#include "convert/adapted.h"

#include <gtest/gtest.h>

#include "support/lora.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

std::vector<float> floats(const gguf::WeightSource& source, const std::string& name) {
    return must(gguf::read_floats(source, *source.find(name), UINT64_MAX));
}

const TinyModel models[] = {{}, {.type = quant::Type::q8_0}, {.n_expert = 3, .n_used = 2}};

// One weight at a time, of its row of b and column of a.
TEST(ConvertAdapted, WeightsAreThoseOfTheProduct) {
    for (const TinyModel& model : models) {
        const auto a = TinyAdapter{.rank = 3, .alpha = 12}.open(*model.open()),
                   b = TinyAdapter{.seed = 4}.open(*model.open());
        const convert::AdaptedSource source(model.open(), {{a, 0.5f}, {b, -2}});
        const auto base = model.open();
        size_t n_changed = 0;
        for (const gguf::Tensor& tensor : source.tensors()) {
            SCOPED_TRACE(tensor.name);
            const std::vector<float> before = floats(*base, tensor.name), after = floats(source, tensor.name);
            const auto change = a->changes().find(tensor.name);
            if (change == a->changes().end()) {
                EXPECT_EQ(tensor.type, base->find(tensor.name)->type);
                EXPECT_EQ(after, before);
                continue;
            }
            n_changed++;
            EXPECT_EQ(tensor.type, quant::Type::f32);
            const uint64_t n_in = tensor.dims[0], n_out = tensor.dims[1];
            for (uint64_t i = 0; i < before.size(); i++) {
                double wanted = before[i];
                for (const auto& [adapter, factor] : {std::pair{a.get(), 0.5 * 12 / 3}, {b.get(), -2.0}}) {
                    const gguf::LowRank& f = adapter->changes().at(tensor.name);
                    const uint64_t row = i / n_in, matrix = row / n_out;
                    for (uint64_t k = 0; k < f.rank; k++) {
                        std::vector<float> left(f.rank), right(n_in);
                        f.b.decode(row, 1, left.data());
                        f.a.decode(matrix * f.rank + k, 1, right.data());
                        wanted += factor * left[k] * right[i % n_in];
                    }
                }
                ASSERT_NEAR(after[i], wanted, 1e-6 * (std::fabs(wanted) + 1e-3)) << i;
            }
        }
        EXPECT_GE(n_changed, 14u);
    }
}

// A range is the same bytes wherever it is cut: in the middle of a row, of a weight and of a block.
TEST(ConvertAdapted, AnyRangeIsAPartOfTheWhole) {
    const TinyModel model{.n_ff = 1024, .type = quant::Type::q8_0};
    const convert::AdaptedSource source(model.open(), {{TinyAdapter{}.open(*model.open()), 1}});
    const gguf::Tensor& tensor = *source.find("blk.1.ffn_down.weight");
    std::vector<uint8_t> whole(tensor.n_bytes);
    ASSERT_TRUE(source.read(tensor, 0, whole).ok());
    ASSERT_GT(tensor.n_elements(), 2 * 32768 - 1) << "no more than one piece";
    for (const auto& [offset, n] : {std::pair<uint64_t, uint64_t>{0, 1},
                                    {1, 2},
                                    {4095, 4},
                                    {4 * 1024 - 2, 4 * 1024 + 5},
                                    {131070, 9},
                                    {tensor.n_bytes - 1, 1},
                                    {tensor.n_bytes, 0}}) {
        std::vector<uint8_t> part(n);
        ASSERT_TRUE(source.read(tensor, offset, part).ok());
        EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + ptrdiff_t(offset))) << offset;
    }
    std::vector<uint8_t> part(2);
    for (const uint64_t offset : {tensor.n_bytes - 1, tensor.n_bytes + 1, UINT64_MAX}) {
        EXPECT_EQ(source.read(tensor, offset, part).error().code, ErrorCode::argument);
    }
}

}  // namespace
