#include "planner/cause.h"

#include <gtest/gtest.h>

namespace {

using namespace wallaby;
using namespace wallaby::planner;

// Ten seconds of two threads on two cores in which nothing went wrong.
Evidence quiet() {
    Evidence e;
    e.used.seconds = 10;
    e.used.own_cpu = 19.5;
    e.used.all_cpu = 19.9;
    e.used.stolen_cpu = 0.1;
    e.used.throttled = 0;
    e.used.major_faults = 3;
    e.used.swapped_in = 0;
    e.n_threads = e.n_cores = 2;
    e.before = e.after = Rates{20e9, 400e9, 0, 100e9};
    return e;
}

TEST(PlannerCause, NothingSeenNothingSaid) {
    EXPECT_FALSE(likely_cause(quiet()));
    EXPECT_FALSE(likely_cause(Evidence{}));
    Evidence e;
    e.n_threads = e.n_cores = 4;
    e.used.seconds = 1;
    EXPECT_FALSE(likely_cause(e)) << "a system that tells nothing";
}

TEST(PlannerCause, EachByWhatShowsIt) {
    const auto cause = [](auto change) {
        Evidence e = quiet();
        change(e);
        return likely_cause(e).value_or("");
    };
    EXPECT_EQ(cause([](Evidence& e) { e.used.swapped_in = 100000; }),
              "swapping: 41 MB/s were read back from swap; use a smaller model or context");
    EXPECT_EQ(cause([](Evidence& e) { e.used.major_faults = 250000; }),
              "a cold file: 102 MB/s of the weights came from the disk; the next run finds them in memory");
    EXPECT_EQ(cause([](Evidence& e) { e.used.throttled = 4; }),
              "throttled: the cgroup's CPU quota made threads wait for 4.0 of 10.0 s");
    EXPECT_EQ(cause([](Evidence& e) { e.n_threads = 8; }), "oversubscribed: 8 threads on 2 cores; use -t 2");
    EXPECT_EQ(cause([](Evidence& e) { e.quota = 1.2; }), "oversubscribed: 2 threads on 1.2 cores; use -t 1");
    EXPECT_EQ(cause([](Evidence& e) { e.used.stolen_cpu = 5; }),
              "noise: the host gave 25 % of the CPU time to other guests");
    EXPECT_EQ(cause([](Evidence& e) { e.used.own_cpu = 12; }),
              "other processes took 7.9 s of CPU time meanwhile, this one 12.0 s");
    EXPECT_EQ(cause([](Evidence& e) { e.n_cores = 4; }), "fewer threads than cores: 2 of 4; use -t 4");
    EXPECT_EQ(cause([](Evidence& e) { e.after->read_bytes_per_s = 10e9; }),
              "noise: the memory's bandwidth was 20 GB/s before and 10 after");
    EXPECT_EQ(cause([](Evidence& e) { e.before->int8_ops_per_s = 300e9; }),
              "noise: the int8 rate was 300 GOP/s before and 400 after");
}

}  // namespace
