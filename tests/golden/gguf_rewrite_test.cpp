// Every real GGUF file of the test data, written again from its parsed form.
#include <gtest/gtest.h>
#include <unistd.h>

#include "gguf/writer.h"
#include "support/data.h"

namespace {

using namespace wallaby;

TEST(GgufRealFiles, WrittenAgainAreTheSame) {
    WALLABY_NEED_DATA(data);
    const std::string out = ::testing::TempDir() + "wallaby-rewrite-" + std::to_string(::getpid()) + ".gguf";
    size_t n_files = 0, n_identical = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
        if (entry.path().extension() != ".gguf") { continue; }
        SCOPED_TRACE(entry.path());
        n_files++;
        const auto source = gguf::open_gguf(entry.path());
        ASSERT_TRUE(source.ok()) << source.error().message();
        gguf::Draft draft;
        draft.copy((*source)->metadata());
        for (const gguf::Tensor& t : (*source)->tensors()) {
            draft.tensor(t.name, t.type, std::span(t.dims).first(t.n_dims));
        }
        auto writer = gguf::Writer::create(out, draft);
        ASSERT_TRUE(writer.ok()) << writer.error().message();
        for (const gguf::Tensor& t : (*source)->tensors()) { ASSERT_TRUE(writer->copy(**source, t).ok()); }
        ASSERT_TRUE(writer->commit().ok());

        const auto again = gguf::open_gguf(out);
        ASSERT_TRUE(again.ok()) << again.error().message();
        const auto& keys = (*source)->metadata().entries();
        ASSERT_EQ((*again)->metadata().entries().size(), keys.size());
        for (size_t i = 0; i < keys.size(); i++) {
            const auto& key = (*again)->metadata().entries()[i];
            ASSERT_EQ(key.key, keys[i].key);
            ASSERT_EQ(key.value.type, keys[i].value.type) << key.key;
            ASSERT_EQ(key.value.element, keys[i].value.element) << key.key;
            ASSERT_TRUE(std::ranges::equal(key.value.bytes, keys[i].value.bytes)) << key.key;
        }
        ASSERT_EQ((*again)->tensors().size(), (*source)->tensors().size());
        for (size_t i = 0; i < (*source)->tensors().size(); i++) {
            const gguf::Tensor &was = (*source)->tensors()[i], &is = (*again)->tensors()[i];
            ASSERT_EQ(is.name, was.name);
            ASSERT_EQ(is.type, was.type);
            ASSERT_EQ(is.dims, was.dims);
            std::vector<uint8_t> a(was.n_bytes), b(was.n_bytes);
            ASSERT_TRUE((*source)->read(was, 0, a).ok() && (*again)->read(is, 0, b).ok());
            ASSERT_TRUE(a == b) << is.name;
        }
        n_identical += wallaby::testing::read_file(entry.path()) == wallaby::testing::read_file(out);
    }
    std::filesystem::remove(out);
    EXPECT_GE(n_files, 38u);
    // The files' own writers (llama.cpp's and gguf-py) lay them out as ours does.
    EXPECT_EQ(n_identical, n_files);
    std::printf("[ tried    ] %zu files, %zu identical to the byte\n", n_files, n_identical);
}

}  // namespace
