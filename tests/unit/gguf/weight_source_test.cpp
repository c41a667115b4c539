#include "gguf/weight_source.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/gguf_bytes.h"
#include "unit/gguf/raw.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

class GgufWeightSource : public ::testing::Test {
  protected:
    GgufWeightSource() {
        GgufBytes file;
        file.kv("k", uint32_t(1)).tensor_f32("a", {3}, {1, 2, 3});
        // One block of Q8_0: scale 0.5 in binary16, weights -16 … 15.
        std::vector<uint8_t> block{0x00, 0x38};
        for (int i = -16; i < 16; i++) { block.push_back(uint8_t(i)); }
        file.tensor("q", {32}, 8, block);
        bytes_ = file.build();
        auto opened = gguf::open_gguf(std::make_unique<base::MemorySource>(bytes_, "memory"));
        EXPECT_TRUE(opened.ok());
        source_ = std::move(*opened);
    }
    std::vector<uint8_t> bytes_;
    std::unique_ptr<gguf::WeightSource> source_;
};

TEST_F(GgufWeightSource, ReadsRangesOfATensor) {
    const gguf::Tensor& a = *source_->find("a");
    float two[2] = {};
    ASSERT_TRUE(source_->read(a, 4, {reinterpret_cast<uint8_t*>(two), 8}).ok());
    EXPECT_EQ(two[0], 2);
    EXPECT_EQ(two[1], 3);
    EXPECT_TRUE(source_->read(a, 12, {}).ok());
    EXPECT_EQ(source_->find("b"), nullptr);
    EXPECT_EQ(source_->tensors().size(), 2u);
    EXPECT_EQ(*source_->metadata().u32("k"), 1u);
}

// The file goes on after the tensor; the tensor does not.
TEST_F(GgufWeightSource, RefusesRangesBeyondATensor) {
    const gguf::Tensor& a = *source_->find("a");
    uint8_t out[16];
    for (const uint64_t offset : {uint64_t(1), uint64_t(12), UINT64_MAX, UINT64_MAX - 11}) {
        const auto refused = source_->read(a, offset, {out, 12});
        ASSERT_FALSE(refused.ok()) << offset;
        EXPECT_EQ(refused.error().code, ErrorCode::argument);
        EXPECT_EQ(refused.error().where.field, "tensor 'a'");
    }
}

TEST_F(GgufWeightSource, DecodesSmallTensors) {
    EXPECT_EQ(*gguf::read_floats(*source_, *source_->find("a"), 3), (std::vector<float>{1, 2, 3}));
    const auto q = gguf::read_floats(*source_, *source_->find("q"), 32);
    ASSERT_TRUE(q.ok());
    ASSERT_EQ(q->size(), 32u);
    for (size_t i = 0; i < 32; i++) { EXPECT_EQ((*q)[i], 0.5f * (float(i) - 16)); }
}

TEST_F(GgufWeightSource, RefusesToDecodeLargeTensors) {
    const auto refused = gguf::read_floats(*source_, *source_->find("a"), 2);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::model);
    EXPECT_EQ(refused.error().where.field, "tensor 'a'");
    EXPECT_EQ(refused.error().what, "has 3 elements where at most 2 are expected");
}

TEST(GgufWeightSourceFile, OpensByPathAndReportsWhatItCannot) {
    const std::string path = ::testing::TempDir() + "wallaby-source-" + std::to_string(::getpid()) + ".gguf";
    const std::vector<uint8_t> bytes = GgufBytes().tensor_f32("a", {2}, {4, 5}).build();
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), long(bytes.size()));
    const auto opened = gguf::open_gguf(path);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    EXPECT_EQ(*gguf::read_floats(**opened, *(*opened)->find("a"), 2), (std::vector<float>{4, 5}));
    EXPECT_EQ((*opened)->metadata().file(), path);
    // The file shrinks under an open source: an error, where a mapping would be a SIGBUS.
    std::filesystem::resize_file(path, bytes.size() - 32);
    const auto shrunk = gguf::read_floats(**opened, *(*opened)->find("a"), 2);
    ASSERT_FALSE(shrunk.ok());
    EXPECT_EQ(shrunk.error().code, ErrorCode::format);
    std::filesystem::remove(path);

    const auto missing = gguf::open_gguf(path);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code, ErrorCode::io);
    EXPECT_EQ(missing.error().where.file, path);
}

}  // namespace
