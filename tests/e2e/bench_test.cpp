// wallaby bench, as its users and their programs meet it. No speed is asserted.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/processor.h"
#include "base/system.h"
#include "probe/probe.h"
#include "support/process.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

Ran bench_run(const Words& words, const RunOptions& options = {}) {
    Words all{WALLABY_BINARY, "bench"};
    all.insert(all.end(), words.begin(), words.end());
    return run_program(all, options);
}

Words operator+(Words a, const Words& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) { lines.push_back(line); }
    return lines;
}

// One line of CSV whose values are all quoted.
std::vector<std::string> csv_values(const std::string& line) {
    std::vector<std::string> values;
    for (size_t at = 0; at < line.size();) {
        EXPECT_EQ(line[at], '"') << line;
        std::string value;
        for (at++; line[at] != '"' || line[at + 1] == '"'; at++) {
            at += line[at] == '"' ? 1 : 0;
            value += line[at];
        }
        values.push_back(value);
        at += 2;
    }
    return values;
}

// llama-bench's names in its order, as of 2026 (tools/llama-bench), without those of GPUs and of loading; then ours.
const Words fields{"build_commit",
                   "build_number",
                   "cpu_info",
                   "gpu_info",
                   "backends",
                   "model_filename",
                   "model_type",
                   "model_size",
                   "model_n_params",
                   "n_batch",
                   "n_ubatch",
                   "n_threads",
                   "type_k",
                   "type_v",
                   "n_prompt",
                   "n_gen",
                   "n_depth",
                   "test_time",
                   "avg_ns",
                   "stddev_ns",
                   "avg_ts",
                   "stddev_ts",
                   "n_seqs",
                   "bytes",
                   "operations",
                   "limit_ts",
                   "limit_fraction",
                   "limiter",
                   "predicted_ts",
                   "predicted_fraction",
                   "predicted_limiter",
                   "load_seconds_cold",
                   "load_seconds_warm",
                   "peak_rss_bytes",
                   "planned_bytes",
                   "planned_rss_bytes",
                   "isa",
                   "use_mmap",
                   "read_bytes_per_s",
                   "int8_ops_per_s",
                   "bf16_ops_per_s",
                   "f32_ops_per_s",
                   "read_bytes_per_s_median",
                   "int8_ops_per_s_median",
                   "bf16_ops_per_s_median",
                   "f32_ops_per_s_median"};

class CliBench : public ::testing::Test {
  protected:
    std::string model_ =
        ::testing::TempDir() + "wallaby_bench_" + std::to_string(::getpid()) + "_a \"quoted\" name.gguf";

    void SetUp() override {
        const auto bytes = TinyModel{.type = quant::Type::q8_0}.build();
        std::ofstream(model_, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    }
    void TearDown() override { std::filesystem::remove(model_); }

    Json rows(const Words& words) const {
        const Ran ran = bench_run(Words{"-m", model_, "--no-probe", "-o", "json"} + words);
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.err, "");
        return Json::parse(ran.out);
    }
    // "pp5", "tg2 x3", "pp4+tg1 @ d7" of each row
    static Words tests(const Json& rows) {
        Words out;
        for (const Json& row : rows) {
            std::string name;
            if (row["n_prompt"] != 0) { name += "pp" + row["n_prompt"].dump(); }
            if (row["n_gen"] != 0) { name += (name.empty() ? "tg" : "+tg") + row["n_gen"].dump(); }
            if (row["n_depth"] != 0) { name += " @ d" + row["n_depth"].dump(); }
            if (row["n_seqs"] != 1) { name += " x" + row["n_seqs"].dump(); }
            out.push_back(name);
        }
        return out;
    }
};

TEST_F(CliBench, JsonHasLlamaBenchsFieldsThenOurs) {
    const Ran ran = bench_run({"-m", "joey", "-p", "16", "-n", "4", "-r", "2", "-t", "2", "-o", "json"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    const Json rows = Json::parse(ran.out);
    ASSERT_EQ(tests(rows), (Words{"pp16", "tg4"}));
    for (const Json& row : rows) {
        Words names;
        for (const auto& [name, value] : row.items()) {
            if (!value.is_array()) { names.push_back(name); }
        }
        EXPECT_EQ(names, fields);
        for (const char* name : {"model_size", "model_n_params", "avg_ns", "avg_ts", "bytes", "operations", "limit_ts",
                                 "limit_fraction", "load_seconds_warm", "peak_rss_bytes", "planned_bytes",
                                 "read_bytes_per_s", "int8_ops_per_s", "f32_ops_per_s", "read_bytes_per_s_median"}) {
            EXPECT_TRUE(row[name].is_number()) << name;
            EXPECT_GT(row[name].get<double>(), 0) << name;
        }
        EXPECT_EQ(row["model_filename"], "joey (built in)");
        EXPECT_EQ(row["model_type"], "llama Q8_0");
        EXPECT_EQ(row["n_threads"], 2);
        EXPECT_EQ(row["type_k"], "f16");
        EXPECT_EQ(row["load_seconds_cold"], nullptr);
        EXPECT_GE(row["peak_rss_bytes"].get<uint64_t>(), row["planned_bytes"].get<uint64_t>());
        ASSERT_EQ(row["samples_ns"].size(), 2u);
        const auto speeds = row["samples_ts"].get<std::vector<double>>();
        EXPECT_NEAR(row["avg_ts"].get<double>(), (speeds[0] + speeds[1]) / 2, 1e-6 * speeds[0]);
        EXPECT_NEAR(row["limit_fraction"].get<double>(), row["avg_ts"].get<double>() / row["limit_ts"].get<double>(),
                    1e-9);
        // The probe's buffer is not in the model's peak: seen where it is large beside a process with sanitizers.
        const uint64_t n_buffer = probe::read_buffer_bytes(base::l3_bytes(), base::available_memory());
        if (n_buffer >= 200u << 20) { EXPECT_LT(row["peak_rss_bytes"].get<uint64_t>(), n_buffer); }
    }
}

TEST_F(CliBench, OtherFormatsSayTheSame) {
    const Words words{"-m", model_, "-p", "6", "-n", "2", "-r", "1", "--no-probe", "-o"};
    const Ran json = bench_run(words + Words{"json"}), jsonl = bench_run(words + Words{"jsonl"}),
              csv = bench_run(words + Words{"csv"}), md = bench_run(words + Words{"md"});
    for (const Ran* ran : {&json, &jsonl, &csv, &md}) {
        EXPECT_EQ(ran->code, 0) << ran->err;
        EXPECT_EQ(ran->err, "");
    }
    const Json rows = Json::parse(json.out);
    const auto objects = lines_of(jsonl.out), table = lines_of(csv.out), lines = lines_of(md.out);
    ASSERT_EQ(rows.size(), 2u);
    ASSERT_EQ(objects.size(), 2u);
    ASSERT_EQ(table.size(), 3u);
    std::string header;
    for (const std::string& field : fields) { header += (header.empty() ? "" : ",") + field; }
    EXPECT_EQ(table[0], header);
    for (size_t i = 0; i < 2; i++) {
        const Json object = Json::parse(objects[i]);
        const auto values = csv_values(table[i + 1]);
        ASSERT_EQ(values.size(), fields.size());
        for (size_t f = 0; f < fields.size(); f++) {
            const Json& value = rows[i][fields[f]];
            if (fields[f] == "test_time" || fields[f].starts_with("avg") || fields[f].starts_with("stddev") ||
                fields[f].starts_with("load") || fields[f].starts_with("peak")) {
                continue;  // of another run
            }
            EXPECT_EQ(object[fields[f]], value) << fields[f];
            EXPECT_EQ(values[f], value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump());
        }
    }
    EXPECT_EQ(rows[0]["model_filename"], model_);
    EXPECT_EQ(rows[0]["limit_ts"], nullptr);
    ASSERT_EQ(lines.size(), 6u) << md.out;  // names, rule, two tests, nothing, the build
    for (const char* part : {"| model ", "| t/s |", "| limit |"}) {
        std::string squeezed;
        for (const char c : lines[0]) {
            if (c != ' ' || squeezed.empty() || squeezed.back() != ' ') { squeezed += c; }
        }
        EXPECT_NE(squeezed.find(part), std::string::npos) << lines[0];
    }
    EXPECT_EQ(lines[0].find("n_batch"), std::string::npos);
    EXPECT_NE(lines[2].find(" pp6 |"), std::string::npos) << lines[2];
    EXPECT_NE(lines[3].find(" tg2 |"), std::string::npos) << lines[3];
    EXPECT_NE(lines[3].find("±"), std::string::npos);
    EXPECT_TRUE(lines[5].starts_with("build: ")) << lines[5];
    const size_t n_bars = size_t(std::count(lines[0].begin(), lines[0].end(), '|'));
    for (size_t i = 1; i < 4; i++) { EXPECT_EQ(size_t(std::count(lines[i].begin(), lines[i].end(), '|')), n_bars); }
}

TEST_F(CliBench, ListsAndRangesMultiply) {
    EXPECT_EQ(tests(rows({"-p", "3,5-6", "-n", "1-4*2", "-n", "0", "-r", "1"})),
              (Words{"pp3", "pp5", "pp6", "tg1", "tg2", "tg4"}));
    EXPECT_EQ(tests(rows({"-p", "3", "-n", "2", "-pg", "4,1", "-np", "1,2", "-d", "0-7+7", "-r", "1"})),
              (Words{"pp3", "tg2", "pp4+tg1", "tg2 x2", "pp4+tg1 x2", "pp3 @ d7", "tg2 @ d7", "pp4+tg1 @ d7",
                     "tg2 @ d7 x2", "pp4+tg1 @ d7 x2"}));
    const Json all =
        rows({"-p", "0", "-n", "1", "-ctk", "f32,f16", "--ctv", "bf16", "-b", "8,4", "-t", "1,2", "-r", "1"});
    Words seen;
    for (const Json& row : all) {
        seen.push_back(row["n_batch"].dump() + row["type_k"].get<std::string>() + row["type_v"].get<std::string>() +
                       row["n_threads"].dump());
    }
    EXPECT_EQ(seen, (Words{"8f32bf161", "8f32bf162", "8f16bf161", "8f16bf162", "4f32bf161", "4f32bf162", "4f16bf161",
                           "4f16bf162"}));
    // Two sequences move the same weights and compute twice as much.
    const Json both = rows({"-p", "0", "-n", "2", "-np", "1,2", "-r", "1"});
    EXPECT_EQ(2 * both[0]["operations"].get<uint64_t>(), both[1]["operations"].get<uint64_t>());
    EXPECT_LT(both[1]["bytes"].get<double>(), 1.1 * both[0]["bytes"].get<double>());
    const Ran md = bench_run({"-m", model_, "--no-probe", "-p", "0", "-n", "1", "-np", "2", "-b", "4", "-r", "1"});
    for (const char* part : {"n_seqs", "n_batch"}) { EXPECT_NE(md.out.find(part), std::string::npos) << md.out; }
}

TEST_F(CliBench, SeveralModelsAndSyntheticOnes) {
    const Json rows = Json::parse(bench_run({"-m", "joey," + model_, "--synthetic", "tiny-moe:Q4_K_M", "-p", "2", "-n",
                                             "0", "-r", "1", "--no-probe", "-o", "json"})
                                      .out);
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[1]["model_filename"], model_);
    EXPECT_EQ(rows[2]["model_filename"], "tiny-moe:Q4_K_M");
    EXPECT_EQ(rows[2]["model_type"], "llama Q4_K_M");
    EXPECT_TRUE(rows[1]["load_seconds_warm"].is_number());
    EXPECT_EQ(rows[2]["load_seconds_warm"], nullptr);  // nothing is read
}

TEST_F(CliBench, ColdLoadsAreMeasuredWhereAskedFor) {
    const Json rows = this->rows({"-p", "1", "-n", "0", "-r", "1", "--cold"});
    EXPECT_GT(rows[0]["load_seconds_cold"].get<double>(), 0);
    EXPECT_GT(rows[0]["load_seconds_warm"].get<double>(), 0);
}

TEST_F(CliBench, WithoutAModelItIsJoeyAndSaysSo) {
    const Ran ran = bench_run({"-p", "1", "-n", "0", "-r", "1", "--no-probe", "-o", "jsonl"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_NE(ran.err.find("wallaby bench -m FILE.gguf"), std::string::npos) << ran.err;
    EXPECT_EQ(Json::parse(ran.out)["model_filename"], "joey (built in)");
}

TEST_F(CliBench, ProgressGoesToStandardError) {
    const Words words{"-m", model_, "-p", "1", "-n", "1", "-r", "2", "--no-probe", "--delay", "0.01", "--no-warmup"};
    const Ran ran = bench_run(words + Words{"--progress", "-o", "jsonl"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(lines_of(ran.out).size(), 2u);
    EXPECT_NE(ran.err.find("test 2 of 2: llama Q8_0 tg1, repetition 2 of 2"), std::string::npos) << ran.err;
}

TEST_F(CliBench, WrongValuesAreNamedAndNothingIsPrinted) {
    struct Case {
        Words words;
        int code;
        std::string part;
    };
    for (const auto& [words, code, part] : {Case{{"-p", "x"}, 2, "-p: 'x'"},
                                            {{"-n", "5-2"}, 2, "'5-2'"},
                                            {{"-n", "2000000"}, 2, "1048576"},
                                            {{"-pg", "5"}, 2, "512,128"},
                                            {{"-p", "0", "-n", "0"}, 2, "-p, -n, -pg"},
                                            {{"-np", "0"}, 2, "-np: is 0"},
                                            {{"-t", "0"}, 2, "-t: is 0"},
                                            {{"-b", "1,,2"}, 2, "-b"},
                                            {{"--ctk", "q9"}, 2, "'q9'"},
                                            {{"--ctk", "q8_0"}, 1, "Q8_0"},
                                            {{"-o", "sql"}, 2, "md,csv,json,jsonl"},
                                            {{"-r", "0"}, 2, "repetitions"},
                                            {{"-m", "/no/such/file"}, 1, "/no/such/file"},
                                            {{"--synthetic", "tiny-dense"}, 2, "NAME:TYPE"},
                                            {{"--synthetic", "llama-9:Q4_0"}, 2, "tinyllama-1.1b"},
                                            {{"--synthetic", "tiny-dense:Q9"}, 2, "Q4_K_M"},
                                            {{"-d", "16777216", "-np", "1024"}, 1, "-np"}}) {
        const Ran ran = bench_run(Words{"-m", model_, "--no-probe", "-r", "1"} + words);
        EXPECT_EQ(ran.code, code) << ::testing::PrintToString(words) << ran.err;
        EXPECT_EQ(ran.out, "") << ::testing::PrintToString(words);
        EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    }
}

TEST_F(CliBench, CtrlCEndsItWithWhatWasMeasuredWhole) {
    for (const char* format : {"json", "jsonl"}) {
        const Ran ran = bench_run({"-m", "joey", "-p", "1", "-n", "100000", "-r", "1", "--no-probe", "-o", format},
                                  {.interrupt_after_ms = 50});
        EXPECT_EQ(ran.code, 130) << ran.err;
        EXPECT_EQ(ran.signal, 0);
        const Json rows = Json::parse(ran.out);
        EXPECT_EQ((rows.is_array() ? rows[0] : rows)["n_prompt"], 1);
    }
    const Ran waiting =
        bench_run({"-m", "joey", "-p", "1", "-n", "0", "--delay", "3600", "--progress"}, {.meanwhile = [](pid_t pid) {
                      std::this_thread::sleep_for(std::chrono::milliseconds(300));
                      ::kill(pid, SIGINT);
                  }});
    EXPECT_EQ(waiting.code, 130) << waiting.err;
    EXPECT_EQ(waiting.out, "");
}

}  // namespace
