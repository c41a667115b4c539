// wallaby gguf and quantize as programs: what they write, and what is left when they are stopped, killed or out of
// room.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/process.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby::testing;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::string read_file(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

Words program(const Words& words) {
    Words all{WALLABY_BINARY};
    all.insert(all.end(), words.begin(), words.end());
    return all;
}

Ran wallaby(const Words& words, const RunOptions& options = {}) { return run_program(program(words), options); }

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
        std::string text = wallaby({"gguf", "hash", path}).out;
        for (size_t at = text.find(path); at != std::string::npos; at = text.find(path)) {
            text.erase(at, path.size());
        }
        return text;
    }

    fs::path root_, out_;
    std::string model_;
};

TEST_F(GgufVerbs, WhatIsSplitAndMergedIsTheSame) {
    const Ran dry = wallaby({"gguf", "split", model_, out("m"), "--split-max-tensors", "8", "--dry-run"});
    EXPECT_EQ(dry.code, 0) << dry.err;
    EXPECT_TRUE(written().empty());
    const Ran split = wallaby({"gguf", "split", model_, out("m"), "--split-max-tensors", "8"});
    ASSERT_EQ(split.code, 0) << split.err;
    const auto names = written();
    ASSERT_GT(names.size(), 1u);
    EXPECT_EQ(size_t(std::ranges::count(dry.out, '\n')), names.size());
    EXPECT_EQ(hash_of(out(names[0])), hash_of(model_));
    ASSERT_EQ(wallaby({"gguf", "merge", out(names[0]), out("whole.gguf")}).code, 0);
    EXPECT_EQ(read_file(out("whole.gguf")), read_file(model_));
    const Ran again = wallaby({"gguf", "split", model_, out("m"), "--split-max-tensors", "8"});
    EXPECT_EQ(again.code, 2);
    EXPECT_NE(again.err.find("is there already"), std::string::npos) << again.err;

    clear();
    ASSERT_EQ(
        wallaby({"gguf", "split", model_, out("m.gguf"), "--split-max-size", "1M", "--no-tensor-first-split"}).code, 0);
    EXPECT_EQ(written(), (Words{"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}));
    // A set stays a set.
    ASSERT_EQ(
        wallaby({"gguf", "set-metadata", out("m-00001-of-00002.gguf"), out("named"), "general.name:string=x"}).code, 0);
    ASSERT_EQ(wallaby({"quantize", out("m-00001-of-00002.gguf"), out("q.gguf"), "Q8_0", "--keep-split"}).code, 0);
    ASSERT_EQ(wallaby({"quantize", out("m-00001-of-00002.gguf"), out("one.gguf"), "Q8_0"}).code, 0);
    EXPECT_EQ(written().size(), 7u);
    EXPECT_EQ(hash_of(out("q-00001-of-00002.gguf")), hash_of(out("one.gguf")));
    EXPECT_EQ(hash_of(out("named-00001-of-00002.gguf")), hash_of(model_));
}

TEST_F(GgufVerbs, HashesAreCheckedAgainstAManifest) {
    for (const char* algorithm : {"sha256", "xxh64"}) {
        const Ran ran = wallaby({"gguf", "hash", model_, "--algorithm", algorithm});
        ASSERT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.out.substr(0, 10), std::string(algorithm) + std::string(10 - std::string(algorithm).size(), ' '));
        std::ofstream(out("manifest")) << ran.out;
        const Ran good = wallaby({"gguf", "hash", model_, "--algorithm", algorithm, "--check", out("manifest")});
        EXPECT_EQ(good.code, 0) << good.out << good.err;
        EXPECT_EQ(std::ranges::count(good.out, '\n'), std::ranges::count(ran.out, '\n'));
        // Other keys are no difference; another weight is one, in its tensor and in all.
        ASSERT_EQ(wallaby({"gguf", "set-metadata", model_, out("model.gguf"), "general.name:string=x"}).code, 0);
        EXPECT_EQ(wallaby({"gguf", "hash", out("model.gguf"), "--algorithm", algorithm, "-c", out("manifest")}).code,
                  0);
        std::string bytes = read_file(model_);
        bytes[bytes.size() - 64] = char(bytes[bytes.size() - 64] ^ 1);
        std::ofstream(out("model.gguf"), std::ios::binary) << bytes;
        const Ran bad = wallaby({"gguf", "hash", out("model.gguf"), "--algorithm", algorithm, "-c", out("manifest")});
        EXPECT_EQ(bad.code, 1);
        size_t n_bad = 0;
        for (size_t at = bad.out.find("Not Ok"); at != std::string::npos; at = bad.out.find("Not Ok", at + 1)) {
            n_bad++;
        }
        EXPECT_EQ(n_bad, 2u) << bad.out;
    }
    const Ran total = wallaby({"gguf", "hash", model_, "--no-layer"});
    EXPECT_EQ(std::ranges::count(total.out, '\n'), 1);
    std::ofstream(out("empty")) << "";
    EXPECT_EQ(wallaby({"gguf", "hash", model_, "-c", out("empty")}).code, 1);
}

TEST_F(GgufVerbs, WhatIsRefusedWritesNothing) {
    const auto refused = [&](const Words& words, int code, const std::string& part) {
        const Ran ran = wallaby(words);
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
    const Ran ran = wallaby({"quantize", model_, out("x.gguf"), "Q4_0", "--tensor-type", "attn_(q|k)=Q8_0",
                             "--tensor-type", "ffn=Q5_1", "--token-embedding-type", "F16", "--leave-output-tensor"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    for (const char* type : {"Q4_0", "Q8_0", "Q5_1", "F16"}) {
        EXPECT_NE(ran.out.find(type), std::string::npos) << ran.out;
    }
    ASSERT_EQ(wallaby({"quantize", model_, out("copy.gguf"), "COPY"}).code, 0);
    EXPECT_EQ(hash_of(out("copy.gguf")), hash_of(model_));
}

// What is done to a model by each verb that writes one; OUT is in the folder of what is written.
struct Job {
    const char* name;
    Words before, after;  // IN and OUT
};
const Job jobs[] = {
    {"quantize", {"quantize"}, {"Q2_K", "-t", "1"}},
    {"split", {"gguf", "split"}, {"--split-max-tensors", "10"}},
    {"merge", {"gguf", "merge"}, {}},
    {"set-metadata", {"gguf", "set-metadata"}, {"general.name:string=x"}},
};

class GgufFailures : public GgufVerbs, public ::testing::WithParamInterface<Job> {
  protected:
    Words words(const std::string& in) const {
        Words all = GetParam().before;
        all.push_back(in);
        all.push_back(out("x.gguf"));
        all.insert(all.end(), GetParam().after.begin(), GetParam().after.end());
        return all;
    }
    static bool opens(const std::string& name) {
        return name == "x.gguf" || (name.starts_with("x-00001-of-") && name.ends_with(".gguf"));
    }
    // Nothing under a name that a model is opened by.
    bool shows_nothing() const { return std::ranges::none_of(written(), opens); }
    bool is_whole() const {
        const auto names = written();
        const auto first = std::ranges::find_if(names, opens);
        return first != names.end() && wallaby({"inspect", "-m", out(*first)}).code == 0;
    }
};

// The limit of a file's size stands for a disk that is full: at the header, within tensors, and at the last byte.
TEST_P(GgufFailures, ADiskThatIsFullLeavesNothing) {
    const std::string before = read_file(model_);
    ASSERT_EQ(wallaby(words(model_)).code, 0);
    uintmax_t largest = 0;
    for (const std::string& name : written()) { largest = std::max(largest, fs::file_size(out(name))); }
    const uintmax_t n_blocks = (largest + 511) / 512;  // as `ulimit -f` counts
    for (const uintmax_t limit : {uintmax_t(0), uintmax_t(1), n_blocks / 8, n_blocks / 2, n_blocks - 1, n_blocks}) {
        clear();
        Words limited{"/bin/sh", "-c", "ulimit -f " + std::to_string(limit) + " && exec \"$0\" \"$@\""};
        for (const std::string& word : program(words(model_))) { limited.push_back(word); }
        const Ran ran = run_program(limited);
        EXPECT_EQ(ran.signal, 0);
        if (limit == n_blocks) {
            EXPECT_EQ(ran.code, 0) << ran.err;
            continue;
        }
        EXPECT_EQ(ran.code, 1) << limit << " of " << n_blocks << ran.err;
        EXPECT_NE(ran.err.find("File too large"), std::string::npos) << ran.err;
        EXPECT_EQ(written(), Words{}) << limit;
    }
    EXPECT_EQ(read_file(model_), before);
}

// Killed as soon as so much of the output is there, a share of the input: what has a model's name is whole, and the
// input is as it was.
TEST_P(GgufFailures, WhatIsKilledLeavesNothingUnderItsName) {
    const std::string wide = root_ / "wide.gguf";
    ASSERT_EQ(wallaby({"synth", "tiny-dense", wide, "--type", "F16"}).code, 0);
    const std::string before = read_file(wide);
    size_t n_killed = 0;
    for (const double share : {0.0, 0.05, 0.3}) {
        clear();
        const auto n_wanted = uintmax_t(share * double(before.size()));
        const auto kill = [&](pid_t pid) {
            for (int i = 0; i < 5000; i++) {
                uintmax_t n_bytes = 0;
                size_t n_files = 0;
                std::error_code ignored;
                for (const auto& entry : fs::directory_iterator(out_, ignored)) {
                    const uintmax_t size = entry.file_size(ignored);
                    n_bytes += ignored ? 0 : size;
                    n_files++;
                }
                if (n_files > 0 && n_bytes >= n_wanted) { break; }
                std::this_thread::sleep_for(std::chrono::microseconds(200));
            }
            ::kill(pid, SIGKILL);
        };
        const Ran ran = wallaby(words(wide), {.meanwhile = kill});
        n_killed += ran.signal == SIGKILL ? 1 : 0;
        EXPECT_TRUE(shows_nothing() || is_whole()) << share;
        for (const std::string& name : written()) {
            EXPECT_TRUE(name.ends_with(".part") || name.ends_with(".gguf")) << name;
        }
        EXPECT_EQ(read_file(wide), before);
    }
    EXPECT_GT(n_killed, 0u);
}

INSTANTIATE_TEST_SUITE_P(Verbs, GgufFailures, ::testing::ValuesIn(jobs), [](const auto& test) {
    std::string name = test.param.name;
    std::erase(name, '-');
    return name;
});

}  // namespace
