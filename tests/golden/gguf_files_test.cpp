// Every real GGUF file of the test data opens, and its tensors can be read.
#include <gtest/gtest.h>

#include "gguf/weight_source.h"
#include "support/data.h"

namespace {

using namespace wallaby;

TEST(GgufRealFiles, AllOpen) {
    WALLABY_NEED_DATA(data);
    size_t n_files = 0, n_tensors = 0, n_tokens = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
        if (entry.path().extension() != ".gguf") { continue; }
        SCOPED_TRACE(entry.path());
        n_files++;
        const auto source = gguf::open_gguf(entry.path());
        ASSERT_TRUE(source.ok()) << source.error().message();
        const gguf::Metadata& metadata = (*source)->metadata();
        EXPECT_TRUE(metadata.string("general.architecture").ok());
        const auto tokens = metadata.strings("tokenizer.ggml.tokens");
        if (tokens.ok()) { n_tokens += tokens->size(); }
        for (const gguf::Tensor& tensor : (*source)->tensors()) {
            const auto floats = gguf::read_floats(**source, tensor, uint64_t(1) << 24);
            EXPECT_TRUE(floats.ok()) << floats.error().message();
            n_tensors++;
        }
    }
    RecordProperty("files", int(n_files));
    // 25 of golden/archs, 4 of models, 9 of vocab. A folder that lost files must not pass.
    EXPECT_GE(n_files, 38u);
    EXPECT_GE(n_tensors, 25u * 10);
    EXPECT_GE(n_tokens, 9u * 30000);
}

}  // namespace
