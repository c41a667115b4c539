#include "planner/efficiency.h"

#include <gtest/gtest.h>

#include <cmath>

namespace {

using namespace wallaby::planner;

// A result of a machine that reaches `share` of its figure and starts an op in `op_seconds`, times `luck`.
Observation observed(const std::string& machine, const std::string& tier, double ideal, double n_ops, double share,
                     double op_seconds, double luck = 1) {
    return {machine, tier, false, ideal, n_ops, (ideal / share + n_ops * op_seconds) * luck};
}

std::vector<const Observation*> pointers(const std::vector<Observation>& all) {
    std::vector<const Observation*> out;
    for (const Observation& o : all) { out.push_back(&o); }
    return out;
}

TEST(PlannerEfficiency, FitFindsWhatTheResultsWereMadeOf) {
    std::vector<Observation> all;
    for (const double ideal : {0.01, 0.02, 0.05, 0.1}) { all.push_back(observed("a", "t", ideal, 500, 0.8, 1e-5)); }
    const Efficiency e = fit(pointers(all));
    EXPECT_NEAR(e.share, 0.8, 1e-9);
    EXPECT_NEAR(e.op_seconds, 1e-5, 1e-12);
}

TEST(PlannerEfficiency, OneOddResultChangesLittle) {
    std::vector<Observation> all;
    for (int i = 1; i <= 10; i++) { all.push_back(observed("a", "t", 0.01 * i, 500, 0.8, 1e-5, i == 5 ? 3 : 1)); }
    const Efficiency e = fit(pointers(all));
    EXPECT_NEAR(e.share, 0.8, 0.01);
    EXPECT_NEAR(e.op_seconds, 1e-5, 2e-6);
}

TEST(PlannerEfficiency, AMachineOfManyResultsCountsForTheirRoot) {
    std::vector<Observation> all;
    for (int i = 0; i < 9; i++) { all.push_back(observed("many", "t", 0.01, 0, 0.9, 0)); }
    for (const char* machine : {"b", "c"}) { all.push_back(observed(machine, "t", 0.01, 0, 0.5, 0)); }
    // Three times an error of 0.8, or twice one of 0.44; then eight times.
    EXPECT_NEAR(fit(pointers(all)).share, 0.9, 0.01);
    for (const char* machine : {"d", "e", "f", "g", "h", "i"}) {
        all.push_back(observed(machine, "t", 0.01, 0, 0.5, 0));
    }
    EXPECT_NEAR(fit(pointers(all)).share, 0.5, 0.01);
}

TEST(PlannerEfficiency, WithoutStarts) {
    std::vector<Observation> all;
    for (const double ideal : {0.01, 0.02, 0.05, 0.1}) { all.push_back(observed("a", "t", ideal, 500, 0.8, 1e-5)); }
    EXPECT_EQ(fit(pointers(all), false).op_seconds, 0);
    EXPECT_LT(fit(pointers(all), false).share, 0.8);
}

TEST(PlannerEfficiency, NoMoreThanTheFigureAndNoTimeBelowNone) {
    std::vector<Observation> all;
    for (const double ideal : {0.01, 0.02, 0.05}) { all.push_back(observed("a", "t", ideal, 500, 1.25, 1e-5)); }
    EXPECT_EQ(fit(pointers(all)).share, 1);
    all.clear();
    for (const double ideal : {0.01, 0.02, 0.05}) { all.push_back(observed("a", "t", ideal, 500, 0.5, -1e-6)); }
    const Efficiency e = fit(pointers(all));
    EXPECT_EQ(e.op_seconds, 0);
    EXPECT_GT(e.share, 0.5);
    EXPECT_EQ(fit({}).share, 1);
    const std::vector<Observation> one{observed("a", "t", 0.01, 500, 0.7, 0)};
    EXPECT_NEAR(fit(pointers(one)).seconds(0.01, 500), one[0].seconds, 1e-9);
}

std::vector<Observation> family() {
    std::vector<Observation> all;
    for (const double ideal : {0.01, 0.03, 0.1}) {
        for (const auto& [machine, luck] : {std::pair{"a1", 0.97}, {"a2", 1.0}, {"a3", 1.03}}) {
            all.push_back(observed(machine, "apple-base", ideal, 500, 0.8, 1e-5, luck));
        }
        all.push_back(observed("p1", "apple-pro", ideal, 500, 0.4, 1e-5));
        all.push_back(observed("x1", "cpu-arm", ideal, 500, 0.2, 0));
    }
    return all;
}

TEST(PlannerLearn, FromTheTierWithoutTheMachineItself) {
    std::vector<Observation> all = family();
    const Learnt before = learn(all, "apple-base", false, "a1");
    EXPECT_EQ(before.n_machines, 2u);
    EXPECT_EQ(before.basis, "apple-base");
    EXPECT_NEAR(before.efficiency.seconds(0.03, 500), (0.03 / 0.8 + 0.005) * 1.015, 0.02 * 0.0425);
    for (Observation& o : all) { o.seconds *= o.machine == "a1" ? 10 : 1; }
    const Learnt after = learn(all, "apple-base", false, "a1");
    EXPECT_EQ(after.efficiency.share, before.efficiency.share);
    EXPECT_EQ(after.efficiency.op_seconds, before.efficiency.op_seconds);
    EXPECT_EQ(after.spread.low, before.spread.low);
    EXPECT_EQ(after.spread.high, before.spread.high);
    EXPECT_NE(learn(all, "apple-base", false, "").efficiency.share, before.efficiency.share);
}

TEST(PlannerLearn, FromTheFamilyWhereTheTierHasTooFewMachines) {
    const std::vector<Observation> all = family();
    const Learnt pro = learn(all, "apple-pro", false, "p1");
    EXPECT_EQ(pro.basis, "apple");
    EXPECT_EQ(pro.n_machines, 3u);
    EXPECT_NEAR(pro.efficiency.share, 0.8, 0.05);
    EXPECT_EQ(learn(all, "gpu-consumer", false, "").n_machines, 0u);
    EXPECT_EQ(learn(all, "apple-base", true, "").n_machines, 0u) << "prompts are another matter";
}

TEST(PlannerLearn, TheIntervalHoldsWhatOthersWereOffBy) {
    std::vector<Observation> all;
    for (int i = 0; i < 40; i++) {
        all.push_back(observed("m" + std::to_string(i), "t", 0.01 + 0.001 * i, 0, 0.5, 0, std::exp(0.01 * (i - 19.5))));
    }
    const Learnt learnt = learn(all, "t", false, "");
    int n_inside = 0;
    for (const Observation& o : all) {
        const double factor = o.seconds / learnt.efficiency.seconds(o.ideal_seconds, o.n_ops);
        n_inside += factor >= learnt.spread.low && factor <= learnt.spread.high ? 1 : 0;
    }
    EXPECT_GE(n_inside, 30);
    EXPECT_LE(n_inside, 36);
    const Learnt few = learn(family(), "apple-base", false, "");
    EXPECT_LT(few.spread.low, 1);
    EXPECT_GT(few.spread.high, 1);
}

}  // namespace
