// What verbs that write leave behind when the disk is full, or when they are killed: nothing under the output's name
// that is not whole, and what they read as it was.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include "support/checkpoint_writer.h"
#include "support/data.h"
#include "support/lora.h"
#include "support/sanitized.h"
#include "support/tiny_model.h"
#include "support/wallaby_program.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// MODEL, CHECKPOINT, ADAPTER and TEXT are read; OUT lies in the folder of what is written.
struct Job {
    const char* name;
    const char* words;
    enum class Writes : uint8_t { model, set, other } writes = Writes::model;
};
const Job jobs[] = {
    {"quantize", "quantize MODEL OUT Q2_K -t 1"},
    {"quantize_to_a_size", "quantize MODEL OUT --target-bpw 6 -t 1"},
    {"merge_an_adapter", "quantize MODEL OUT F16 --lora ADAPTER -t 1"},
    {"split", "gguf split MODEL OUT --split-max-tensors 10", Job::Writes::set},
    {"merge", "gguf merge MODEL OUT"},
    {"set_metadata", "gguf set-metadata MODEL OUT general.name:string=x"},
    {"convert", "convert CHECKPOINT OUT"},
    {"convert_to_a_type", "convert CHECKPOINT OUT --outtype q8_0 -t 1"},
    {"imatrix", "imatrix -m MODEL -f TEXT -c 16 -o OUT", Job::Writes::other},
    {"imatrix_dat", "imatrix -m MODEL -f TEXT -c 16 -o OUT --output-format dat", Job::Writes::other},
    {"base_logits", "eval kl -m MODEL -f TEXT -c 16 --save-base OUT", Job::Writes::other},
    {"logits", "logits -m MODEL --tokens 1,2,3 --out OUT", Job::Writes::other},
};

class CliWriting : public ::testing::TestWithParam<Job> {
  protected:
    CliWriting() {
        std::string name = ::testing::TempDir() + "wallaby-writing-XXXXXX";
        root_ = ::mkdtemp(name.data());
        in_ = root_ / "in";
        out_ = root_ / "out";
        fs::create_directory(in_);
        fs::create_directory(out_);
    }
    ~CliWriting() override { fs::remove_all(root_); }

    bool reads(const char* what) const { return std::string_view(GetParam().words).find(what) != std::string::npos; }
    void write_inputs(const TinyModel& tiny) const {
        const auto write = [&](const char* name, const std::vector<uint8_t>& bytes) {
            write_text(in_ / name, {bytes.begin(), bytes.end()});
        };
        if (reads("MODEL")) { write("MODEL", tiny.build()); }
        if (reads("ADAPTER")) { write("ADAPTER", TinyAdapter().build(*tiny.open())); }
        if (reads("CHECKPOINT")) { write_checkpoint(in_ / "CHECKPOINT", tiny, HfModel(tiny).tensors, {.n_files = 2}); }
        if (reads("TEXT")) { write_text(in_ / "TEXT", std::string(100, 'a')); }
    }
    std::map<fs::path, std::string> inputs() const {
        std::map<fs::path, std::string> contents;
        for (const auto& entry : fs::recursive_directory_iterator(in_)) {
            if (entry.is_regular_file()) { contents[entry.path()] = read_file(entry.path()); }
        }
        return contents;
    }
    Words words() const {
        Words all;
        std::istringstream text(GetParam().words);
        for (std::string word; text >> word;) {
            const bool is_input = fs::exists(in_ / word);
            all.push_back(word == "OUT" ? out_ / "x.gguf" : is_input ? in_ / word : fs::path(word));
        }
        return all;
    }

    std::vector<std::string> written() const {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(out_)) { names.push_back(entry.path().filename()); }
        return names;
    }
    uintmax_t largest_written() const {
        uintmax_t largest = 0;
        for (const std::string& name : written()) { largest = std::max(largest, fs::file_size(out_ / name)); }
        return largest;
    }
    void clear() const {
        fs::remove_all(out_);
        fs::create_directory(out_);
    }
    static bool has_ended(pid_t pid) {
        siginfo_t info{};
        return ::waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
    }
    // Names that models are opened by, or that were asked for.
    static bool opens(const std::string& name) {
        return name == "x.gguf" || (name.starts_with("x-00001-of-") && name.ends_with(".gguf"));
    }

    fs::path root_, in_, out_;
};

// The limit of a file's size stands for a disk that is full: at the header, within tensors, and at the last byte.
TEST_P(CliWriting, ADiskThatIsFullLeavesNothing) {
    write_inputs({.n_embd = 256, .n_ff = 256});
    const auto before = inputs();
    const Ran unlimited = wallaby_run(words());
    ASSERT_EQ(unlimited.code, 0) << unlimited.err;
    const uintmax_t n_blocks = (largest_written() + 511) / 512;  // as `ulimit -f` counts
    for (const uintmax_t limit : {uintmax_t(0), uintmax_t(1), n_blocks / 8, n_blocks / 2, n_blocks - 1, n_blocks}) {
        clear();
        Words limited{"/bin/sh", "-c", "ulimit -f " + std::to_string(limit) + " && exec \"$0\" \"$@\"", WALLABY_BINARY};
        const Words asked = words();
        limited.insert(limited.end(), asked.begin(), asked.end());
        const Ran ran = run_program(limited);
        EXPECT_EQ(ran.signal, 0);
        if (limit >= n_blocks) {
            EXPECT_EQ(ran.code, 0) << ran.err;
            continue;
        }
        EXPECT_EQ(ran.code, 1) << limit << " of " << n_blocks << ran.err;
        EXPECT_NE(ran.err.find("File too large"), std::string::npos) << ran.err;
        EXPECT_EQ(written(), Words{}) << limit;
    }
    EXPECT_TRUE(inputs() == before);
}

// Whatever is read, by whichever flag, is not written over. A set's files have names of their own.
TEST_P(CliWriting, WhatIsReadIsNotWritten) {
    if (GetParam().writes == Job::Writes::set) { return; }
    write_inputs({});
    const auto before = inputs();
    for (const auto& [path, content] : before) {
        Words asked = words();
        std::ranges::replace(asked, (out_ / "x.gguf").string(), path.string());
        const Ran ran = wallaby_run(asked);
        EXPECT_EQ(ran.code, 2) << path << ran.err;
        EXPECT_NE(ran.err.find("is the file that is read"), std::string::npos) << path << ran.err;
        EXPECT_TRUE(inputs() == before);
    }
}

// Killed as soon as so much of the output is there.
TEST_P(CliWriting, WhatIsKilledLeavesNothingUnderItsName) {
    write_inputs({.n_embd = 256, .n_ff = 1024, .n_layers = under_sanitizer ? 2u : 4u});
    const auto before = inputs();
    ASSERT_EQ(wallaby_run(words()).code, 0);
    const uintmax_t n_whole = largest_written();
    size_t n_killed = 0;
    for (const double share : {0.0, 0.02, 0.1, 0.5}) {
        clear();
        const auto n_wanted = uintmax_t(share * double(n_whole));
        const auto kill = [&](pid_t pid) {
            while (!has_ended(pid)) {
                uintmax_t n_bytes = 0;
                bool is_there = false;
                std::error_code ignored;
                for (const auto& entry : fs::directory_iterator(out_, ignored)) {
                    const uintmax_t size = entry.file_size(ignored);
                    n_bytes += ignored ? 0 : size;
                    is_there = true;
                }
                if (is_there && n_bytes >= n_wanted) { break; }
                std::this_thread::sleep_for(std::chrono::microseconds(100));
            }
            ::kill(pid, SIGKILL);
        };
        const Ran ran = wallaby_run(words(), {.meanwhile = kill});
        n_killed += ran.signal == SIGKILL ? 1 : 0;
        for (const std::string& name : written()) {
            EXPECT_TRUE(name.ends_with(".part") || name.ends_with(".gguf")) << name;
            if (!opens(name)) { continue; }
            if (GetParam().writes != Job::Writes::other) {
                EXPECT_EQ(wallaby_run({"inspect", "-m", out_ / name}).code, 0) << share;
            } else {
                EXPECT_EQ(fs::file_size(out_ / name), n_whole) << share;
            }
        }
        EXPECT_TRUE(inputs() == before);
    }
    EXPECT_GT(n_killed, 0u);
}

INSTANTIATE_TEST_SUITE_P(Verbs, CliWriting, ::testing::ValuesIn(jobs),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
