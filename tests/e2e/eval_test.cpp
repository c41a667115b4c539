// wallaby eval, as its users meet it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/data.h"
#include "support/process.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

Ran eval_run(const Words& words, const RunOptions& options = {}) {
    Words all{WALLABY_BINARY, "eval"};
    all.insert(all.end(), words.begin(), words.end());
    return run_program(all, options);
}

void expect_failure(const Ran& ran, int code, const Words& parts) {
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(ran.out, "");
    for (const std::string& part : parts) {
        EXPECT_NE(ran.err.find(part), std::string::npos) << part << "\n" << ran.err;
    }
}

// Two tiny models that differ in their weights' format, and a text of 40 tokens and BOS.
class CliEval : public ::testing::Test {
  protected:
    std::string folder_ = ::testing::TempDir() + "wallaby_eval_" + std::to_string(::getpid());
    std::string f32_ = folder_ + "/f32.gguf", q4_ = folder_ + "/q4.gguf", text_ = folder_ + "/text",
                base_ = folder_ + "/base";

    void SetUp() override {
        std::filesystem::create_directory(folder_);
        write(f32_, TinyModel().build());
        write(q4_, TinyModel{.type = quant::Type::q4_0}.build());
        std::string text = "abc";
        for (int i = 0; i < 37; i++) { text += i % 3 == 0 ? "d" : "e"; }
        write(text_, {text.begin(), text.end()});
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    static void write(const std::string& path, const std::vector<uint8_t>& bytes) {
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    }
    void save_base() {
        const Ran ran = eval_run({"kl", "-m", f32_, "-f", text_, "-c", "8", "--save-base", base_});
        ASSERT_EQ(ran.code, 0) << ran.err;
    }
};

TEST_F(CliEval, PerplexityAsTextAndAsJson) {
    const Words words{"perplexity", "-m", f32_, "-f", text_, "-c", "8"};
    const Ran text = eval_run(words);
    ASSERT_EQ(text.code, 0) << text.err;
    EXPECT_EQ(text.err, "");
    Words as_json = words;
    as_json.insert(as_json.end(), {"-o", "json"});
    const Json all = Json::parse(eval_run(as_json).out);
    ASSERT_EQ(all.size(), 1u);
    const Json& json = all[0];
    EXPECT_EQ(json["model"], f32_);
    EXPECT_EQ(json["n_ctx"], 8);
    EXPECT_EQ(json["n_chunks"], 5);
    EXPECT_EQ(json["n_scored"], 5 * 3);
    ASSERT_EQ(json["running"].size(), 5u);
    EXPECT_EQ(json["running"][4], json["ppl"]);
    EXPECT_GT(json["ppl"]["error"].get<double>(), 0);
    std::string expected;
    for (size_t i = 0; i < 5; i++) {
        expected += fmt::format("[{}]{:.4f},", i + 1, json["running"][i]["value"].get<double>());
    }
    expected += fmt::format("\nFinal estimate: PPL = {:.4f} +/- {:.5f}\n", json["ppl"]["value"].get<double>(),
                            json["ppl"]["error"].get<double>());
    EXPECT_EQ(text.out, expected);

    Words two = words;
    two.insert(two.end(), {"--chunks", "2"});
    EXPECT_EQ(eval_run(two).out.find("[3]"), std::string::npos);
    EXPECT_EQ(eval_run(two).out.rfind(expected.substr(0, expected.find("[3]")), 0), 0u);
}

TEST_F(CliEval, ANewlineAtTheEndDoesNotCount) {
    const std::string before = eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "41"}).out;
    std::string text = read_file(text_);
    text += '\n';
    write(text_, {text.begin(), text.end()});
    EXPECT_FALSE(before.empty());
    EXPECT_EQ(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "41"}).out, before);
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "42"}), 1, {"41 tokens", "42", text_});
}

TEST_F(CliEval, AModelAgainstItselfAndAgainstAnother) {
    save_base();
    const Json same = Json::parse(eval_run({"kl", "-m", f32_, "--base", base_, "-o", "json"}).out)[0];
    EXPECT_EQ(same["kld"]["mean"]["value"], 0.0);
    EXPECT_EQ(same["kld"]["max"], 0.0);
    EXPECT_EQ(same["same_top"]["value"], 1.0);
    EXPECT_EQ(same["ln_ppl_ratio"]["value"], 0.0);
    EXPECT_EQ(same["n_scored"], 15);

    const Ran text = eval_run({"kl", "-m", q4_, "--kl-divergence-base", base_, "-f", text_});
    ASSERT_EQ(text.code, 0) << text.err;
    EXPECT_EQ(text.err, "");
    const Json other = Json::parse(eval_run({"kl", "-m", q4_, "--base", base_, "-o", "json"}).out)[0];
    EXPECT_GT(other["kld"]["mean"]["value"].get<double>(), 0);
    EXPECT_EQ(other["ppl_base"], same["ppl"]);
    for (const std::string& line :
         {fmt::format("Mean PPL(Q)                   : {:10.6f} ± ", other["ppl"]["value"].get<double>()),
          fmt::format("Mean    KLD: {:10.6f} ± {:10.6f}\n", other["kld"]["mean"]["value"].get<double>(),
                      other["kld"]["mean"]["error"].get<double>()),
          fmt::format("99.9%   KLD: {:10.6f}\n", other["kld"]["percentiles"]["99.9"].get<double>()),
          fmt::format(" 5.0%   Δp: {:6.3f}%\n", 100 * other["delta_p"]["percentiles"]["5"].get<double>()),
          fmt::format("RMS Δp    : {:6.3f} ± ", 100 * other["delta_p"]["rms"]["value"].get<double>()),
          fmt::format("Same top p: {:6.3f} ± ", 100 * other["same_top"]["value"].get<double>())}) {
        EXPECT_NE(text.out.find(line), std::string::npos) << line << text.out;
    }
}

TEST_F(CliEval, PerplexitySavesTheSameBase) {
    save_base();
    const std::string second = folder_ + "/second";
    const Ran ran = eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "8", "--kl-divergence-base", second});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(read_file(second), read_file(base_));
}

TEST_F(CliEval, WhatDoesNotBelongTogetherIsRefused) {
    save_base();
    expect_failure(eval_run({}), 2, {});
    expect_failure(eval_run({"fly"}), 2, {});
    expect_failure(eval_run({"perplexity", "-m", f32_}), 2, {"--file"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "-o", "xml"}), 2, {"--output"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "--chunks", "0"}), 2, {"--chunks"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "2"}), 2, {"-c", "at least 3"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_}), 1, {"41 tokens", "512"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", "/no/such/text"}), 1, {"/no/such/text"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "8", "--save-base", "/no/such/x"}), 1,
                   {"/no/such/x"});
    expect_failure(eval_run({"kl", "-m", f32_}), 2, {"--base"});
    expect_failure(eval_run({"kl", "-m", f32_, "--save-base", base_}), 2, {"--file"});
    expect_failure(eval_run({"kl", "-m", f32_, "-f", text_, "--save-base", base_, "--base", base_}), 2, {"--base"});
    expect_failure(eval_run({"kl", "-m", f32_, "--base", base_, "-c", "16"}), 2, {"is 16", "8 tokens"});
    expect_failure(eval_run({"kl", "-m", f32_, "--base", base_, "--chunks", "2"}), 2, {"--chunks"});
    expect_failure(eval_run({"kl", "-m", f32_, "--base", text_}), 1, {text_});
    expect_failure(eval_run({"kl", "-m", f32_, "--base", f32_}), 1, {f32_, "no file of base logits"});
    write(folder_ + "/other", std::vector<uint8_t>(60, 'c'));
    expect_failure(eval_run({"kl", "-m", f32_, "--base", base_, "-f", folder_ + "/other"}), 1, {base_, "another text"});
    std::string cut = read_file(base_);
    cut.pop_back();
    write(base_, {cut.begin(), cut.end()});
    expect_failure(eval_run({"kl", "-m", f32_, "--base", base_}), 1, {base_, "bytes announced"});
}

TEST_F(CliEval, CtrlCEndsItWithItsOwnExitCodeAndLeavesNothing) {
    write(f32_, TinyModel{.n_ctx = 4096}.build());
    write(text_, std::vector<uint8_t>(1 << 20, 'c'));
    const std::string base = folder_ + "/interrupted";
    const Ran ran = eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "64", "-v", "--save-base", base},
                             {.interrupt_after_ms = 300, .interrupt_after_error_output = true});
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_EQ(ran.signal, 0);
    EXPECT_EQ(ran.out, "");
    size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
        n += entry.path().string().rfind(base, 0) == 0 ? 1 : 0;
    }
    EXPECT_EQ(n, 0u);
}

TEST_F(CliEval, StoriesInWindowsOf256) {
    WALLABY_NEED_DATA(data);
    const Ran ran = eval_run({"perplexity", "-m", (data / "models" / "stories260K" / "stories260K.gguf").string(), "-f",
                              (data / "text" / "tinystories_sample.txt").string(), "-c", "256", "-o", "json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json json = Json::parse(ran.out)[0];
    EXPECT_EQ(json["n_chunks"], 7);
    EXPECT_NEAR(json["ppl"]["value"].get<double>() / 6.8981, 1, 0.005);
}

}  // namespace
