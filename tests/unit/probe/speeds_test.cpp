#include "probe/speeds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "probe/disk.h"
#include "probe/speed_text.h"
#include "support/runner.h"
#include "support/sanitized.h"

namespace {

using namespace wallaby;
using namespace wallaby::probe;
using namespace wallaby::testing;
using quant::Type;

constexpr uint64_t mib = 1 << 20;

SpeedOptions small() {
    SpeedOptions options;
    options.loops = portable_loops();
    options.formats = {Type::q4_0, Type::f16};
    options.kv_types = {{Type::f16, Type::q8_0}};
    options.isa = "portable";
    options.n_rounds = under_sanitizer ? 1 : 3;
    options.stream_bytes = 8 * mib;
    return options;
}

TEST(ProbeSpeeds, HoldWhatWasAskedForAndEveryRowOp) {
    threads::Pool pool(2);
    const auto backend = must(backends::make_cpu(pool, "auto"));
    const planner::Speeds s = must(measure_speeds(pool, *backend, small(), {})).speeds;
    EXPECT_EQ(s.n_threads, 2u);
    EXPECT_EQ(s.isa, "portable");
    EXPECT_GT(s.rates.read_bytes_per_s, 0);
    ASSERT_EQ(s.matmul.size(), 2u);
    for (const auto& [type, curve] : s.matmul) {
        ASSERT_GE(curve.points.size(), 5u);
        EXPECT_EQ(curve.points.front().x, 1);
        EXPECT_EQ(curve.points.back().x, 256);
        double last = 0;
        for (const auto& p : curve.points) {
            EXPECT_GT(p.x, last);
            EXPECT_GT(p.y, 0);
            EXPECT_LT(p.y, 1e-3);
            last = p.x;
        }
        // Many columns are no cheaper than few, by far more than noise can hide.
        EXPECT_GT(curve.points.back().y, 4 * curve.points.front().y);
    }
    ASSERT_EQ(s.attend.size(), 1u);
    const auto& [kv, attend] = *s.attend.begin();
    EXPECT_EQ(kv, std::pair(Type::f16, Type::q8_0));
    EXPECT_GT(attend.seconds_per_byte, 0);
    EXPECT_GT(attend.seconds_per_mac, 0);
    for (const char* name : {"embed", "norm", "rope", "append", "add", "silu", "gelu_tanh", "softcap", "gate", "route",
                             "combine", "select", "conv", "scan"}) {
        ASSERT_TRUE(s.rows.contains(name)) << name;
        EXPECT_GT(s.rows.at(name).alone, 0) << name;
        EXPECT_GT(s.rows.at(name).together, 0) << name;
    }
    EXPECT_GE(s.wait_seconds, 0);
    EXPECT_GT(s.run_seconds, 0);
}

TEST(ProbeSpeeds, StopWhenAsked) {
    threads::Pool pool(2);
    const auto backend = must(backends::make_cpu(pool, "auto"));
    std::stop_source stop;
    stop.request_stop();
    const auto measured = measure_speeds(pool, *backend, small(), stop.get_token());
    ASSERT_FALSE(measured.ok());
    EXPECT_EQ(measured.error().code, ErrorCode::cancelled);
}

planner::Speeds some() {
    planner::Speeds s;
    s.backend = "cpu";
    s.isa = "avx2";
    s.n_threads = 3;
    s.rates = {1.5e9, 2, 0, 4};
    s.matmul[Type::q4_k].points = {{1, 1e-10}, {256, 3e-9}};
    s.matmul[Type::bf16].points = {{1, 2e-10}};
    s.attend[{Type::f16, Type::q8_0}] = {1e-10, 1e-11};
    s.rows["norm"] = {1e-10, 1e-11};
    s.wait_seconds = 3e-6;
    s.run_seconds = 1e-5;
    return s;
}

TEST(ProbeSpeedText, ComesBackAsItWas) {
    const std::vector<KeptSpeeds> kept{{"here \"and\" now", some(), {{1795000000, {1, 2, 0, 4.5}}, {1795000060, {}}}},
                                       {"there", planner::Speeds{some()}}};
    EXPECT_EQ(read_speeds(write_speeds(kept)), kept);
    EXPECT_EQ(read_speeds(write_speeds({})), std::vector<KeptSpeeds>{});
}

TEST(ProbeSpeedText, WhateverElseHoldsNothing) {
    const std::string good = write_speeds({{"key", some()}});
    for (size_t n = 0; n + 2 < good.size(); n++) { EXPECT_TRUE(read_speeds(good.substr(0, n)).empty()) << n; }
    const auto broken = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        const size_t at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        text.replace(at, from.size(), to);
        return read_speeds(text).empty();
    };
    EXPECT_TRUE(broken("\"version\": 3", "\"version\": 999"));
    EXPECT_TRUE(broken("Q4_K", "Q4_X"));
    EXPECT_TRUE(broken("3e-06", "-3e-06"));
    EXPECT_TRUE(broken("3e-06", "1e999"));
    EXPECT_TRUE(broken("3e-06", "\"soon\""));
    EXPECT_TRUE(broken("\"rows\"", "\"cols\""));
    EXPECT_TRUE(read_speeds(std::string(100000, '[')).empty());
}

TEST(ProbeDisk, ReadsWhatItWroteAndLeavesNothing) {
    const std::string folder = ::testing::TempDir() + "wallaby_disk_" + std::to_string(::getpid());
    std::filesystem::create_directory(folder);
    EXPECT_GT(must(measure_disk(folder, 3 * mib, {})), 0);
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    std::stop_source stop;
    stop.request_stop();
    const auto stopped = measure_disk(folder, 3 * mib, stop.get_token());
    ASSERT_FALSE(stopped.ok());
    EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    std::filesystem::remove(folder);
    const auto missing = measure_disk(folder, mib, {});
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.error().message().find(folder), std::string::npos);
}

}  // namespace
