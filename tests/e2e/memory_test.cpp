// The memory contract: what a process holds at most while it runs at full context, beside what was planned.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/process.h"
#include "support/sanitized.h"

namespace {

using namespace wallaby::testing;
using Json = nlohmann::ordered_json;

void expect_within(double measured, double planned, const std::string& what) {
    constexpr double mib = 1 << 20;
    EXPECT_GT(planned, 0) << what;
    if (under_sanitizer) { return; }
    EXPECT_LE(std::abs(measured - planned), 0.02 * planned + 16 * mib)
        << what << ": " << measured / mib << " MiB, planned " << planned / mib;
}

TEST(CliMemory, PeakIsAsPlannedInEveryCombination) {
    // Three models by two contexts, two batches and four pairs of KV types: each loaded anew, and filled to its
    // context. The small one alone where 16 prompts of 1020 tokens through GPT-2 take more than five minutes.
    const char* isa = std::getenv("WALLABY_ISA");
    const bool is_slow = under_sanitizer || (isa != nullptr && std::string_view(isa) == "portable");
    const std::string models = is_slow ? "tiny-moe:Q8_0" : "gpt2:Q4_0,gpt2:F16,tiny-moe:Q8_0";
    size_t n_rows = 0;
    for (const char* depth : {"60", "1020"}) {
        if (under_sanitizer && n_rows != 0) { break; }
        const Ran ran =
            run_program({WALLABY_BINARY, "bench", "--synthetic", models,       "-p",    "0",        "-n",    "4",
                         "-d",           depth,   "-b",          "32,256",     "--ctk", "f16,q8_0", "--ctv", "f16,q8_0",
                         "-r",           "1",     "--no-warmup", "--no-probe", "-o",    "json"});
        ASSERT_EQ(ran.code, 0) << ran.err;
        for (const Json& row : Json::parse(ran.out)) {
            expect_within(row["peak_rss_bytes"], row["planned_rss_bytes"], row.dump());
            n_rows++;
        }
    }
    EXPECT_EQ(n_rows, under_sanitizer ? 8u : is_slow ? 16u : 48u);
}

TEST(CliMemory, ARunWithATokenizerToo) {
    for (const char* n_ctx : {"64", "1024"}) {
        const Ran ran = run_program({WALLABY_BINARY, "run", "-m", "joey", "-c", n_ctx, "-n", "2000", "--ignore-eos",
                                     "--timings", "Once upon a time"});
        ASSERT_EQ(ran.code, 0) << ran.err;
        const size_t at = ran.err.find("memory: ");
        ASSERT_NE(at, std::string::npos) << ran.err;
        double peak = 0, planned = 0;
        ASSERT_EQ(std::sscanf(ran.err.c_str() + at, "memory: peak_rss_mib %lf, planned_mib %lf", &peak, &planned), 2);
        expect_within(peak * (1 << 20), planned * (1 << 20), ran.err.substr(at));
    }
}

TEST(CliMemory, WhatDoesNotFitIsRefusedWithWhatWould) {
    const Ran ran = run_program({WALLABY_BINARY, "run", "-m", "joey", "-c", "1000000000", "Hello"});
    EXPECT_EQ(ran.code, 1);
    for (const char* words : {"joey (built in): needs ", " are available. It fits with -c ", " or -c ", " --ctk q4_0",
                              "--mmap", "--force"}) {
        EXPECT_NE(ran.err.find(words), std::string::npos) << words << " in " << ran.err;
    }
    // What it names does fit.
    const size_t at = ran.err.find("It fits with -c ") + std::string("It fits with -c ").size();
    const std::string n_ctx = std::to_string(std::stoul(ran.err.substr(at)) / 2);  // others use memory meanwhile
    const Ran fits = run_program({WALLABY_BINARY, "run", "-m", "joey", "-c", n_ctx, "-n", "1", "Hello"});
    EXPECT_EQ(fits.code, 0) << fits.err;
    const Ran forced =
        run_program({WALLABY_BINARY, "run", "-m", "joey", "-c", "1000000000", "--force", "-n", "1", "Hello"});
    EXPECT_EQ(forced.err.find("are available"), std::string::npos) << "more than the machine has is up to the system";
}

}  // namespace
