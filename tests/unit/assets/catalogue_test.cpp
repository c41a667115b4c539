// The catalogue that the program carries is complete and says where everything comes from.
#include "assets/catalogue.h"

#include <gtest/gtest.h>

#include <set>

#include "convert/mixes.h"
#include "convert/shapes.h"
#include "planner/machine.h"
#include "planner/published.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

TEST(AssetsCatalogue, EveryFigureOfEveryMachineHasASourceAndADate) {
    const auto machines = must(planner::read_machines(assets::machines(), "machines.toml"));
    EXPECT_GE(machines.size(), 40u);
    const auto check = [](const planner::Machine& m, const planner::Figure& f) {
        EXPECT_NE(f.source, "") << m.id;
        EXPECT_GE(f.date.size(), 4u) << m.id << ": " << f.source;
    };
    const std::set<std::string> tiers{"apple-base",      "apple-pro",      "apple-max", "apple-ultra", "gpu-consumer",
                                      "gpu-datacentre",  "cpu-x86-server", "cpu-arm",   "cpu-apple",   "board",
                                      "cpu-x86-desktop", "mobile-soc",     "soc"};
    for (const planner::Machine& m : machines) {
        EXPECT_TRUE(tiers.contains(m.tier)) << m.id << ": " << m.tier;
        check(m, m.memory);
        check(m, m.bandwidth);
        for (const auto& [name, figure] : m.rates) { check(m, figure); }
    }
}

TEST(AssetsCatalogue, HasTheMachinesThatPeopleAskFor) {
    const auto machines = must(planner::read_machines(assets::machines(), "machines.toml"));
    for (const char* name :
         {"a100",        "a100-40gb", "h100",     "h200", "rtx-3090", "rtx-4090", "rtx-5090",       "m1",
          "m1-pro",      "m1-max",    "m1-ultra", "m2",   "m2-pro",   "m2-max",   "m2-ultra",       "m3",
          "m3-pro",      "m3-max",    "m3-ultra", "m4",   "m4-pro",   "m4-max",   "raspberry-pi-4", "raspberry-pi-5",
          "ryzen-7950x", "strix-halo"}) {
        EXPECT_NE(planner::find_machine(machines, name), nullptr) << name;
    }
    const auto bandwidth = [&](const char* name) {
        return planner::find_machine(machines, name)->bandwidth.value / 1e9;
    };
    EXPECT_EQ(bandwidth("a100"), 1935);  // the article's
    EXPECT_EQ(bandwidth("m1"), 68.25);
    EXPECT_EQ(bandwidth("m2-pro"), 200);
    EXPECT_EQ(bandwidth("m2-max"), 400);
    EXPECT_EQ(bandwidth("raspberry-pi-4"), 4);
}

TEST(AssetsCatalogue, EveryResultIsOfAKnownMachineModelAndFormat) {
    const auto machines = must(planner::read_machines(assets::machines(), "machines.toml"));
    const auto results = must(planner::read_published(assets::measurements(), "measurements.csv"));
    EXPECT_GE(results.size(), 80u);
    std::set<std::string> models, keys;
    for (const convert::NamedShape& s : convert::named_shapes()) { models.insert(std::string(s.name)); }
    std::set<std::string_view> formats;
    for (const std::string_view name : convert::type_names()) { formats.insert(name); }
    for (const planner::Published& p : results) {
        EXPECT_NE(planner::find_machine(machines, p.machine), nullptr) << p.machine;
        EXPECT_TRUE(models.contains(p.model)) << p.model;
        EXPECT_TRUE(formats.contains(p.format)) << p.format;
        EXPECT_NE(p.source, "") << p.machine;
        EXPECT_GE(p.date.size(), 4u) << p.machine;
        EXPECT_TRUE(keys.insert(fmt::format("{} {} {} {} {}{}", p.machine, p.engine, p.model, p.format, p.is_prompt,
                                            p.n_tokens))
                        .second)
            << p.machine << " " << p.model << " " << p.format << ": twice";
    }
}

}  // namespace
