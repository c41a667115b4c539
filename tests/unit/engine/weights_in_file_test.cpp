// Models whose weights stay in their file: what is said of bad ones when they are met, and what is held in memory.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/session.h"
#include "support/fake_root.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using backends::WeightsIn;

class EngineWeightsInFile : public ::testing::Test {
  protected:
    void write(const TinyModel& tiny) {
        const std::vector<uint8_t> bytes = tiny.build();
        folder_.file("/model.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    std::shared_ptr<engine::Model> load(WeightsIn weights_in) {
        return must(engine::Model::load(path_, {.backend = {.weights_in = weights_in}}, {pool_, {}, {}, {}}));
    }
    // All logits of some tokens.
    static Result<std::vector<float>> evaluate(const std::shared_ptr<engine::Model>& model) {
        const auto session = must(engine::Session::create(model, {}));
        std::vector<float> out;
        WALLABY_OK(session->score(std::vector<int32_t>{1, 10, 20, 30},
                                  [&](size_t, std::span<const float> logits) {
                                      out.insert(out.end(), logits.begin(), logits.end());
                                      return Result<void>();
                                  },
                                  {}));
        return out;
    }

    threads::Pool pool_{2};
    FakeRoot folder_;
    const std::string path_ = folder_.path() + "/model.gguf";
};

TEST_F(EngineWeightsInFile, SameLogitsInLessMemory) {
    write({.type = quant::Type::q8_0});
    const auto in_memory = load(WeightsIn::memory), in_file = load(WeightsIn::file);
    EXPECT_EQ(must(evaluate(in_file)), must(evaluate(in_memory)));
    EXPECT_EQ(must(evaluate(in_file)), must(evaluate(in_memory)));  // known to be finite now
    EXPECT_LT(in_file->plan().weight_bytes * 20, in_memory->plan().weight_bytes);
}

TEST_F(EngineWeightsInFile, AFileCutShortIsAnError) {
    write({.type = quant::Type::q8_0});
    const auto model = load(WeightsIn::file);
    EXPECT_TRUE(evaluate(model).ok());
    std::filesystem::resize_file(path_, std::filesystem::file_size(path_) / 4);
    const auto cut = evaluate(model);
    ASSERT_FALSE(cut.ok());
    EXPECT_EQ(cut.error().code, ErrorCode::io) << cut.error().message();
    EXPECT_FALSE(evaluate(model).ok());
}

TEST_F(EngineWeightsInFile, NonFiniteWeightsAreRefusedWhenTheyAreUsed) {
    write({});
    const auto offset = must(gguf::open_gguf(path_))->find("blk.1.ffn_down.weight")->offset;
    {
        std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(std::streamoff(offset + (3 * 96 + 5) * sizeof(float)));
        const float bad = INFINITY;
        file.write(reinterpret_cast<const char*>(&bad), sizeof(bad));
    }
    const auto at_load = engine::Model::load(path_, {}, {pool_, {}, {}, {}});
    const auto at_use = evaluate(load(WeightsIn::file));
    ASSERT_FALSE(at_load.ok());
    ASSERT_FALSE(at_use.ok());
    EXPECT_EQ(at_use.error().message(), at_load.error().message());
    EXPECT_NE(at_use.error().message().find("row 3 of 64 holds inf at column 5"), std::string::npos)
        << at_use.error().message();
}

TEST_F(EngineWeightsInFile, TheReferenceHasNone) {
    write({});
    const auto model = engine::Model::load(path_, {.backend = {.name = "reference", .weights_in = WeightsIn::file}},
                                           {pool_, {}, {}, {}});
    ASSERT_FALSE(model.ok());
    EXPECT_EQ(model.error().code, ErrorCode::unsupported);
}

}  // namespace
