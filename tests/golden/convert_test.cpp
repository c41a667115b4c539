// Models in other programs' formats, whose GGUF files were made by someone else's converter.
#include "convert/llama2c.h"

#include <gtest/gtest.h>

#include "engine/session.h"
#include "support/data.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// llama2.c's own file of stories260K, beside the file that llama.cpp's converter made of it.
TEST(GoldenConvert, StoriesFromLlama2c) {
    WALLABY_NEED_DATA(data);
    const auto folder = data / "models" / "stories260K";
    const auto made = must(convert::open_llama2c(folder / "stories260K.bin", folder / "tok512.bin"));
    const auto expected = must(gguf::open_gguf((folder / "stories260K.gguf").string()));
    const auto floats = [](const gguf::WeightSource& source, std::string_view name) {
        return must(gguf::read_floats(source, *source.find(name), UINT64_MAX));
    };
    for (const gguf::Tensor& tensor : expected->tensors()) {
        // The file has the embedding a second time for the output; ours is tied.
        const std::string name = tensor.name == "output.weight" ? "token_embd.weight" : tensor.name;
        ASSERT_NE(made->find(name), nullptr) << name;
        EXPECT_EQ(floats(*made, name), floats(*expected, tensor.name)) << name;
    }
    EXPECT_EQ(made->tensors().size() + 1, expected->tensors().size());
    const std::vector<int32_t> start{1};
    EXPECT_EQ(Runner(*made, {}).greedy(start, 100), Runner(*expected, {}).greedy(start, 100));
}

}  // namespace
