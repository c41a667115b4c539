#include "probe/probe.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::probe;
using namespace wallaby::testing;

constexpr uint64_t mib = 1 << 20;

TEST(ProbeBuffer, EightTimesTheCacheWithinAnEighthOfTheMemory) {
    EXPECT_EQ(read_buffer_bytes(32 * mib, 24000 * mib), 256 * mib);
    EXPECT_EQ(read_buffer_bytes(32 * mib, 1024 * mib), 128 * mib);
    EXPECT_EQ(read_buffer_bytes(std::nullopt, 24000 * mib), 512 * mib);
    EXPECT_EQ(read_buffer_bytes(std::nullopt, 800 * mib), 100 * mib);
    EXPECT_EQ(read_buffer_bytes(4 * mib, std::nullopt), 32 * mib);
}

TEST(ProbeMeasure, PortableLoopsMeasureSomething) {
    threads::Pool pool(2);
    const Measured m = must(
        measure(pool, {.loops = portable_loops(), .seconds = 0.002, .n_repetitions = 3, .buffer_bytes = 8 * mib}, {}));
    for (const auto member :
         {&planner::Rates::read_bytes_per_s, &planner::Rates::int8_ops_per_s, &planner::Rates::f32_ops_per_s}) {
        EXPECT_GT(m.median.*member, 0);
        EXPECT_GE(m.best.*member, m.median.*member);
    }
    EXPECT_EQ(m.best.bf16_ops_per_s, 0);
}

// What the loops were asked for, counted by loops that do nothing but wait: the rate is known before.
std::atomic<uint64_t> n_bytes_read, n_iterations_done, n_ends_of_buffer;

uint64_t counting_read(const uint8_t* bytes, uint64_t n_bytes) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes) % 64, 0u);
    EXPECT_EQ(n_bytes % 64, 0u);
    n_bytes_read += n_bytes;
    n_ends_of_buffer += bytes[0] + bytes[n_bytes - 1];  // is memory
    return 0;
}

uint64_t sleeping_loop(uint64_t n_iterations) {
    n_iterations_done += n_iterations;
    std::this_thread::sleep_for(std::chrono::microseconds(10 * n_iterations));
    return 0;
}

TEST(ProbeMeasure, RatesAreAmountsOverTime) {
    threads::Pool pool(3);
    n_bytes_read = n_iterations_done = 0;
    Options options{.loops = {}, .seconds = 0.01, .n_repetitions = 2, .buffer_bytes = 12 * mib};
    options.loops.read = counting_read;
    options.loops.bf16 = sleeping_loop;
    options.loops.bf16_ops_per_iteration = 100;
    const Measured m = must(measure(pool, options, {}));
    EXPECT_EQ(n_bytes_read % (12 * mib), 0u);
    EXPECT_GE(n_bytes_read, 3 * 12 * mib);
    // Three threads that each do at most one iteration in 10 microseconds.
    EXPECT_GT(m.best.bf16_ops_per_s, 0);
    EXPECT_LE(m.best.bf16_ops_per_s, 3 * 100 / 10e-6);
    EXPECT_GT(n_iterations_done, 0u);
    EXPECT_EQ(m.best.int8_ops_per_s, 0);
    EXPECT_EQ(m.best.f32_ops_per_s, 0);
}

TEST(ProbeMeasure, AStopRequestEndsIt) {
    threads::Pool pool(2);
    std::stop_source stop;
    stop.request_stop();
    const auto m = measure(pool, {.loops = portable_loops(), .buffer_bytes = 8 * mib}, stop.get_token());
    ASSERT_FALSE(m.ok());
    EXPECT_EQ(m.error().code, ErrorCode::cancelled);
}

}  // namespace
