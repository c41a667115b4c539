#include "gguf/shards.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "gguf/weight_source.h"
#include "support/gguf_bytes.h"
#include "support/split_gguf.h"
#include "unit/gguf/raw.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
namespace fs = std::filesystem;

class GgufShards : public ::testing::Test {
  protected:
    GgufShards() {
        std::string name = ::testing::TempDir() + "wallaby-shards-XXXXXX";
        folder_ = ::mkdtemp(name.data());
        prefix_ = folder_ / "model";
        GgufBytes file;
        file.kv("general.architecture", "llama").kv("k", uint32_t(7)).array("texts", {"a", "", "b"});
        for (int i = 0; i < 7; i++) {
            std::vector<float> values(size_t(i) + 3, float(i));
            file.tensor_f32("t" + std::to_string(i), {values.size()}, values);
        }
        bytes_ = file.build();
        whole_ = *gguf::open_gguf(std::make_unique<base::MemorySource>(bytes_, "whole"));
    }
    ~GgufShards() override { fs::remove_all(folder_); }

    Error refusal_of(const std::string& path, const gguf::Limits& limits = {}) {
        const auto opened = gguf::open_gguf(path, limits);
        if (opened.ok()) {
            ADD_FAILURE() << "the set was accepted";
            return {};
        }
        return opened.error();
    }
    // The refusal of a set of three files that `edit` has made lie.
    Error refusal_of(const std::function<void(uint32_t no, gguf::Draft&)>& edit) {
        return refusal_of(write_split(*whole_, prefix_, {.edit = edit})[0]);
    }
    static void expect(const Error& error, const std::string& file, std::string_view field, std::string_view what,
                       ErrorCode code = ErrorCode::format) {
        EXPECT_EQ(error.code, code);
        EXPECT_EQ(error.where.file, file);
        EXPECT_EQ(error.where.field, field);
        EXPECT_EQ(error.what, what);
        EXPECT_FALSE(error.remedy.empty());
    }
    std::string path(uint32_t no, uint32_t count = 3) const { return gguf::shard_path(prefix_, no, count); }

    fs::path folder_;
    std::string prefix_;
    std::vector<uint8_t> bytes_;
    std::unique_ptr<gguf::WeightSource> whole_;
};

TEST_F(GgufShards, AreNamedAsGgufSplitNamesThem) {
    EXPECT_EQ(gguf::shard_path("dir/m", 0, 3), "dir/m-00001-of-00003.gguf");
    EXPECT_EQ(gguf::shard_path("m", 98, 512), "m-00099-of-00512.gguf");
}

TEST_F(GgufShards, OpenAsOneSource) {
    for (const bool first_without_tensors : {false, true}) {
        for (const uint32_t n_files : {2u, 3u, 7u}) {
            SCOPED_TRACE(n_files);
            const auto paths =
                write_split(*whole_, prefix_, {.n_files = n_files, .first_without_tensors = first_without_tensors});
            const auto opened = gguf::open_gguf(paths[0]);
            ASSERT_TRUE(opened.ok()) << opened.error().message();
            EXPECT_EQ((*opened)->metadata().file(), paths[0]);
            EXPECT_EQ(*(*opened)->metadata().u32("k"), 7u);
            EXPECT_EQ((*opened)->metadata().entries().size(), 6u);
            ASSERT_EQ((*opened)->tensors().size(), 7u);
            for (size_t i = 0; i < 7; i++) {
                const std::string name = "t" + std::to_string(i);
                const gguf::Tensor* tensor = (*opened)->find(name);
                ASSERT_NE(tensor, nullptr);
                EXPECT_EQ(tensor, &(*opened)->tensors()[i]);
                EXPECT_EQ(*gguf::read_floats(**opened, *tensor, 100), std::vector<float>(i + 3, float(i)));
                EXPECT_EQ((*opened)->file_of(*tensor), paths[tensor->shard]);
            }
            EXPECT_EQ((*opened)->find("t7"), nullptr);
            EXPECT_EQ((*opened)->tensors().back().shard, n_files - 1);
        }
    }
}

TEST_F(GgufShards, ErrorsOfATensorNameItsFile) {
    const auto paths = write_split(*whole_, prefix_);
    const auto opened = gguf::open_gguf(paths[0]);
    ASSERT_TRUE(opened.ok());
    const gguf::Tensor& last = *(*opened)->find("t6");
    EXPECT_EQ(gguf::read_floats(**opened, last, 1).error().where.file, paths[2]);
    fs::resize_file(paths[2], fs::file_size(paths[2]) - 32);
    EXPECT_EQ(gguf::read_floats(**opened, last, 100).error().where.file, paths[2]);
}

TEST_F(GgufShards, AMergedFileIsWhole) {
    for (const int count : {0, 1}) {
        const std::vector<uint8_t> bytes = GgufBytes().kv("split.count", uint16_t(count)).build();
        EXPECT_TRUE(gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "m")).ok());
    }
}

TEST_F(GgufShards, AMissingFile) {
    const auto paths = write_split(*whole_, prefix_);
    fs::remove(paths[1]);
    expect(refusal_of(paths[0]), paths[1], "file 2 of 3", "cannot open: No such file or directory", ErrorCode::io);
    fs::create_directory(paths[1]);
    expect(refusal_of(paths[0]), paths[1], "file 2 of 3", "is a directory", ErrorCode::io);
}

TEST_F(GgufShards, NotTheFirst) {
    const auto paths = write_split(*whole_, prefix_);
    for (uint32_t no = 1; no < 3; no++) {
        const Error error = refusal_of(paths[no]);
        expect(error, paths[no], "key 'split.no'",
               fmt::format("is {}: this is file {} of 3, not the first", no, no + 1));
        EXPECT_EQ(error.remedy, "Name the first: " + paths[0]);
    }
    fs::rename(paths[2], folder_ / "other.gguf");
    EXPECT_EQ(refusal_of(folder_ / "other.gguf").remedy, "Name the first file of the set");
}

TEST_F(GgufShards, ANameThatTellsNothing) {
    const auto paths = write_split(*whole_, prefix_);
    for (const char* name : {"m.gguf", "m-00002-of-00003.gguf", "m-00001-of-00004.gguf", "m-1-of-3.gguf"}) {
        fs::rename(paths[0], folder_ / name);
        expect(refusal_of(folder_ / name), folder_ / name, "key 'split.count'",
               "is 3, but the file's name does not end in -00001-of-00003.gguf");
        fs::rename(folder_ / name, paths[0]);
    }
    EXPECT_TRUE(gguf::open_gguf(paths[0]).ok());
}

TEST_F(GgufShards, KeysThatContradictEachOther) {
    const auto in = [](uint32_t file, const std::function<void(gguf::Draft&)>& edit) {
        return [file, edit](uint32_t no, gguf::Draft& draft) {
            if (no == file) { edit(draft); }
        };
    };
    const auto set = [&](uint32_t file, std::string_view key, auto value) {
        return in(file, [=](gguf::Draft& draft) { draft.set(key, value); });
    };
    const auto remove = [&](uint32_t file, std::string_view key) {
        return in(file, [=](gguf::Draft& draft) { draft.remove(key); });
    };
    expect(refusal_of(set(1, "split.no", uint16_t(2))), path(1), "key 'split.no'", "is 2, but must be 1 here");
    expect(refusal_of(set(2, "split.no", uint16_t(0))), path(2), "key 'split.no'", "is 0, but must be 2 here");
    expect(refusal_of(set(2, "split.count", uint16_t(4))), path(2), "key 'split.count'", "is 4, but must be 3 here");
    expect(refusal_of(set(1, "split.count", uint16_t(0))), path(1), "key 'split.count'",
           "does not say that this is file 2 of 3");
    expect(refusal_of(remove(1, "split.count")), path(1), "key 'split.count'", "does not say that this is file 2 of 3");
    expect(refusal_of(set(2, "split.tensors.count", int32_t(6))), path(2), "key 'split.tensors.count'",
           "is 6, but must be 7 here");
    const Error beyond = refusal_of(set(1, "split.no", uint16_t(3)));
    EXPECT_EQ(beyond.where.file, path(1));
    EXPECT_EQ(beyond.what, "is 3, but there are 3 files: they count from 0");
    for (uint32_t file = 0; file < 3; file++) {
        for (const char* key : {"split.no", "split.tensors.count"}) {
            const Error missing = refusal_of(remove(file, key));
            EXPECT_EQ(missing.where.file, path(file));
            EXPECT_EQ(missing.where.field, fmt::format("key '{}'", key));
            EXPECT_EQ(missing.what, "is missing");
        }
        for (const char* key : {"split.no", "split.count", "split.tensors.count"}) {
            for (const int kind : {0, 1, 2}) {
                const Error typed = refusal_of(in(file, [&](gguf::Draft& draft) {
                    kind == 0 ? draft.set(key, "3") : kind == 1 ? draft.set(key, -1) : draft.set(key, 3.0f);
                }));
                EXPECT_EQ(typed.where.file, path(file));
                EXPECT_EQ(typed.where.field, fmt::format("key '{}'", key));
                EXPECT_EQ(typed.code, ErrorCode::model);
            }
        }
    }
    // Every file agrees on a number that is wrong.
    for (const int32_t n : {6, 8}) {
        expect(refusal_of([&](uint32_t, gguf::Draft& draft) { draft.set("split.tensors.count", n); }), path(0),
               "key 'split.tensors.count'", fmt::format("is {}, but the 3 files hold 7 tensors", n));
    }
}

TEST_F(GgufShards, ATensorThatStandsTwice) {
    const auto paths = write_split(*whole_, prefix_, {.repeated = {"t1"}});
    expect(refusal_of(paths[0]), paths[2], "tensor 't1'", "stands in " + paths[0] + " already");
}

TEST_F(GgufShards, ADamagedFileIsNamed) {
    const auto paths = write_split(*whole_, prefix_);
    fs::resize_file(paths[1], fs::file_size(paths[1]) / 2);
    const Error error = refusal_of(paths[0]);
    EXPECT_EQ(error.code, ErrorCode::format);
    EXPECT_EQ(error.where.file, paths[1]);
    EXPECT_TRUE(error.where.offset.has_value());
}

TEST_F(GgufShards, Budgets) {
    const auto huge = write_split(*whole_, prefix_,
                                  {.edit = [](uint32_t, gguf::Draft& draft) { draft.set("split.count", UINT32_MAX); }});
    EXPECT_EQ(refusal_of(huge[0]).what, "is 4294967295: at most 512 files are read");
    const auto paths = write_split(*whole_, prefix_);
    gguf::Limits limits;
    limits.max_shards = 2;
    EXPECT_EQ(refusal_of(paths[0], limits).what, "is 3: at most 2 files are read");
    limits = {};
    limits.max_tensors = 6;
    const Error tensors = refusal_of(paths[0], limits);
    EXPECT_EQ(tensors.what, "the set has more than 6 tensors");
    EXPECT_EQ(tensors.where.file, paths[2]);
}

TEST_F(GgufShards, ManyFiles) {
    const auto paths = write_split(*whole_, prefix_, {.n_files = 512, .first_without_tensors = true});
    const auto opened = gguf::open_gguf(paths[0]);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    EXPECT_EQ((*opened)->tensors().size(), 7u);
}

TEST_F(GgufShards, BytesAloneAreNotASet) {
    const auto paths = write_split(*whole_, prefix_);
    const auto refused = gguf::open_gguf(*base::open_file(paths[0]));
    ASSERT_FALSE(refused.ok());
    expect(refused.error(), paths[0], "key 'split.count'", "is 3: these bytes are one file of a set",
           ErrorCode::unsupported);
}

}  // namespace
