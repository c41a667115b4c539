// wallaby gguf, and the flags of quantize.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "support/data.h"
#include "support/tiny_model.h"
#include "support/wallaby_program.h"

namespace {

using namespace wallaby::testing;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// A folder for what is read and one for what is written.
class GgufVerbs : public ::testing::Test {
  protected:
    GgufVerbs() {
        std::string name = ::testing::TempDir() + "wallaby-gguf-XXXXXX";
        root_ = ::mkdtemp(name.data());
        out_ = root_ / "out";
        fs::create_directory(out_);
        model_ = root_ / "model.gguf";
        const auto bytes = TinyModel().build();
        std::ofstream(model_, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    }
    ~GgufVerbs() override { fs::remove_all(root_); }

    std::vector<std::string> written() const {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(out_)) { names.push_back(entry.path().filename()); }
        std::ranges::sort(names);
        return names;
    }
    void clear() const {
        fs::remove_all(out_);
        fs::create_directory(out_);
    }
    std::string out(const std::string& name) const { return out_ / name; }
    // The lines of gguf hash without the file's name.
    static std::string hash_of(const std::string& path) {
        std::string text = wallaby_run({"gguf", "hash", path}).out;
        for (size_t at = text.find(path); at != std::string::npos; at = text.find(path)) {
            text.erase(at, path.size());
        }
        return text;
    }

    fs::path root_, out_;
    std::string model_;
};

TEST_F(GgufVerbs, WhatIsSplitAndMergedIsTheSame) {
    const Ran dry = wallaby_run({"gguf", "split", model_, out("m"), "--split-max-tensors", "8", "--dry-run"});
    EXPECT_EQ(dry.code, 0) << dry.err;
    EXPECT_TRUE(written().empty());
    const Ran split = wallaby_run({"gguf", "split", model_, out("m"), "--split-max-tensors", "8"});
    ASSERT_EQ(split.code, 0) << split.err;
    const auto names = written();
    ASSERT_GT(names.size(), 1u);
    EXPECT_EQ(size_t(std::ranges::count(dry.out, '\n')), names.size());
    EXPECT_EQ(hash_of(out(names[0])), hash_of(model_));
    ASSERT_EQ(wallaby_run({"gguf", "merge", out(names[0]), out("whole.gguf")}).code, 0);
    EXPECT_EQ(read_file(out("whole.gguf")), read_file(model_));
    const Ran again = wallaby_run({"gguf", "split", model_, out("m"), "--split-max-tensors", "8"});
    EXPECT_EQ(again.code, 2);
    EXPECT_NE(again.err.find("is there already"), std::string::npos) << again.err;

    clear();
    ASSERT_EQ(
        wallaby_run({"gguf", "split", model_, out("m.gguf"), "--split-max-size", "1M", "--no-tensor-first-split"}).code,
        0);
    EXPECT_EQ(written(), (Words{"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}));
    // A set stays a set.
    ASSERT_EQ(
        wallaby_run({"gguf", "set-metadata", out("m-00001-of-00002.gguf"), out("named"), "general.name:string=x"}).code,
        0);
    ASSERT_EQ(wallaby_run({"quantize", out("m-00001-of-00002.gguf"), out("q.gguf"), "Q8_0", "--keep-split"}).code, 0);
    ASSERT_EQ(wallaby_run({"quantize", out("m-00001-of-00002.gguf"), out("one.gguf"), "Q8_0"}).code, 0);
    EXPECT_EQ(written().size(), 7u);
    EXPECT_EQ(hash_of(out("q-00001-of-00002.gguf")), hash_of(out("one.gguf")));
    EXPECT_EQ(hash_of(out("named-00001-of-00002.gguf")), hash_of(model_));
}

TEST_F(GgufVerbs, HashesAreCheckedAgainstAManifest) {
    for (const char* algorithm : {"sha256", "xxh64"}) {
        const Ran ran = wallaby_run({"gguf", "hash", model_, "--algorithm", algorithm});
        ASSERT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.out.substr(0, 10), std::string(algorithm) + std::string(10 - std::string(algorithm).size(), ' '));
        std::ofstream(out("manifest")) << ran.out;
        const Ran good = wallaby_run({"gguf", "hash", model_, "--algorithm", algorithm, "--check", out("manifest")});
        EXPECT_EQ(good.code, 0) << good.out << good.err;
        EXPECT_EQ(std::ranges::count(good.out, '\n'), std::ranges::count(ran.out, '\n'));
        // Other keys are no difference; another weight is one, in its tensor and in all.
        ASSERT_EQ(wallaby_run({"gguf", "set-metadata", model_, out("model.gguf"), "general.name:string=x"}).code, 0);
        EXPECT_EQ(
            wallaby_run({"gguf", "hash", out("model.gguf"), "--algorithm", algorithm, "-c", out("manifest")}).code, 0);
        std::string bytes = read_file(model_);
        bytes[bytes.size() - 64] = char(bytes[bytes.size() - 64] ^ 1);
        std::ofstream(out("model.gguf"), std::ios::binary) << bytes;
        const Ran bad =
            wallaby_run({"gguf", "hash", out("model.gguf"), "--algorithm", algorithm, "-c", out("manifest")});
        EXPECT_EQ(bad.code, 1);
        size_t n_bad = 0;
        for (size_t at = bad.out.find("Not Ok"); at != std::string::npos; at = bad.out.find("Not Ok", at + 1)) {
            n_bad++;
        }
        EXPECT_EQ(n_bad, 2u) << bad.out;
    }
    const Ran total = wallaby_run({"gguf", "hash", model_, "--no-layer"});
    EXPECT_EQ(std::ranges::count(total.out, '\n'), 1);
    std::ofstream(out("empty")) << "";
    EXPECT_EQ(wallaby_run({"gguf", "hash", model_, "-c", out("empty")}).code, 1);
}

TEST_F(GgufVerbs, WhatIsRefusedWritesNothing) {
    const auto refused = [&](const Words& words, int code, const std::string& part) {
        const Ran ran = wallaby_run(words);
        EXPECT_EQ(ran.code, code) << ran.err;
        EXPECT_EQ(ran.out, "");
        EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
        EXPECT_TRUE(written().empty());
    };
    refused({"gguf"}, 2, "subcommand");
    refused({"gguf", "split", model_, out("m"), "--split-max-size", "5K"}, 2, "--split-max-size");
    refused({"gguf", "split", model_, out("m"), "--split-max-size", "0M"}, 2, "--split-max-size");
    refused({"gguf", "split", model_, out("m"), "--split-max-size", "99999999999999G"}, 2, "--split-max-size");
    refused({"gguf", "split", "/no/such/file", out("m")}, 1, "/no/such/file");
    refused({"gguf", "merge", model_, model_}, 2, "is the file that is read");
    refused({"gguf", "set-metadata", model_, out("x"), "general.architecture=gpt2"}, 2, "--force");
    refused({"gguf", "set-metadata", model_, out("x"), "--remove", "nothing"}, 2, "nothing");
    refused({"quantize", model_, out("x"), "Q8_0", "--tensor-type", "nothing=q8_0"}, 2, "fits no matrix");
    refused({"quantize", model_, out("x"), "Q8_0", "--tensor-type", "attn_q"}, 2, "PATTERN=TYPE");
    refused({"quantize", model_, out("x"), "Q8_0", "--tensor-type", "attn_q=Q4_K_M"}, 2, "--tensor-type");
    refused({"quantize", model_, out("x"), "Q8_0", "--output-tensor-type", "i8"}, 2, "--output-tensor-type");
}

TEST_F(GgufVerbs, QuantizeFlagsReachTheFile) {
    const Ran ran =
        wallaby_run({"quantize", model_, out("x.gguf"), "Q4_0", "--tensor-type", "attn_(q|k)=Q8_0", "--tensor-type",
                     "ffn=Q5_1", "--token-embedding-type", "F16", "--leave-output-tensor"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    for (const char* type : {"Q4_0", "Q8_0", "Q5_1", "F16"}) {
        EXPECT_NE(ran.out.find(type), std::string::npos) << ran.out;
    }
    ASSERT_EQ(wallaby_run({"quantize", model_, out("copy.gguf"), "COPY"}).code, 0);
    EXPECT_EQ(hash_of(out("copy.gguf")), hash_of(model_));
}

}  // namespace
