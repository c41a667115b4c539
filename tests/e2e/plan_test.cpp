// wallaby plan and wallaby probe, as their users and their programs meet them. No speed of this machine is asserted.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/system.h"
#include "support/process.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

Ran wallaby(const Words& words, const std::string& input = "") {
    Words all{WALLABY_BINARY};
    all.insert(all.end(), words.begin(), words.end());
    RunOptions options;
    options.input = input;
    return run_program(all, options);
}

Json plan(Words words, const std::string& input = "") {
    words.insert(words.begin(), "plan");
    words.insert(words.end(), {"-o", "json"});
    const Ran ran = wallaby(words, input);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    return Json::parse(ran.out);
}

class File {
  public:
    File(const std::string& name, const std::string& text)
        : path_(::testing::TempDir() + "wallaby_plan_" + std::to_string(::getpid()) + "_" + name) {
        std::ofstream(path_, std::ios::binary) << text;
    }
    ~File() { std::filesystem::remove(path_); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

TEST(CliPlan, AKnownModelOnMachinesOfTheCatalogue) {
    const Json rows = plan({"llama-3.1-8b", "--on", "m2-max,a100,raspberry-pi-4", "-c", "8192"});
    ASSERT_EQ(rows.size(), 3u);
    const Json& mac = rows[0];
    EXPECT_EQ(mac["machine"], "m2-max");
    EXPECT_EQ(mac["type"], "Q4_K_M");
    EXPECT_EQ(mac["n_params"], 8030261312u);
    EXPECT_NEAR(mac["model_bytes"].get<double>() / 4.92e9, 1, 0.01);
    // 32 layers of 8 KV heads of 128 numbers of two bytes, for keys and for values.
    EXPECT_NEAR(mac["state_bytes"].get<double>(), 8192 * 32 * 8 * 128 * 2 * 2.0, 1e6);
    EXPECT_EQ(mac["needed_bytes"].get<uint64_t>(),
              mac["weight_bytes"].get<uint64_t>() + mac["state_bytes"].get<uint64_t>() +
                  mac["scratch_bytes"].get<uint64_t>() + mac["process_bytes"].get<uint64_t>());
    EXPECT_TRUE(mac["fits"]);
    EXPECT_EQ(rows[2]["memory_bytes"], 8000000000u);
    EXPECT_FALSE(plan({"llama-3.1-70b", "--on", "raspberry-pi-4"})[0]["fits"]);
    EXPECT_EQ(mac["largest_context"], 131072);
    for (const char* what : {"prompt", "decode", "decode_full_context"}) {
        const Json& e = mac[what];
        EXPECT_LT(e["low"], e["tokens_per_s"]) << what;
        EXPECT_LT(e["tokens_per_s"], e["high"]) << what;
    }
    EXPECT_GT(mac["decode"]["tokens_per_s"], mac["decode_full_context"]["tokens_per_s"]);
    // No faster than the weights can be read.
    EXPECT_LT(mac["decode"]["tokens_per_s"].get<double>(), 400e9 / 4.6e9);
    EXPECT_GT(rows[1]["decode"]["tokens_per_s"], mac["decode"]["tokens_per_s"]);
    double last = 1e9;
    for (const Json& change : mac["changes"]) {
        EXPECT_LE(change["gain"], last);
        last = change["gain"];
    }
    EXPECT_GE(mac["changes"].size(), 4u);
}

TEST(CliPlan, MoreBitsContextAndSequencesNeedMore) {
    const auto needed = [](const Words& words) {
        Words all{"tinyllama-1.1b", "--on", "m1"};
        all.insert(all.end(), words.begin(), words.end());
        return plan(all)[0]["needed_bytes"].get<double>();
    };
    const double base = needed({"-c", "2048"});
    EXPECT_GT(needed({"-c", "2048", "--type", "Q8_0"}), base + 400e6);
    const double kv = 2048 * 22 * 4 * 64 * 2 * 2.0;
    EXPECT_NEAR(needed({"-c", "2048", "-np", "2"}) - base, kv, 0.05 * kv);
    EXPECT_NEAR(needed({"-c", "2048", "-ctk", "q8_0", "-ctv", "q8_0"}) - base, -kv * (1 - 34.0 / 64), 0.06 * kv);
}

TEST(CliPlan, AFileItsHeaderAndStandardInputAreTheSameModel) {
    const auto bytes = TinyModel{.type = quant::Type::q8_0}.build();
    const std::string whole(bytes.begin(), bytes.end());
    const File file("whole.gguf", whole), cut("cut.gguf", whole.substr(0, whole.size() / 2));
    const Words on{"--on", "m1", "-c", "64"};
    const auto with = [&](const std::string& name, const std::string& input) {
        Words all{name};
        all.insert(all.end(), on.begin(), on.end());
        Json row = plan(all, input)[0];
        row.erase("model");
        return row;
    };
    const Json expected = with(file.path(), "");
    EXPECT_EQ(with(cut.path(), ""), expected);
    EXPECT_EQ(with("-", whole.substr(0, whole.size() / 2)), expected);
    EXPECT_EQ(expected["type"], "");
    const Ran ran = wallaby({"plan", "-", "--on", "m1"}, whole.substr(0, 500));
    EXPECT_EQ(ran.code, 1);
    EXPECT_NE(ran.err.find("standard input"), std::string::npos) << ran.err;
}

TEST(CliPlan, AHuggingFaceConfig) {
    const std::string text = R"({"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 22,
        "num_attention_heads": 32, "num_key_value_heads": 4, "intermediate_size": 5632, "vocab_size": 32000,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false})";
    const File config("config.json", text);
    Json ours = plan({config.path(), "--on", "m1", "--type", "Q6_K"})[0];
    Json known = plan({"tinyllama-1.1b", "--on", "m1", "--type", "Q6_K"})[0];
    ours.erase("model");
    known.erase("model");
    EXPECT_EQ(ours, known);
}

TEST(CliPlan, AMachineOfOnesOwn) {
    const File machine("mine.toml", R"(
[[machine]]
id = "mine"
tier = "apple-base"
memory = { gb = 8 }
bandwidth = { gb_per_s = 136.5 }
rates = [ { f32 = 5.2 } ]
)");
    const Json rows = plan({"tinyllama-1.1b", "--on", machine.path(), "--on", "m1"});
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0]["machine"], "mine");
    EXPECT_EQ(rows[0]["memory_bytes"], 8000000000u);
    EXPECT_GT(rows[0]["decode"]["tokens_per_s"], rows[1]["decode"]["tokens_per_s"]);
    const File broken("broken.toml", "[[machine]]\nid = 5\n");
    const Ran ran = wallaby({"plan", "joey", "--on", broken.path()});
    EXPECT_EQ(ran.code, 1);
    EXPECT_NE(ran.err.find(broken.path()), std::string::npos) << ran.err;
}

TEST(CliPlan, HereWithWhatWasMeasuredHere) {
    const auto bytes = TinyModel{.type = quant::Type::q8_0}.build();
    const File file("here.gguf", std::string(bytes.begin(), bytes.end()));
    const Json row = plan({file.path(), "-c", "64", "-t", "2"})[0];
    EXPECT_EQ(row["machine"], "here");
    EXPECT_TRUE(row["fits"]);
    for (const char* what : {"prompt", "decode", "decode_full_context"}) {
        EXPECT_GT(row[what]["tokens_per_s"], 0) << row.dump(1);
    }
    const auto available = base::available_memory();
    ASSERT_TRUE(available);
    EXPECT_LE(row["memory_bytes"].get<double>(), 2.0 * double(*available));
    EXPECT_GT(row["memory_bytes"].get<double>(), 0);
}

TEST(CliPlan, TheTextSaysTheSame) {
    const Ran ran = wallaby({"plan", "llama-3.1-8b", "--on", "m2-max"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    for (const char* words :
         {"8.03 B parameters", "fits", "KV cache", "first token", "decode", "limited by", "helps most"}) {
        EXPECT_NE(ran.out.find(words), std::string::npos) << words << "\n" << ran.out;
    }
    const Ran csv = wallaby({"plan", "llama-3.1-8b", "--on", "m2-max,m1", "-o", "csv"});
    EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 3) << csv.out;
}

TEST(CliPlan, WhatIsWantedAndWhatWouldBeEnough) {
    const Json met = plan({"llama-3.1-8b", "--on", "m2-max", "--want", "20 tok/s at 32k in 16 GB"})[0];
    EXPECT_EQ(met["n_ctx"], 32768);
    ASSERT_FALSE(met["choices"].empty());
    double last = -1;
    for (const Json& c : met["choices"]) {
        EXPECT_TRUE(c["meets"]) << c;
        EXPECT_GE(c["tokens_per_s"], 20);
        EXPECT_LE(c["needed_bytes"], 16e9);
        EXPECT_GE(c["perplexity_increase"], last);
        last = c["perplexity_increase"];
    }
    // 16 GB of weights in F16 and 4.3 GB of keys and values do not fit; in Q8_0 they do.
    EXPECT_EQ(met["choices"][0]["type"], "Q8_0");
    const Json unmet = plan({"llama-3.1-8b", "--on", "m1", "--want", "100 tok/s at 4k"})[0];
    ASSERT_FALSE(unmet["choices"].empty());
    for (const Json& c : unmet["choices"]) {
        EXPECT_FALSE(c["meets"]) << c;
        EXPECT_GT(c["wanted_bytes_per_s"], 68.25e9) << c;
    }
    EXPECT_TRUE(plan({"llama-3.1-8b", "--on", "m1", "--want", "1 tok/s in 1 GB"})[0]["choices"].empty());
    EXPECT_EQ(wallaby({"plan", "joey", "--on", "m1", "--want", "fast"}).code, 2);
}

TEST(CliPlan, Speculation) {
    const Json s = plan({"llama-3.1-8b", "--on", "m2-max", "--speculate", "4,0.7,0.05"})[0]["speculation"];
    EXPECT_EQ(s["n_drafts"], 4);
    const double verify = s["verify_steps"];
    EXPECT_GE(verify, 1);
    EXPECT_LT(verify, 5);
    EXPECT_NEAR(s["gain"].get<double>(), (1 + 0.7 + 0.49 + 0.343 + 0.2401) / (verify + 0.2), 1e-9);
    EXPECT_GT(s["break_even"], 0);
    EXPECT_LT(s["break_even"], 0.7);
    EXPECT_TRUE(
        plan({"llama-3.1-8b", "--on", "m2-max", "--speculate", "4,0.7,5"})[0]["speculation"]["break_even"].is_null());
    for (const char* words : {"4", "0,0.5", "4,1.5", "4.5,0.5", "4,0.5,-1", "4,0.5,0,0"}) {
        EXPECT_EQ(wallaby({"plan", "joey", "--on", "m1", "--speculate", words}).code, 2) << words;
    }
}

// How often `what` is in the text.
size_t count(const std::string& text, std::string_view what) {
    size_t n = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) { n++; }
    return n;
}

TEST(CliPlan, RooflinePlots) {
    const Ran svg = wallaby({"plan", "llama-3.1-8b", "--on", "m2-max,a100-80gb-sxm", "-o", "svg"});
    ASSERT_EQ(svg.code, 0) << svg.err;
    EXPECT_TRUE(svg.out.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    EXPECT_TRUE(svg.out.ends_with("</svg>\n"));
    EXPECT_EQ(count(svg.out, "Q4_K_M on "), 2u) << "a plot for each machine";
    for (const char* words :
         {"decode matmul Q4_K", "prompt matmul Q6_K", "decode attend", "400 GB/s", "as predicted"}) {
        EXPECT_NE(svg.out.find(words), std::string::npos) << words;
    }
    EXPECT_EQ(svg.out.find("nan"), std::string::npos);
    EXPECT_EQ(svg.out.find("inf\""), std::string::npos);
    const Ran plot = wallaby({"plan", "joey", "-o", "plot"});
    ASSERT_EQ(plot.code, 0) << plot.err;
    for (const char* words :
         {"joey", " on this machine\n", "/ ", "int8: ", "f32: ", "* decode, all of it", "# prompt, all of it"}) {
        EXPECT_NE(plot.out.find(words), std::string::npos) << words << " in " << plot.out;
    }
    // The slope and what lies on it.
    EXPECT_GT(count(plot.out, "/"), 10u);
    // Names from files are text in the image, whatever they hold.
    const File machine("hostile.toml", R"(
[[machine]]
id = "mine"
name = "<script>&\"\u0007"
tier = "apple-base"
memory = { gb = 8 }
bandwidth = { gb_per_s = 136.5 }
rates = [ { f32 = 5.2 } ]
)");
    const Ran hostile = wallaby({"plan", "joey", "--on", machine.path(), "-o", "svg"});
    ASSERT_EQ(hostile.code, 0) << hostile.err;
    EXPECT_EQ(hostile.out.find("<script>"), std::string::npos);
    EXPECT_NE(hostile.out.find("&lt;script&gt;&amp;&quot; </text>"), std::string::npos) << hostile.out;
    // Where no rate is known there is no roof.
    const File bare("bare.toml", R"(
[[machine]]
id = "bare"
tier = "apple-base"
memory = { gb = 8 }
bandwidth = { gb_per_s = 136.5 }
)");
    const Ran none = wallaby({"plan", "joey", "--on", bare.path(), "-o", "plot"});
    ASSERT_EQ(none.code, 0) << none.err;
    EXPECT_NE(none.out.find("bare: its bandwidth or its rates are not known"), std::string::npos) << none.out;
}

TEST(CliPlan, ErrorsAreErrors) {
    const auto fails = [](const Words& words, int code, const std::string& says) {
        Words all{"plan"};
        all.insert(all.end(), words.begin(), words.end());
        const Ran ran = wallaby(all);
        EXPECT_EQ(ran.code, code) << ran.err;
        EXPECT_EQ(ran.out, "");
        EXPECT_NE(ran.err.find(says), std::string::npos) << ran.err;
    };
    fails({"joey", "--on", "m9"}, 2, "no machine that is known");
    fails({"no-such-model"}, 1, "no-such-model");
    fails({"joey", "--type", "Q9_9", "--on", "m1"}, 2, "Q9_9");
    fails({"joey", "-ctk", "q9"}, 2, "--ctk");
    fails({"joey", "-o", "pdf"}, 2, "pdf");
}

TEST(CliPlan, TheArticlesTable) {
    const Ran ran = wallaby({"plan", "--article"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    for (const char* words : {"A100", "M1", "M2 Max", "Raspberry Pi 4", "276.4", "552.9", "19.5", "12.27", "161"}) {
        EXPECT_NE(ran.out.find(words), std::string::npos) << words << "\n" << ran.out;
    }
}

TEST(CliPlan, PublishedResultsAreFoundFromTheOthersOfTheirTier) {
    const Ran ran = wallaby({"plan", "--validate", "-o", "json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json all = Json::parse(ran.out);
    EXPECT_GE(all["results"].size(), 80u);
    int n_seen = 0;
    for (const Json& e : all["errors"]) {
        if (e["is_prompt"]) { continue; }
        const std::string tier = e["tier"];
        if (tier.starts_with("apple")) {
            EXPECT_LE(e["median_percent"], 10) << tier;
            n_seen++;
        }
        if (tier == "~all") {
            EXPECT_GE(e["inside_interval_percent"], 70);
            EXPECT_LE(e["inside_interval_percent"], 90);
            n_seen++;
        }
    }
    EXPECT_EQ(n_seen, 6);
    EXPECT_EQ(wallaby({"plan", "--validate"}).code, 0);
    EXPECT_EQ(wallaby({"plan", "--list"}).code, 0);
}

TEST(CliProbe, SaysWhatThisMachineDoes) {
    const Ran ran = wallaby({"probe", "--formats", "q8_0", "-t", "2", "--disk", ::testing::TempDir(), "-o", "json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json row = Json::parse(ran.out)[0];
    ASSERT_EQ(row["read"].size(), 2u);
    EXPECT_EQ(row["read"][1]["threads"], 2);
    EXPECT_GT(row["read"][0]["worst_bytes_per_s"], 0);
    EXPECT_GT(row["rates"]["int8_ops_per_s"], 0);
    bool has_q8_0 = false;
    for (const Json& format : row["formats"]) {
        has_q8_0 = has_q8_0 || format["format"] == "Q8_0";
        EXPECT_GT(format["decode_bytes_per_s"], 0);
        EXPECT_GT(format["prompt_ops_per_s"], 0);
    }
    EXPECT_TRUE(has_q8_0);
    EXPECT_GT(row["disk_bytes_per_s"], 0);
    EXPECT_TRUE(row["doubts"].is_array());
    EXPECT_EQ(wallaby({"probe", "--formats", "i8"}).code, 2);
    EXPECT_EQ(wallaby({"probe", "--formats", "q8_0", "--disk", "/nowhere"}).code, 1);
}

}  // namespace
