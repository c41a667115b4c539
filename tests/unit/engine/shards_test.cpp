// A model in several files is the same model.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "engine/session.h"
#include "support/runner.h"
#include "support/split_gguf.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

TEST(EngineShards, GiveTheSameLogits) {
    std::string folder = ::testing::TempDir() + "wallaby-shards-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const std::vector<int32_t> tokens{1, 10, 20, 30, 40, 261, 262};
    for (const TinyModel& tiny :
         {TinyModel{.biases = true, .type = quant::Type::q8_0}, TinyModel{.n_expert = 4, .n_used = 2, .tied = true}}) {
        const auto whole = tiny.open();
        for (const bool first_without_tensors : {false, true}) {
            const auto paths = write_split(*whole, folder + "/m", {.first_without_tensors = first_without_tensors});
            Runner one(*whole, {}), several(paths[0], {});
            EXPECT_EQ(one.feed(tokens), several.feed(tokens));
            threads::Pool pool(1);
            const auto model = must(engine::Model::load(paths[0], {}, {pool, {}, {}, {}}));
            EXPECT_EQ(model->name(), paths[0]);
            EXPECT_TRUE(model->tokenizer().ok());
            EXPECT_FALSE(engine::Model::load(paths[1], {}, {pool, {}, {}, {}}).ok());
        }
    }
    std::filesystem::remove_all(folder);
}

}  // namespace
