// wallaby convert, and checkpoints where a model file is named.
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/checkpoint_writer.h"
#include "support/data.h"
#include "support/runner.h"
#include "support/wallaby_program.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Words = std::vector<std::string>;

class CliConvert : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "wallaby-convert-XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        checkpoint_ = folder_ + "/tiny";
        out_ = folder_ + "/out/x.gguf";
        std::filesystem::create_directory(folder_ + "/out");
        write_checkpoint(checkpoint_, tiny_, HfModel(tiny_).tensors, {.n_files = 2});
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string original() const {
        const auto bytes = tiny_.build();
        write_text(folder_ + "/original.gguf", {bytes.begin(), bytes.end()});
        return folder_ + "/original.gguf";
    }
    std::string logits_of(const std::string& model, Words more = {}) const {
        const std::string out = folder_ + "/logits.f32";
        Words words{"logits", "-m", model, "--tokens", "1,10,20,261,262", "--out", out};
        words.insert(words.end(), more.begin(), more.end());
        const Ran ran = wallaby_run(words);
        EXPECT_EQ(ran.code, 0) << ran.err;
        std::string logits = read_file(out);
        std::filesystem::remove(out);
        EXPECT_FALSE(logits.empty());
        return logits;
    }
    void expect_refusal(const Ran& ran, int code, const std::string& part) const {
        EXPECT_EQ(ran.code, code) << ran.err;
        EXPECT_EQ(ran.signal, 0);
        EXPECT_EQ(ran.out, "");
        EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
        EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/out"));
    }

    TinyModel tiny_;
    std::string folder_, checkpoint_, out_;
};

TEST_F(CliConvert, CheckpointsAreModels) {
    const std::string expected = logits_of(original());
    const Ran ran = wallaby_run({"convert", checkpoint_, out_, "-t", "2"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    EXPECT_NE(ran.out.find("21 tensors"), std::string::npos) << ran.out;
    EXPECT_EQ(logits_of(out_), expected);
    EXPECT_EQ(logits_of(checkpoint_), expected);
    EXPECT_EQ(logits_of(checkpoint_, {"--mmap"}), expected);
    const Words rest{"-p", "abc", "-n", "12", "--temp", "0", "--ignore-eos"};
    const auto text_of = [&](Words words) {
        words.insert(words.end(), rest.begin(), rest.end());
        const Ran written = wallaby_run(words);
        EXPECT_EQ(written.code, 0) << written.err;
        EXPECT_EQ(written.err, "");
        return written.out;
    };
    const std::string text = text_of({"run", "-m", out_});
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text_of({"run", checkpoint_}), text);
    EXPECT_EQ(text_of({"run", "-m", checkpoint_}), text);
}

TEST_F(CliConvert, TypesInAFileAndInMemory) {
    for (const char* type : {"q8_0", "f16"}) {
        ASSERT_EQ(wallaby_run({"convert", checkpoint_, out_, "--outtype", type}).code, 0);
        const std::string expected = logits_of(out_);
        EXPECT_EQ(logits_of(checkpoint_, {"--type", type}), expected);
        EXPECT_NE(expected, logits_of(checkpoint_));
        EXPECT_EQ(logits_of(original(), {"--type", type}), expected);
    }
    std::filesystem::remove(out_);
    expect_refusal(wallaby_run({"convert", checkpoint_, out_, "--outtype", "q9"}), 2, "--outtype");
    expect_refusal(wallaby_run({"run", "-m", checkpoint_, "--type", "q9", "a"}), 2, "--type");
    expect_refusal(wallaby_run({"run", "-m", checkpoint_, "--type", "q8_0", "--mmap", "a"}), 2, "--mmap");
    expect_refusal(wallaby_run({"run", "--type", "q8_0", "a"}), 2, "--model");
}

TEST_F(CliConvert, VocabularyAlone) {
    ASSERT_EQ(wallaby_run({"convert", checkpoint_, out_, "--vocab-only"}).code, 0);
    const Ran ids = wallaby_run({"tokenize", "-m", out_, "abc"});
    EXPECT_EQ(ids.code, 0) << ids.err;
    EXPECT_EQ(ids.out, wallaby_run({"tokenize", "-m", original(), "abc"}).out);
}

// Whatever is wrong, and wherever: the file or flag is named, no file is there, and the checkpoint is as it was.
TEST_F(CliConvert, RefusalsLeaveNoFile) {
    expect_refusal(wallaby_run({"convert", "/no/such/folder", out_}), 1, "/no/such/folder");
    expect_refusal(wallaby_run({"convert", checkpoint_, "/no/such/folder/x.gguf"}), 1, "/no/such/folder");
    expect_refusal(wallaby_run({"convert", folder_, out_}), 1, "config.json");
    const std::string shard = checkpoint_ + "/model-00002-of-00002.safetensors", whole = read_file(shard);
    expect_refusal(wallaby_run({"convert", checkpoint_, shard}), 2, "is the file that is read");
    EXPECT_EQ(read_file(shard), whole);
    for (const size_t n : {size_t(0), size_t(7), size_t(100), whole.size() - 1}) {
        write_text(shard, whole.substr(0, n));
        expect_refusal(wallaby_run({"convert", checkpoint_, out_}), 1, shard);
        EXPECT_EQ(read_file(shard), whole.substr(0, n));
    }
    std::filesystem::remove(shard);
    expect_refusal(wallaby_run({"convert", checkpoint_, out_}), 1, shard);
    write_text(shard, whole);
    for (const char* name : {"config.json", "tokenizer.model"}) {
        const std::string path = checkpoint_ + "/" + name, content = read_file(path);
        write_text(path, content.substr(0, content.size() / 2));
        expect_refusal(wallaby_run({"convert", checkpoint_, out_}), 1, path);
        write_text(path, content);
    }
    write_text(folder_ + "/pytorch_model.bin", std::string("PK\x03\x04") + std::string(100, '\0'));
    expect_refusal(wallaby_run({"convert", folder_ + "/pytorch_model.bin", out_}), 1, "pickle");
    expect_refusal(wallaby_run({"convert", original(), out_}), 1, "original.gguf");
    EXPECT_EQ(wallaby_run({"convert", checkpoint_, out_}).code, 0);
}

// To the byte what llama2.c writes, by way of a file converted from its own.
TEST_F(CliConvert, StoriesFromLlama2cToTheByte) {
    WALLABY_NEED_DATA(data);
    const auto stories = data / "models" / "stories260K";
    const Ran ran = wallaby_run({"convert", stories / "stories260K.bin", out_, "--vocab", stories / "tok512.bin"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Ran told = wallaby_run({"run", "-m", out_, "-p", "", "-n", "200", "--temp", "0", "--raw"});
    EXPECT_EQ(told.code, 0) << told.err;
    EXPECT_EQ(told.out, read_file(stories / "expected_stdout_n200_t0.txt"));
}

}  // namespace
