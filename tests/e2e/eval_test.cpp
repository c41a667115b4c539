// wallaby eval, as its users meet it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "support/data.h"
#include "support/tiny_model.h"
#include "support/wallaby_program.h"

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

TEST_F(CliEval, AStrideOverlapsTheChunks) {
    const Words words{"perplexity", "-m", f32_, "-f", text_, "-c", "8", "--stride", "4"};
    const Ran text = eval_run(words);
    ASSERT_EQ(text.code, 0) << text.err;
    Words as_json = words;
    as_json.insert(as_json.end(), {"-o", "json"});
    const Json json = Json::parse(eval_run(as_json).out)[0];
    EXPECT_EQ(json["n_ctx"], 10);
    EXPECT_EQ(json["stride"], 4);
    EXPECT_EQ(json["n_chunks"], 8);  // 41 tokens: windows from 0, 4 … 28, and a token beyond the last
    EXPECT_EQ(json["n_scored"], 32);
    EXPECT_NE(text.out.find(fmt::format("PPL = {:.4f}", json["ppl"]["value"].get<double>())), std::string::npos);
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "8", "--stride", "16"}), 2,
                   {"--stride", "15"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "8", "--stride", "4", "--save-base", base_}),
                   2, {"--stride"});
    expect_failure(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "36", "--stride", "10"}), 1,
                   {text_, "41 tokens", "one must come after it"});
}

TEST_F(CliEval, EveryStatisticOfLlamaPerplexityIsPrinted) {
    save_base();
    const std::string out = eval_run({"kl", "-m", q4_, "--base", base_}).out;
    size_t at = 0;
    for (const char* words : {"Mean PPL(Q) ",
                              "Mean PPL(base) ",
                              "Cor(ln(PPL(Q)), ln(PPL(base))):",
                              "Mean ln(PPL(Q)/PPL(base)) ",
                              "Mean PPL(Q)/PPL(base) ",
                              "Mean PPL(Q)-PPL(base) ",
                              "Mean    KLD:",
                              "Maximum KLD:",
                              "99.9%   KLD:",
                              "99.0%   KLD:",
                              "95.0%   KLD:",
                              "90.0%   KLD:",
                              "Median  KLD:",
                              "10.0%   KLD:",
                              " 5.0%   KLD:",
                              " 1.0%   KLD:",
                              " 0.1%   KLD:",
                              "Minimum KLD:",
                              "Mean    Δp:",
                              "Maximum Δp:",
                              "99.9%   Δp:",
                              "99.0%   Δp:",
                              "95.0%   Δp:",
                              "90.0%   Δp:",
                              "75.0%   Δp:",
                              "Median  Δp:",
                              "25.0%   Δp:",
                              "10.0%   Δp:",
                              " 5.0%   Δp:",
                              " 1.0%   Δp:",
                              " 0.1%   Δp:",
                              "Minimum Δp:",
                              "RMS Δp    :",
                              "Same top p:"}) {
        const size_t found = out.find(words, at);
        ASSERT_NE(found, std::string::npos) << words << "\n" << out;
        at = found;
    }
}

// --- Going on

TEST_F(CliEval, WhatWasKilledAndInterruptedGoesOnToTheSameBits) {
    write(f32_, TinyModel{.n_ctx = 4096}.build());
    write(text_, std::vector<uint8_t>(1 << 14, 'c'));
    const std::string state = folder_ + "/state";
    Words words{"perplexity", "-m", f32_, "-f", text_, "-c", "64", "-o", "json"};
    const Ran whole = eval_run(words);
    ASSERT_EQ(whole.code, 0) << whole.err;
    words.insert(words.end(), {"--resume", state});
    // It is written after the first chunk.
    (void)eval_run(words, {.meanwhile = [&](pid_t pid) {
                       while (!std::filesystem::exists(state) && ::kill(pid, 0) == 0) {
                           std::this_thread::sleep_for(std::chrono::milliseconds(1));
                       }
                       ::kill(pid, SIGKILL);
                   }});
    ASSERT_TRUE(std::filesystem::exists(state));
    const Ran stopped = eval_run(words, {.interrupt_after_ms = 20, .interrupt_after_error_output = true});
    EXPECT_NE(stopped.err.find("goes on after the "), std::string::npos) << stopped.err;
    if (stopped.code != 0) {  // a fast machine may be done before
        EXPECT_EQ(stopped.code, 130);
        EXPECT_NE(stopped.err.find("the same command goes on"), std::string::npos) << stopped.err;
    }
    const Ran last = eval_run(words);
    EXPECT_EQ(last.code, 0) << last.err;
    EXPECT_EQ(last.out, whole.out);
    EXPECT_NE(last.err.find("goes on after the "), std::string::npos) << last.err;
    EXPECT_EQ(eval_run(words).out, whole.out) << "what is done is printed again";
}

TEST_F(CliEval, AStateOfAnotherEvaluationIsRefused) {
    save_base();
    const std::string state = folder_ + "/state";
    const Words words{"perplexity", "-m", f32_, "-f", text_, "-c", "8", "--resume", state};
    const auto with = [&](Words more) {
        more.insert(more.begin(), words.begin(), words.end());
        return eval_run(more);
    };
    ASSERT_EQ(with({}).code, 0);
    EXPECT_EQ(with({"-t", "1", "-b", "3", "--isa", "portable"}).code, 0) << "what bits do not depend on";
    expect_failure(with({"--chunks", "2"}), 1, {state, "chunks", "is 5 in it, but 2 here"});
    expect_failure(with({"--ctk", "f32"}), 1, {state, "keys", "is F16 in it"});
    expect_failure(with({"--backend", "reference"}), 1, {state, "arithmetic", "is cpu in it"});
    expect_failure(with({"--save-base", base_}), 2, {"--save-base"});
    Words other = words;
    other[2] = q4_;
    expect_failure(eval_run(other), 1, {state, "model"});
    other = words;
    other[4] = folder_ + "/other";
    write(other[4], std::vector<uint8_t>(60, 'c'));
    expect_failure(eval_run(other), 1, {state, "text"});
    expect_failure(eval_run({"kl", "-m", q4_, "--base", base_, "--resume", state}), 1, {state, "evaluation"});
    write(state, {'x'});
    expect_failure(with({}), 1, {state, "no state"});
    const std::string kl_state = folder_ + "/kl";
    const Words kl{"kl", "-m", q4_, "--base", base_, "-o", "json", "--resume", kl_state};
    const Ran once = eval_run(kl);
    EXPECT_EQ(once.code, 0) << once.err;
    EXPECT_EQ(eval_run(kl).out, once.out);
    EXPECT_EQ(eval_run({"kl", "-m", q4_, "--base", base_, "-o", "json"}).out, once.out);
}

// --- Tasks

TEST_F(CliEval, HellaSwagWinograndeAndMultipleChoice) {
    const std::string tasks = folder_ + "/tasks";
    const auto put = [&](const std::string& text) { write(tasks, {text.begin(), text.end()}); };
    put("abc ab\n1\nc\nd\ne\na\ncab\n0\nabc\nbca\nde\ned\nbb\n3\na\nb\nc\nd\n");
    const Words words{"hellaswag", "-m", f32_, "-f", tasks};
    const auto with = [&](Words more) {
        more.insert(more.begin(), words.begin(), words.end());
        return eval_run(more);
    };
    const Ran text = with({});
    ASSERT_EQ(text.code, 0) << text.err;
    EXPECT_EQ(text.err, "");
    const Ran as_json = with({"-o", "json"});
    const Json json = Json::parse(as_json.out)[0];
    EXPECT_EQ(json["n_tasks"], 3);
    EXPECT_EQ(json["chance"]["value"], 0.25);
    ASSERT_EQ(json["tasks"].size(), 3u);
    size_t n_right = 0;
    for (const Json& task : json["tasks"]) {
        ASSERT_EQ(task["log_p"].size(), 4u);
        n_right += task["per_token"] == task["right"][0] ? 1 : 0;
    }
    EXPECT_EQ(json["tasks"][1]["place"], "line 7");
    EXPECT_EQ(json["tasks"][2]["right"], Json::array({3}));
    EXPECT_EQ(json["acc_norm"]["value"].get<double>(), double(n_right) / 3);
    EXPECT_NE(text.out.find(fmt::format("acc_norm      : {:7.4f} ± ", 100.0 * double(n_right) / 3)), std::string::npos)
        << text.out;
    EXPECT_EQ(with({"-o", "json", "-b", "2", "-t", "1"}).out, as_json.out);
    EXPECT_EQ(with({"-o", "json", "--resume", folder_ + "/state"}).out, as_json.out);
    EXPECT_EQ(with({"-o", "json", "--resume", folder_ + "/state"}).out, as_json.out);
    expect_failure(with({"--tasks", "2", "--resume", folder_ + "/state"}), 1, {"tasks", "is 3 in it"});
    const Json first = Json::parse(with({"-o", "json", "--hellaswag-tasks", "2"}).out)[0];
    EXPECT_EQ(first["tasks"], Json::array({json["tasks"][0], json["tasks"][1]}));
    std::set<std::string> places;
    for (const char* seed : {"1", "2", "3", "4", "5", "6"}) {
        const Ran chosen = with({"-o", "json", "--tasks", "1", "--seed", seed});
        EXPECT_EQ(chosen.out, with({"-o", "json", "--tasks", "1", "--seed", seed}).out);
        places.insert(Json::parse(chosen.out)[0]["tasks"][0]["place"].get<std::string>());
    }
    EXPECT_GT(places.size(), 1u);

    put("abc ab\n7\nc\nd\ne\na\n");
    expect_failure(with({}), 1, {tasks, "line 2", "byte 7"});
    put("0,abc _ is de.,ab,cd,2\n");
    EXPECT_EQ(eval_run({"winogrande", "-m", f32_, "-f", tasks}).code, 0);
    put("{\"question\": \"abc\", \"choices\": [\"d\", \"e\"], \"answer\": 1}\n");
    EXPECT_EQ(Json::parse(eval_run({"multiple-choice", "-m", f32_, "-f", tasks, "-o", "json"}).out)[0]["n_tasks"], 1);
    put("{\"question\": \"" + std::string(300, 'e') + "\", \"choices\": [\"d\", \"e\"], \"answer\": 1}\n");
    expect_failure(eval_run({"multiple-choice", "-m", f32_, "-f", tasks}), 1, {tasks, "line 1", "256"});
    expect_failure(eval_run({"multiple-choice", "-m", f32_, "-f", text_}), 1, {text_, "line 1", "is not JSON"});
}

// --- Several models

TEST_F(CliEval, ComparesModels) {
    const std::string temporary = folder_ + "/tmp";
    std::filesystem::create_directory(temporary);
    ::setenv("TMPDIR", temporary.c_str(), 1);
    const auto with = [&](Words more) {
        more.insert(more.begin(), {"--compare", f32_, q4_, "-c", "8", "--no-speed"});
        return eval_run(more);
    };
    const Ran ran = with({"-f", text_, "-o", "json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    EXPECT_EQ(with({"-f", text_, "-o", "json"}).out, ran.out);
    const Json json = Json::parse(ran.out);
    ASSERT_EQ(json.size(), 2u);
    const Json ppl = Json::parse(eval_run({"perplexity", "-m", f32_, "-f", text_, "-c", "8", "-o", "json"}).out)[0];
    EXPECT_EQ(json[0]["is_base"], true);
    EXPECT_EQ(json[0]["ppl"], ppl["ppl"]);
    EXPECT_EQ(json[0]["kld"]["mean"]["value"], 0.0);
    EXPECT_EQ(json[0]["bits_per_weight"], 32.0);
    EXPECT_TRUE(json[0]["prompt_tokens_per_s"].is_null());
    save_base();
    const Json kl = Json::parse(eval_run({"kl", "-m", q4_, "--base", base_, "-o", "json"}).out)[0];
    EXPECT_EQ(json[1]["ppl"], kl["ppl"]);
    EXPECT_EQ(json[1]["kld"]["mean"], kl["kld"]["mean"]);
    EXPECT_EQ(json[1]["kld"]["99"], kl["kld"]["percentiles"]["99"]);
    EXPECT_EQ(json[1]["same_top"], kl["same_top"]);
    EXPECT_LT(json[1]["size_bytes"].get<uint64_t>(), json[0]["size_bytes"].get<uint64_t>() / 4);
    EXPECT_EQ(json[0]["on_frontier"], true);
    EXPECT_EQ(json[1]["on_frontier"], true);

    // The base as another model, which then has a row too, and as logits, which have none.
    const Json saved = Json::parse(with({"--base", base_, "-o", "json"}).out);
    ASSERT_EQ(saved.size(), 2u);
    EXPECT_EQ(saved[0]["is_base"], false);
    EXPECT_EQ(saved[0]["kld"]["mean"]["value"], 0.0);
    EXPECT_EQ(saved[1]["kld"], json[1]["kld"]);
    const Json turned = Json::parse(
        eval_run({"--compare", f32_, "--base", q4_, "-f", text_, "-c", "8", "--no-speed", "-o", "json"}).out);
    ASSERT_EQ(turned.size(), 2u);
    EXPECT_EQ(turned[0]["model"], q4_);
    EXPECT_EQ(turned[0]["is_base"], true);
    EXPECT_EQ(turned[0]["on_frontier"], true);
    EXPECT_EQ(turned[1]["on_frontier"], false);  // larger, and further from the base than itself

    const Ran markdown = with({"-f", text_, "-o", "md"}), text = with({"-f", text_});
    EXPECT_TRUE(markdown.out.starts_with("| model | MiB | bpw |")) << markdown.out;
    const std::string q4_kl = fmt::format("{:.6f}", json[1]["kld"]["mean"]["value"].get<double>());
    for (const Ran* r : {&markdown, &text}) {
        EXPECT_NE(r->out.find("0 (base)"), std::string::npos) << r->out;
        EXPECT_NE(r->out.find(q4_kl), std::string::npos) << r->out;
    }
    const Ran svg = with({"-f", text_, "-o", "svg"});
    EXPECT_TRUE(svg.out.starts_with("<svg xmlns=")) << svg.err;
    EXPECT_TRUE(svg.out.ends_with("</svg>\n"));
    for (const char* part : {">f32 (0)</text>", ">q4</text>"}) {
        EXPECT_NE(svg.out.find(part), std::string::npos) << part;
    }
    EXPECT_EQ(svg.out.find("nan"), std::string::npos);
    EXPECT_EQ(svg.out.find("inf"), std::string::npos);

    expect_failure(with({}), 2, {"-f", "is not given"});
    expect_failure(with({"--base", base_, "-f", text_}), 2, {"-f", "their own text"});
    expect_failure(eval_run({"--compare", f32_, "/no/such/model", "-f", text_}), 1, {"/no/such/model"});
    expect_failure(eval_run({"-f", text_}), 2, {"--compare"});
    expect_failure(eval_run({"--compare", f32_, "joey", "-f", text_, "-c", "8"}), 1, {"joey", "vocabulary"});
    EXPECT_TRUE(std::filesystem::is_empty(temporary)) << "no logits stay behind";
    ::unsetenv("TMPDIR");
}

TEST_F(CliEval, ComparesSpeedsToo) {
    const Ran ran = eval_run({"--compare", f32_, "-f", text_, "-c", "8", "-o", "json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json json = Json::parse(ran.out)[0];
    for (const char* phase : {"prompt_tokens_per_s", "decode_tokens_per_s"}) {
        EXPECT_GT(json[phase]["mean"].get<double>(), 0) << phase;
        EXPECT_GE(json[phase]["spread"].get<double>(), 0) << phase;
    }
}

// --- llama.cpp's figures

TEST_F(CliEval, StoriesInWindowsOf256) {
    WALLABY_NEED_DATA(data);
    const auto ppl = [&](const std::string& model, const Words& more) {
        Words words{"perplexity",
                    "-m",
                    (data / "models" / "stories260K" / (model + ".gguf")).string(),
                    "-f",
                    (data / "text" / "tinystories_sample.txt").string(),
                    "--ctk",
                    "f32",
                    "--ctv",
                    "f32",
                    "-o",
                    "json"};
        words.insert(words.end(), more.begin(), more.end());
        const Ran ran = eval_run(words);
        EXPECT_EQ(ran.code, 0) << ran.err;
        return Json::parse(ran.out)[0];
    };
    const Json f32 = ppl("stories260K", {"-c", "256"});
    EXPECT_EQ(f32["n_chunks"], 7);
    // llama-perplexity, then its library's logits with float32 keys and values as docs/verification.md has them.
    EXPECT_NEAR(f32["ppl"]["value"].get<double>() / 6.8981, 1, 0.002);
    EXPECT_NEAR(ppl("stories260K-Q8_0", {"-c", "256"})["ppl"]["value"].get<double>() / 6.9245, 1, 0.002);
    EXPECT_NEAR(ppl("stories260K-Q4_0", {"-c", "256"})["ppl"]["value"].get<double>() / 7.6814, 1, 0.002);
    EXPECT_NEAR(f32["ppl"]["value"].get<double>() / 6.89786, 1, 1e-6);
    EXPECT_NEAR(ppl("stories260K", {"-c", "128", "--stride", "64"})["ppl"]["value"].get<double>() / 5.690650, 1, 1e-6);
}

}  // namespace
