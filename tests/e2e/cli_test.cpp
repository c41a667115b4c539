// The program as its users meet it.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/data.h"
#include "support/runner.h"
#include "support/tiny_model.h"
#include "support/wallaby_program.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Words = std::vector<std::string>;

// A tiny model in a file of its own, removed at the end.
class Cli : public ::testing::Test {
  protected:
    std::string model_ = file_name("tiny.gguf");
    std::vector<std::string> made_;

    void SetUp() override { write(model_, TinyModel().build()); }
    void TearDown() override {
        for (const std::string& path : made_) { std::filesystem::remove(path); }
    }
    static std::string file_name(const std::string& name) {
        return ::testing::TempDir() + "wallaby_" + std::to_string(::getpid()) + "_" + name;
    }
    void write(const std::string& path, const std::vector<uint8_t>& bytes) {
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        made_.push_back(path);
    }
    static void expect_failure(const Ran& ran, int code, const std::string& part) {
        wallaby::testing::expect_failure(ran, code, {part});
    }
};

TEST_F(Cli, VersionAndHelp) {
    EXPECT_EQ(wallaby_run({"--version"}).out.rfind("wallaby ", 0), 0u);
    const Ran help = wallaby_run({"--help"});
    EXPECT_EQ(help.code, 0);
    for (const char* verb : {"run", "inspect", "tokenize", "logits", "eval", "synth", "quantize", "gguf", "bench"}) {
        EXPECT_NE(help.out.find(verb), std::string::npos) << verb;
    }
    EXPECT_EQ(wallaby_run({"run", "--help"}).code, 0);
}

TEST_F(Cli, InstructionSetsAreNamedForcedAndExplained) {
#if defined(__x86_64__)
    constexpr const char* foreign = "neon";
#else
    constexpr const char* foreign = "avx2";
#endif
    ::unsetenv("WALLABY_ISA");
    const Ran text = wallaby_run({"inspect", "--cpu"});
    EXPECT_EQ(text.code, 0) << text.err;
    EXPECT_NE(text.out.find("the best that can be used here"), std::string::npos) << text.out;
    const auto json = nlohmann::json::parse(wallaby_run({"inspect", "--cpu", "--json", "--isa", "portable"}).out);
    EXPECT_EQ(json["isa"], "portable");
    EXPECT_EQ(json["instruction_sets"]["portable"], "");
    EXPECT_NE(json["instruction_sets"][foreign], "");
    ::setenv("WALLABY_ISA", "portable", 1);
    EXPECT_NE(wallaby_run({"inspect", "--cpu"}).out.find("portable (asked for)"), std::string::npos);
    ::setenv("WALLABY_ISA", "sse9", 1);
    expect_failure(wallaby_run({"run", "-m", model_, "x"}), 2, "sse9");
    ::unsetenv("WALLABY_ISA");
    expect_failure(wallaby_run({"run", "-m", model_, "--isa", foreign, "x"}), 1, "another kind of processor");
    const Words run{"run", "-m", model_, "--temp", "0", "-n", "20", "--ignore-eos", "a b"};
    const auto with = [&](Words words, const char* flag, const char* value) {
        words.insert(words.begin() + 1, {flag, value});
        return wallaby_run(words).out;
    };
    EXPECT_EQ(with(run, "--isa", "portable"), with(run, "--isa", "auto"));
    EXPECT_NE(with(run, "--backend", "reference"), "");
    EXPECT_EQ(with(run, "--mmap", "--isa=auto"), with(run, "--isa", "auto"));
    expect_failure(wallaby_run({"run", "-m", model_, "--backend", "reference", "--mmap", "x"}), 1, "--mmap");
    expect_failure(wallaby_run({"run", "-m", model_, "--backend", "gpu", "x"}), 2, "gpu");
}

TEST_F(Cli, WrongUsageIsExitCode2) {
    for (const Words& words : {Words{},
                               {"fly"},
                               {"run", "--raw", "--chat", "x"},
                               {"run", "-m", model_, "--no-such-flag"},
                               {"run", "-m", model_, "-t", "0", "x"},
                               {"run", "-m", model_, "-n", "-5", "x"},
                               {"run", "-m", model_, "--temp", "-1", "x"},
                               {"run", "-m", model_, "-p", "a", "b"},
                               {"logits", "-m", model_, "--tokens", "1,,2"},
                               {"logits", "-m", model_, "--tokens", "1,99999"},
                               {"inspect", "-m", model_, "--tensor", "x"},
                               {"run", "-m", model_, "--ctk", "q9", "x"}}) {
        const Ran ran = wallaby_run(words);
        EXPECT_EQ(ran.code, 2) << ::testing::PrintToString(words) << ran.err;
        EXPECT_EQ(ran.out, "") << ::testing::PrintToString(words);
    }
}

TEST_F(Cli, FilesThatCannotBeUsed) {
    expect_failure(wallaby_run({"run", "-m", "/no/such/file.gguf", "x"}), 1, "/no/such/file.gguf");
    expect_failure(wallaby_run({"inspect", "-m", "/"}), 1, "directory");
    write(file_name("text"), {'h', 'e', 'l', 'l', 'o'});
    expect_failure(wallaby_run({"inspect", "-m", made_.back()}), 1, "GGUF");
    auto cut = TinyModel().build();
    cut.resize(cut.size() / 2);
    write(file_name("cut"), cut);
    expect_failure(wallaby_run({"run", "-m", made_.back(), "x"}), 1, "truncated");
}

TEST_F(Cli, TokenizeReadsItsArgumentOrStandardInputVerbatim) {
    EXPECT_EQ(wallaby_run({"tokenize", "-m", model_, "abc"}).out, "1 265 261 262\n");
    EXPECT_EQ(wallaby_run({"tokenize", "-m", model_, "--no-bos", "abc"}).out, "265 261 262\n");
    EXPECT_EQ(wallaby_run({"tokenize", "-m", model_, "--no-bos"}, {.input = "abc"}).out, "265 261 262\n");
    EXPECT_EQ(wallaby_run({"tokenize", "-m", model_, "--no-bos"}, {.input = "abc\n"}).out,
              "265 261 262 13\n");  // 3 + 0x0A
    EXPECT_EQ(wallaby_run({"tokenize", "-m", model_, "--no-bos", ""}).out, "\n");
    EXPECT_EQ(wallaby_run({"tokenize", "-m", model_, "--no-bos", "</s>"}).out, "2\n");
    EXPECT_NE(wallaby_run({"tokenize", "-m", model_, "--no-bos", "--no-special", "</s>"}).out, "2\n");
}

TEST_F(Cli, LogitsAreWrittenWholeAndGreedyIdsPrinted) {
    const std::string out = file_name("logits");
    made_.push_back(out);
    const Ran ran =
        wallaby_run({"logits", "-m", model_, "--tokens", "1,5,9", "--out", out, "-t", "2", "--greedy", "4"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    Runner runner(TinyModel().open(), {.n_ctx = 256, .backend = "auto"});
    EXPECT_EQ(read_array<float>(out), runner.feed({1, 5, 9}));
    runner.reset();
    std::string expected;
    for (const int32_t id : runner.greedy({1, 5, 9}, 4)) {
        expected += (expected.empty() ? "" : " ") + std::to_string(id);
    }
    EXPECT_EQ(ran.out, expected + "\n");
    expect_failure(wallaby_run({"logits", "-m", model_, "--tokens", "1", "--out", "/no/such/folder/x"}), 1,
                   "/no/such/folder/x");
}

TEST_F(Cli, InspectAsTextAndAsJson) {
    const Ran text = wallaby_run({"inspect", "-m", model_});
    EXPECT_EQ(text.code, 0);
    for (const char* part : {"general.architecture", "blk.1.ffn_down.weight", "96 x 64", "bits per weight"}) {
        EXPECT_NE(text.out.find(part), std::string::npos) << part;
    }
    const auto json = nlohmann::json::parse(wallaby_run({"inspect", "-m", model_, "--json"}).out);
    EXPECT_EQ(json["metadata"]["llama.block_count"]["value"], 2);
    EXPECT_EQ(json["metadata"]["tokenizer.ggml.tokens"]["count"], TinyModel::n_vocab);
    EXPECT_EQ(json["tensors"].size(), json["n_tensors"]);
    const auto full = nlohmann::json::parse(wallaby_run({"inspect", "-m", model_, "--json", "--full"}).out);
    EXPECT_EQ(full["metadata"]["tokenizer.ggml.tokens"]["value"].size(), TinyModel::n_vocab);
}

TEST_F(Cli, InspectWritesATensorAsFloats) {
    TinyModel tiny;
    tiny.type = quant::Type::q8_0;
    write(file_name("q8.gguf"), tiny.build());
    const std::string path = made_.back(), out = file_name("tensor");
    made_.push_back(out);
    const Ran ran = wallaby_run({"inspect", "-m", path, "--tensor", "blk.0.ffn_up.weight", "--out", out});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const auto source = tiny.open();
    EXPECT_EQ(read_array<float>(out),
              must(gguf::read_floats(*source, *source->find("blk.0.ffn_up.weight"), UINT64_MAX)));
    expect_failure(wallaby_run({"inspect", "-m", path, "--tensor", "nothing", "--out", out}), 2, "nothing");
}

TEST_F(Cli, AFileSizeLimitIsAnErrorThatLeavesNothing) {
    const std::string out = file_name("limited");
    const std::string command = "ulimit -f 0; exec '" WALLABY_BINARY "' inspect -m '" + model_ +
                                "' --tensor blk.0.ffn_up.weight --out '" + out + "'";
    expect_failure(run_program({"/bin/sh", "-c", command}), 1, "File too large");
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(out).parent_path())) {
        EXPECT_FALSE(entry.path().string().starts_with(out)) << entry.path();
    }
}

TEST_F(Cli, InspectPrintsTheProgramWithCosts) {
    const Ran ran = wallaby_run({"inspect", "-m", model_, "--ops"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    for (const char* part : {"program main", "attend", "blk.0.attn_q.weight F32 64x64", "sum"}) {
        EXPECT_NE(ran.out.find(part), std::string::npos) << part << ran.out;
    }
    const auto json = nlohmann::json::parse(wallaby_run({"inspect", "-m", model_, "--ops", "--json", "-d", "10"}).out);
    EXPECT_EQ(json[0]["program"], "main");
    uint64_t macs = 0;
    for (const auto& op : json[0]["ops"]) { macs += op["cost"]["macs"].get<uint64_t>(); }
    EXPECT_EQ(json[0]["sum"]["macs"], macs);
}

TEST_F(Cli, SynthWritesAModelThatRuns) {
    const std::string out = file_name("synth.gguf"), again = file_name("again.gguf"), like = file_name("like.gguf");
    for (const std::string& path : {out, again, like}) { made_.push_back(path); }
    const Ran ran = wallaby_run({"synth", "tiny-moe", out, "--type", "q4_k_m", "-s", "7"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    EXPECT_NE(ran.out.find("33 tensors"), std::string::npos) << ran.out;
    EXPECT_EQ(wallaby_run({"logits", "-m", out, "--tokens", "1,300,301", "--greedy", "4"}).code, 0);
    EXPECT_EQ(wallaby_run({"run", "-m", out, "hello", "-n", "3", "--temp", "0", "--ignore-eos"}).code, 0);
    ASSERT_EQ(wallaby_run({"synth", "tiny-moe", again, "--type", "Q4_K_M", "-s", "7", "-t", "1"}).code, 0);
    EXPECT_EQ(read_file(again), read_file(out));
    ASSERT_EQ(wallaby_run({"synth", "--like", out, like, "-s", "7"}).code, 0);
    EXPECT_EQ(read_file(like), read_file(out));
    ASSERT_EQ(wallaby_run({"synth", "--like", out, like, "-s", "8"}).code, 0);
    EXPECT_NE(read_file(like), read_file(out));
    const Ran list = wallaby_run({"synth", "--list"});
    for (const char* word : {"tinyllama-1.1b", "mixtral-8x7b", "IQ1_M", "Q5_K_M"}) {
        EXPECT_NE(list.out.find(word), std::string::npos) << word;
    }
}

TEST_F(Cli, SynthRefusesWhatItDoesNotKnowAndLeavesNoFile) {
    const std::string out = file_name("refused.gguf");
    expect_failure(wallaby_run({"synth", "llama-9", out}), 2, "tinyllama-1.1b");
    expect_failure(wallaby_run({"synth", "tiny-dense", out, "--type", "Q9"}), 2, "Q4_K_M");
    expect_failure(wallaby_run({"synth", "tiny-dense"}), 2, "file to write");
    expect_failure(wallaby_run({"synth", "tiny-dense", out, "--like", model_}), 2, "--like");
    expect_failure(wallaby_run({"synth", "--like", "/no/such/file", out}), 1, "/no/such/file");
    expect_failure(wallaby_run({"synth", "tiny-dense", "/no/such/folder/x.gguf"}), 1, "/no/such/folder");
    EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(Cli, CtrlCInSynthLeavesNothing) {
    const std::string folder = file_name("folder");
    std::filesystem::create_directory(folder);
    // Once the temporary file is there, the handler is too.
    const auto interrupt = [&](pid_t pid) {
        for (int i = 0; i < 20000 && std::filesystem::is_empty(folder); i++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        ::kill(pid, SIGINT);
    };
    const Ran ran = wallaby_run({"synth", "tinyllama-1.1b", folder + "/x.gguf", "--type", "F16"},  // 2.2 GB
                                {.meanwhile = interrupt});
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_EQ(ran.signal, 0);
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    std::filesystem::remove_all(folder);
}

TEST_F(Cli, QuantizeWritesAModelThatRuns) {
    const std::string wide = file_name("wide.gguf"), out = file_name("k.gguf"), again = file_name("k1.gguf");
    for (const std::string& path : {wide, out, again}) { made_.push_back(path); }
    ASSERT_EQ(wallaby_run({"synth", "tiny-moe", wide, "--type", "F16"}).code, 0);
    const Ran dry = wallaby_run({"quantize", wide, out, "q3_k_m", "--dry-run"});
    EXPECT_EQ(dry.code, 0) << dry.err;
    EXPECT_NE(dry.out.find("not written"), std::string::npos) << dry.out;
    EXPECT_FALSE(std::filesystem::exists(out));
    const Ran ran = wallaby_run({"quantize", wide, out, "q3_k_m", "-t", "2"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    for (const char* part : {"Q3_K", "Q6_K", "relative error 0.1", "bits per weight"}) {
        EXPECT_NE(ran.out.find(part), std::string::npos) << part << ran.out;
    }
    ASSERT_EQ(wallaby_run({"quantize", wide, again, "Q3_K_M", "--threads", "1"}).code, 0);
    EXPECT_EQ(read_file(again), read_file(out));
    EXPECT_EQ(wallaby_run({"logits", "-m", out, "--tokens", "1,300,301", "--greedy", "4"}).code, 0);
    const Ran pure = wallaby_run({"quantize", wide, again, "Q3_K_M", "--pure", "--dry-run"});
    EXPECT_EQ(pure.out.find("Q6_K"), std::string::npos) << pure.out;
}

TEST_F(Cli, QuantizeRefusesAndLeavesNoFile) {
    const std::string out = file_name("refused.gguf"), q8 = file_name("q8.gguf"), again = file_name("q4.gguf");
    for (const std::string& path : {q8, again}) { made_.push_back(path); }
    expect_failure(wallaby_run({"quantize", model_, out, "Q9"}), 2, "Q4_K_M");
    expect_failure(wallaby_run({"quantize", model_, out, "I8"}), 2, "no type that weights can have");
    expect_failure(wallaby_run({"quantize", model_, out}), 2, "type");
    expect_failure(wallaby_run({"quantize", model_, model_, "Q8_0"}), 2, "is the file that is read");
    expect_failure(wallaby_run({"quantize", "/no/such/file", out, "Q8_0"}), 1, "/no/such/file");
    expect_failure(wallaby_run({"quantize", model_, "/no/such/folder/x.gguf", "Q8_0"}), 1, "/no/such/folder");
    ASSERT_EQ(wallaby_run({"quantize", model_, q8, "Q8_0"}).code, 0);
    expect_failure(wallaby_run({"quantize", q8, out, "Q4_0"}), 2, "--allow-requantize");
    EXPECT_EQ(wallaby_run({"quantize", q8, again, "Q4_0", "--allow-requantize"}).code, 0);
    EXPECT_FALSE(std::filesystem::exists(out));
}

// Every file of the fuzzers' corpus, broken and whole: refused by name, or written.
TEST_F(Cli, QuantizeTakesAnyFileOrSaysWhyNot) {
    const std::string out = file_name("corpus.gguf");
    size_t n_refused = 0;
    const auto corpus = std::filesystem::path(source_dir()) / "tests" / "fuzz" / "corpus";
    for (const char* folder : {"gguf", "gguf_model"}) {
        for (const auto& entry : std::filesystem::directory_iterator(corpus / folder)) {
            if (entry.path().filename().string().starts_with("found_")) { continue; }  // hundreds
            const Ran ran = wallaby_run({"quantize", entry.path(), out, "Q4_K_M", "--allow-requantize"});
            EXPECT_EQ(ran.signal, 0) << entry.path();
            EXPECT_TRUE(ran.code >= 0 && ran.code <= 2) << entry.path() << ran.code;
            EXPECT_EQ(std::filesystem::exists(out), ran.code == 0) << entry.path();
            if (ran.code != 0) {
                n_refused++;
                EXPECT_NE(ran.err.find(entry.path().string()), std::string::npos) << ran.err;
            } else {
                EXPECT_EQ(wallaby_run({"inspect", "-m", out}).code, 0) << entry.path();
            }
            std::filesystem::remove(out);
        }
    }
    EXPECT_GT(n_refused, 20u);
}

TEST_F(Cli, CtrlCInQuantizeLeavesNothing) {
    const std::string wide = file_name("wide.gguf"), folder = file_name("folder");
    made_.push_back(wide);
    std::filesystem::create_directory(folder);
    ASSERT_EQ(wallaby_run({"synth", "tiny-dense", wide, "--type", "F16"}).code, 0);
    const auto interrupt = [&](pid_t pid) {
        for (int i = 0; i < 20000 && std::filesystem::is_empty(folder); i++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        ::kill(pid, SIGINT);
    };
    const Ran ran = wallaby_run({"quantize", wide, folder + "/x.gguf", "Q2_K", "-t", "1"}, {.meanwhile = interrupt});
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_EQ(ran.signal, 0);
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    std::filesystem::remove_all(folder);
}

TEST_F(Cli, RunIsReproducibleBySeed) {
    const Words words{"run", "-m", model_, "abc", "-n", "20", "-s", "3", "--ignore-eos"};
    const Ran a = wallaby_run(words), b = wallaby_run(words);
    EXPECT_EQ(a.code, 0) << a.err;
    EXPECT_EQ(a.err, "");
    EXPECT_EQ(a.out, b.out);
    EXPECT_FALSE(a.out.empty());
    EXPECT_EQ(a.out.back(), '\n');
    Words other = words;
    other[6] = "4";
    EXPECT_NE(wallaby_run(other).out, a.out);
}

TEST_F(Cli, PromptsFromEverywhereGiveTheSameText) {
    const Words tail{"-n", "10", "--temp", "0", "--ignore-eos"};
    const auto run = [&](Words words) {
        words.insert(words.end(), tail.begin(), tail.end());
        return wallaby_run(words).out;
    };
    const std::string expected = run({"run", "-m", model_, "abc de"});
    write(file_name("prompt"), {'a', 'b', 'c', ' ', 'd', 'e'});
    EXPECT_EQ(run({"run", "-m", model_, "-p", "abc de"}), expected);
    EXPECT_EQ(run({"run", "-m", model_, "-f", made_.back()}), expected);
    EXPECT_EQ(run({"run", "-m", model_, "--raw", "-p", "abc de"}), expected);
}

TEST_F(Cli, APromptBeyondTheContextIsAnErrorWithBothNumbers) {
    const Ran ran = wallaby_run({"run", "-m", model_, "-c", "8", "abc d e d e d e d e d e"});
    expect_failure(ran, 1, "context holds 8");
}

TEST_F(Cli, ChatReadsLinesUntilTheInputEnds) {
    const Ran ran =
        wallaby_run({"run", "-m", model_, "-n", "5", "--temp", "0", "--ignore-eos"}, {.input = "abc\n\nde\n"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_GE(std::count(ran.out.begin(), ran.out.end(), '\n'), 2);
}

TEST_F(Cli, CtrlCEndsAOneShotReplyWithItsOwnExitCode) {
    TinyModel tiny;
    tiny.n_ctx = 100000;
    write(file_name("long.gguf"), tiny.build());
    const Ran ran =
        wallaby_run({"run", "-m", made_.back(), "-c", "100000", "abc", "--ignore-eos"}, {.interrupt_after_ms = 50});
    EXPECT_EQ(ran.code, 130);
    EXPECT_EQ(ran.signal, 0);
}

TEST_F(Cli, CtrlCInAChatStopsTheReplyOnly) {
    TinyModel tiny;
    tiny.n_ctx = 100000;
    write(file_name("long.gguf"), tiny.build());
    const Ran ran = wallaby_run({"run", "-m", made_.back(), "-c", "100000", "--ignore-eos"},
                                {.input = "abc\n", .interrupt_after_ms = 50});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_FALSE(ran.out.empty());
}

TEST_F(Cli, AnUnknownChatTemplateIsRefusedNamingRaw) {
    TinyModel tiny;
    tiny.chat_template = "{{ a template that nobody knows }}";
    write(file_name("chat.gguf"), tiny.build());
    expect_failure(wallaby_run({"run", "-m", made_.back(), "abc", "-n", "2"}), 1, "--raw");
    EXPECT_EQ(wallaby_run({"run", "-m", made_.back(), "--raw", "abc", "-n", "2"}).code, 0);
}

TEST_F(Cli, AModelOnTokenIdsNeedsNoTokenizer) {
    WALLABY_NEED_DATA(data);
    const std::string path = (data / "golden" / "archs" / "llama-dense.gguf").string();  // tokenizer "test"
    EXPECT_EQ(wallaby_run({"logits", "-m", path, "--tokens", "1,2,3"}).code, 0);
    expect_failure(wallaby_run({"run", "-m", path, "abc"}), 1, "tokenizer.ggml.model");
}

TEST_F(Cli, StoriesToTheByte) {
    WALLABY_NEED_DATA(data);
    const auto folder = data / "models" / "stories260K";
    const Ran ran = wallaby_run(
        {"run", "-m", (folder / "stories260K.gguf").string(), "-p", "", "-n", "200", "--temp", "0", "--raw"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.out, read_file(folder / "expected_stdout_n200_t0.txt"));
}

TEST_F(Cli, VerboseSpeaksOnStandardErrorOnly) {
    const Words words{"run", "-m", model_, "abc", "-n", "5", "--temp", "0", "--ignore-eos"};
    Words verbose = words;
    verbose.push_back("-v");
    const Ran quiet = wallaby_run(words), loud = wallaby_run(verbose);
    EXPECT_EQ(quiet.out, loud.out);
    EXPECT_EQ(quiet.err, "");
    EXPECT_NE(loud.err.find("decode"), std::string::npos) << loud.err;
}

TEST_F(Cli, TimingsStandBesideThePrediction) {
    const Ran ran = wallaby_run({"run", "-m", model_, "abc", "-n", "5", "--temp", "0", "--ignore-eos", "--timings"});
    EXPECT_EQ(ran.code, 0);
    for (const char* phase : {"wallaby: prompt: predicted_tps ", "wallaby: decode: predicted_tps "}) {
        const size_t at = ran.err.find(phase);
        ASSERT_NE(at, std::string::npos) << ran.err;
        double predicted = 0, limit = 0;
        char limiter[8] = {};
        ASSERT_EQ(std::sscanf(ran.err.c_str() + at + std::strlen(phase), "%lf, limit_tps %lf, limiter %7s", &predicted,
                              &limit, limiter),
                  3)
            << ran.err;
        EXPECT_GT(predicted, 0);
        EXPECT_GT(limit, 0);
    }
}

}  // namespace
