#include "planner/machine.h"

#include <gtest/gtest.h>

#include "planner/footprint.h"
#include "planner/published.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::planner;
using namespace wallaby::testing;

const std::string good = R"([sources]
sheet = { title = "a data sheet", date = "2024-05" }
[[machine]]
id = "one"
name = "Machine one"
tier = "cpu-arm"
aliases = ["uno", "ein"]
memory = { gb = 16, source = "sheet" }
bandwidth = { gb_per_s = 51.2, source = "sheet" }
rates = [ { f32 = 0.5, int8 = 2, source = "sheet" }, { bf16 = 1 } ]
[[machine]]
id = "two"
tier = "apple-max"
memory = { gb = 1.5 }
bandwidth = { gb_per_s = 400 }
)";

TEST(PlannerMachine, FiguresHaveUnitsAndSources) {
    const auto machines = must(read_machines(good, "m.toml"));
    ASSERT_EQ(machines.size(), 2u);
    const Machine& m = machines[0];
    EXPECT_EQ(m.name, "Machine one");
    EXPECT_EQ(m.memory.value, 16e9);
    EXPECT_EQ(m.bandwidth.value, 51.2e9);
    EXPECT_EQ(m.bandwidth.source, "a data sheet");
    EXPECT_EQ(m.bandwidth.date, "2024-05");
    EXPECT_EQ(m.rates.at("int8").value, 2e12);
    EXPECT_EQ(m.rates.at("bf16").source, "");
    EXPECT_EQ(m.prompt_ops_per_s(), 2e12);
    EXPECT_EQ(machines[1].name, "two");
    EXPECT_EQ(machines[1].prompt_ops_per_s(), 0);
    EXPECT_EQ(find_machine(machines, "ein"), &machines[0]);
    EXPECT_EQ(find_machine(machines, "two"), &machines[1]);
    EXPECT_EQ(find_machine(machines, "Two"), nullptr);
}

TEST(PlannerMachine, TheRateOfPromptsIsTheKindsOwn) {
    const auto rate = [](const std::string& tier) {
        Machine m;
        m.tier = tier;
        m.rates = {{"f32", {1, "", ""}}, {"f16", {2, "", ""}}, {"int8", {4, "", ""}}};
        return m.prompt_ops_per_s();
    };
    EXPECT_EQ(rate("cpu-x86-server"), 4);
    EXPECT_EQ(rate("board"), 4);
    EXPECT_EQ(rate("gpu-consumer"), 2);
    EXPECT_EQ(rate("apple-ultra"), 1);
}

TEST(PlannerMachine, ErrorsNameMachineAndKey) {
    const auto broken = [](const std::string& from, const std::string& to) {
        std::string text = good;
        const size_t at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        text.replace(at, from.size(), to);
        const auto read = read_machines(text, "m.toml");
        return read.ok() ? "" : read.error().message();
    };
    EXPECT_NE(broken("gb_per_s = 51.2", "gb_per_s = -1").find("machine 'one', key 'bandwidth.gb_per_s'"),
              std::string::npos);
    EXPECT_NE(broken("gb_per_s = 51.2", "gb_per_s = nan").find("'bandwidth.gb_per_s'"), std::string::npos);
    EXPECT_NE(broken("gb_per_s = 51.2", "gb_per_s = \"fast\"").find("'bandwidth.gb_per_s'"), std::string::npos);
    EXPECT_NE(broken("tier = \"cpu-arm\"", "").find("key 'tier'"), std::string::npos);
    EXPECT_NE(broken("tier = \"cpu-arm\"", "tier = 7").find("key 'tier'"), std::string::npos);
    EXPECT_NE(broken("memory = { gb = 1.5 }", "").find("machine 'two', key 'memory'"), std::string::npos);
    EXPECT_NE(broken("gb = 16, source = \"sheet\"", "gb = 16, source = \"web\"").find("'web', which is not listed"),
              std::string::npos);
    EXPECT_NE(broken("int8 = 2", "int9 = 2").find("'rates.int9'"), std::string::npos);
    EXPECT_NE(broken("rates = [", "rates = 5 #").find("key 'rates'"), std::string::npos);
    EXPECT_NE(broken("aliases = [\"uno\"", "aliases = [5").find("key 'aliases'"), std::string::npos);
    EXPECT_NE(broken("id = \"two\"", "id = \"uno\"").find("names two machines"), std::string::npos);
    EXPECT_NE(broken("[sources]", "[sources").find("line 1"), std::string::npos);
    for (const std::string& text :
         {std::string(), std::string("machine = 3"), std::string("[[machine]]"), std::string(1000, '['),
          std::string("[="), std::string("[[ ="), std::string("[ {"), std::string("a.=1"), std::string("a = {=")}) {
        EXPECT_FALSE(read_machines(text, "m.toml").ok()) << text.substr(0, 20);
    }
    for (size_t n = 0; n < good.size(); n++) { (void)read_machines(good.substr(0, n), "m.toml").ok(); }
}

const std::string heading = "machine,engine,model,format,test,tokens_per_s,source,date\n";

TEST(PlannerPublished, LinesAreResults) {
    const auto all = must(read_published(heading + "m1,llama.cpp,llama-2-7b,Q4_0,tg128,14.15,a talk,2023-11\n"
                                                   "m1,llama.cpp,llama-2-7b,F16,pp512,117.96,,\n",
                                         "r.csv"));
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].machine, "m1");
    EXPECT_FALSE(all[0].is_prompt);
    EXPECT_EQ(all[0].n_tokens, 128u);
    EXPECT_EQ(all[0].tokens_per_s, 14.15);
    EXPECT_EQ(all[0].source, "a talk");
    EXPECT_TRUE(all[1].is_prompt);
    EXPECT_EQ(all[1].n_tokens, 512u);
}

TEST(PlannerPublished, ErrorsNameTheLine) {
    for (const std::string line : {"m1,llama.cpp,llama-2-7b,Q4_0,tg128,14.15,a talk", "a,b,c,d,tg128,1,e,f,g",
                                   "a,b,c,d,xx1,1,e,f", "a,b,c,d,tg,1,e,f", "a,b,c,d,tg0,1,e,f", "a,b,c,d,tg1x,1,e,f",
                                   "a,b,c,d,tg1,0,e,f", "a,b,c,d,tg1,nan,e,f", "a,b,c,d,tg1,,e,f", ""}) {
        const auto read = read_published(heading + "m1,e,m,Q4_0,tg1,1,s,d\n" + line + "\n", "r.csv");
        ASSERT_FALSE(read.ok()) << line;
        EXPECT_NE(read.error().message().find("line 3"), std::string::npos) << read.error().message();
    }
    EXPECT_FALSE(read_published("machine,engine\n", "r.csv").ok());
}

TEST(PlannerFootprint, LargestByHalving) {
    for (const uint32_t limit : {0u, 1u, 2u, 77u, 999u, 1000u}) {
        int n_asked = 0;
        const auto fits = [&](uint32_t n) {
            EXPECT_GE(n, 1u);
            EXPECT_LE(n, 1000u);
            n_asked++;
            return n <= limit;
        };
        EXPECT_EQ(largest(1000, fits), limit);
        EXPECT_LE(n_asked, 11);
    }
    EXPECT_EQ(largest(~0u, [](uint32_t) { return true; }), ~0u);
}

}  // namespace
