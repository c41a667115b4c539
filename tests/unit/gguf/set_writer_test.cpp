#include "gguf/set_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gguf/rewrite.h"
#include "gguf/shards.h"
#include "support/gguf_bytes.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
namespace fs = std::filesystem;

class GgufSetWriter : public ::testing::Test {
  protected:
    GgufSetWriter() {
        std::string name = ::testing::TempDir() + "wallaby-set-XXXXXX";
        folder_ = ::mkdtemp(name.data());
        prefix_ = folder_ / "model";
        GgufBytes file;
        file.kv("general.architecture", "llama").kv("k", uint32_t(7));
        for (int i = 0; i < 7; i++) {
            const std::vector<float> values(size_t(8) + size_t(i), float(i));  // 32 bytes and more: 64 with padding
            file.tensor_f32("t" + std::to_string(i), {values.size()}, values);
        }
        bytes_ = file.build();
        whole_ = must(gguf::open_gguf(std::make_unique<base::MemorySource>(bytes_, "whole")));
    }
    ~GgufSetWriter() override { fs::remove_all(folder_); }

    Result<void> write(const std::vector<size_t>& n_tensors, const std::stop_token& stop = {}) {
        WALLABY_TRY(auto writer, gguf::SetWriter::create(prefix_, gguf::draft_of(*whole_), n_tensors));
        return gguf::copy_tensors(*whole_, std::move(writer), {}, stop);
    }
    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::directory_iterator(folder_)) { out.push_back(entry.path().filename()); }
        std::ranges::sort(out);
        return out;
    }
    static std::vector<std::string> digests(const gguf::WeightSource& source) {
        std::vector<std::string> out;
        for (const auto& d : must(gguf::digests_of(source, "sha256", {}, {}))) {
            out.push_back(d.tensor + " " + d.hex);
        }
        return out;
    }

    fs::path folder_;
    std::string prefix_;
    std::vector<uint8_t> bytes_;
    std::unique_ptr<gguf::WeightSource> whole_;
};

TEST_F(GgufSetWriter, WhereSetsAreCut) {
    const gguf::Layout layout = must(gguf::draft_of(*whole_).layout("x"));  // 32 bytes, then 64 each
    const auto cut = [&](const gguf::SetLimits& limits) { return gguf::cut_set(layout, limits); };
    EXPECT_EQ(cut({}), (std::vector<size_t>{7}));
    EXPECT_EQ(cut({.max_tensors = 3}), (std::vector<size_t>{3, 3, 1}));
    EXPECT_EQ(cut({.max_bytes = 160}), (std::vector<size_t>{3, 2, 2}));
    EXPECT_EQ(cut({.max_bytes = 159}), (std::vector<size_t>{2, 2, 2, 1}));
    EXPECT_EQ(cut({.max_bytes = 1}), (std::vector<size_t>(7, 1)));  // one at least
    EXPECT_EQ(cut({.max_tensors = 4, .first_without_tensors = true}), (std::vector<size_t>{0, 4, 3}));
    EXPECT_EQ(cut({.max_bytes = 1, .first_without_tensors = true}).size(), 8u);
}

TEST_F(GgufSetWriter, ASetIsReadAsTheWhole) {
    for (const std::vector<size_t>& n_tensors :
         {std::vector<size_t>{3, 3, 1}, std::vector<size_t>{0, 7}, std::vector<size_t>(7, 1)}) {
        ASSERT_TRUE(write(n_tensors).ok());
        EXPECT_EQ(names().size(), n_tensors.size());
        const auto set = must(gguf::open_gguf(gguf::shard_path(prefix_, 0, uint32_t(n_tensors.size()))));
        EXPECT_EQ(digests(*set), digests(*whole_));
        EXPECT_EQ(must(set->metadata().u32("k")), 7u);
        EXPECT_EQ(must(gguf::tensors_of_files(*set)), n_tensors);
        fs::remove_all(folder_);
        fs::create_directory(folder_);
    }
}

TEST_F(GgufSetWriter, EveryFileHasTheAlignment) {
    gguf::Draft draft = gguf::draft_of(*whole_);
    draft.set("general.alignment", 256u);
    for (const gguf::Draft& part : must(gguf::drafts_of_set(draft, std::vector<size_t>{3, 4}))) {
        EXPECT_EQ(must(part.layout("x")).alignment, 256u);
    }
}

TEST_F(GgufSetWriter, FilesThatAreThereStay) {
    const std::string second = gguf::shard_path(prefix_, 1, 3);
    std::ofstream(second) << "mine";
    const auto refused = write({3, 3, 1});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().where.file, second);
    EXPECT_EQ(names(), (std::vector<std::string>{"model-00002-of-00003.gguf"}));
    EXPECT_EQ(fs::file_size(second), 4u);
}

TEST_F(GgufSetWriter, NothingIsLeftOfASetThatIsNotWhole) {
    {
        auto writer = must(gguf::SetWriter::create(prefix_, gguf::draft_of(*whole_), std::vector<size_t>{3, 3, 1}));
        for (int i = 0; i < 5; i++) { ASSERT_TRUE(writer.copy(*whole_, whole_->tensors()[size_t(i)]).ok()); }
        EXPECT_FALSE(writer.commit().ok());
        for (const std::string& name : names()) { EXPECT_TRUE(name.ends_with(".part")) << name; }
    }
    EXPECT_TRUE(names().empty());
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(write({3, 3, 1}, stop.get_token()).ok());
    EXPECT_TRUE(names().empty());
}

// A name that cannot be taken any more, when the last file has its own already.
TEST_F(GgufSetWriter, ARenameThatFailsTakesTheOthersBack) {
    auto writer = must(gguf::SetWriter::create(prefix_, gguf::draft_of(*whole_), std::vector<size_t>{3, 3, 1}));
    for (const gguf::Tensor& tensor : whole_->tensors()) { ASSERT_TRUE(writer.copy(*whole_, tensor).ok()); }
    fs::create_directory(gguf::shard_path(prefix_, 1, 3));
    EXPECT_FALSE(writer.commit().ok());
    EXPECT_FALSE(fs::exists(gguf::shard_path(prefix_, 0, 3)));
    EXPECT_FALSE(fs::exists(gguf::shard_path(prefix_, 2, 3)));
}

TEST_F(GgufSetWriter, TooManyFilesAreRefused) {
    GgufBytes many;
    for (int i = 0; i < 600; i++) { many.tensor_f32("t" + std::to_string(i), {1}, std::vector<float>{1.0f}); }
    const auto file = many.build();
    const auto source = must(gguf::open_gguf(std::make_unique<base::MemorySource>(file, "many")));
    const auto refused = gguf::drafts_of_set(gguf::draft_of(*source), std::vector<size_t>(600, 1));
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().what.find("512"), std::string::npos);
}

}  // namespace
