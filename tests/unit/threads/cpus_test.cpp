#include "threads/cpus.h"

#include <numeric>
#include <random>

#include "support/fake_root.h"

namespace {

using namespace wallaby::threads;
using wallaby::testing::FakeRoot;
using Cpus = std::vector<unsigned>;

std::string siblings_of(unsigned cpu) {
    return "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list";
}

// A machine whose cores have two CPUs each, n_cores apart.
void build_machine(FakeRoot& root, unsigned n_cores) {
    root.file("/sys/devices/system/cpu/online", "0-" + std::to_string(2 * n_cores - 1) + "\n");
    for (unsigned cpu = 0; cpu < 2 * n_cores; cpu++) {
        const unsigned first = cpu % n_cores;
        root.file(siblings_of(cpu), std::to_string(first) + "," + std::to_string(first + n_cores) + "\n");
    }
}

void grant(FakeRoot& root, const std::string& quota) {
    root.file("/proc/self/mountinfo", "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    root.file("/proc/self/cgroup", "0::/\n").file("/sys/fs/cgroup/cpu.max", quota);
}

Cpus all_of(unsigned n) {
    Cpus cpus(n);
    std::iota(cpus.begin(), cpus.end(), 0u);
    return cpus;
}

TEST(ThreadsCpus, ListsAreReadAsTheKernelWritesThem) {
    EXPECT_EQ(parse_cpu_list("0"), Cpus{0});
    EXPECT_EQ(parse_cpu_list("0-3\n"), (Cpus{0, 1, 2, 3}));
    EXPECT_EQ(parse_cpu_list("1,3-4,65535\n"), (Cpus{1, 3, 4, 65535}));
    EXPECT_EQ(parse_cpu_list("5-5"), Cpus{5});
    for (const char* const text : {"",     "\n",    ",",     "-",       "0,",    "0-",           "-1",
                                   "0,,1", "1-0",   "0-1-2", "a",       "0 1",   "0\n\n",        "+1",
                                   "2,1",  "0-2,2", "1,1",   "0-65536", "65536", "0-4294967295", "99999999999999999999",
                                   "0-3:1"}) {
        EXPECT_EQ(parse_cpu_list(text), std::nullopt) << text;
    }
    EXPECT_EQ(parse_cpu_list(std::string_view("0\0", 2)), std::nullopt);
}

TEST(ThreadsCpus, SiblingsAreOneCore) {
    FakeRoot root;
    build_machine(root, 4);
    EXPECT_EQ(physical_cores(all_of(8), root.path()), (std::vector<Cpus>{{0, 4}, {1, 5}, {2, 6}, {3, 7}}));
    EXPECT_EQ(physical_cores({0, 4}, root.path()), (std::vector<Cpus>{{0, 4}}));
    EXPECT_EQ(physical_cores({1, 4, 5}, root.path()), (std::vector<Cpus>{{1, 5}, {4}}));
}

TEST(ThreadsCpus, ATopologyThatMakesNoSenseLeavesEachCpuACore) {
    FakeRoot root;
    EXPECT_EQ(physical_cores(all_of(3), root.path()).size(), 3u);
    root.file(siblings_of(0), "0-").file(siblings_of(1), "").file(siblings_of(2), "x");
    EXPECT_EQ(physical_cores(all_of(3), root.path()).size(), 3u);
    root.file(siblings_of(0), "1-2\n");  // not of itself
    EXPECT_EQ(physical_cores(all_of(3), root.path()).size(), 3u);
    root.file(siblings_of(0), "0-65535\n");  // more than are allowed
    EXPECT_EQ(physical_cores(all_of(3), root.path()), (std::vector<Cpus>{{0, 1, 2}}));
    root.file(siblings_of(0), "0-1\n").file(siblings_of(1), "1-2\n").file(siblings_of(2), "1-2\n");  // they overlap
    EXPECT_EQ(physical_cores(all_of(3), root.path()), (std::vector<Cpus>{{0, 1}, {2}}));
}

TEST(ThreadsCpus, NothingIsPinnedWhereTheMaskIsNarrowed) {
    FakeRoot root;
    EXPECT_TRUE(cores_to_pin(all_of(8), root.path()).empty());  // what is online is not known
    build_machine(root, 4);
    EXPECT_EQ(cores_to_pin(all_of(8), root.path()).size(), 4u);
    EXPECT_TRUE(cores_to_pin(all_of(7), root.path()).empty());
    EXPECT_TRUE(cores_to_pin({0, 1, 2, 3}, root.path()).empty());
}

TEST(ThreadsCpus, TheCountIsExplained) {
    FakeRoot root;
    build_machine(root, 4);
    CpuCount n = count_cpus(all_of(8), root.path());
    EXPECT_EQ(n.logical, 8u);
    EXPECT_EQ(n.affinity, 8u);
    EXPECT_EQ(n.physical, 4u);
    EXPECT_EQ(n.quota, 0);
    EXPECT_EQ(n.threads, 4u);
    EXPECT_EQ(n.reason, "8 CPUs share 4 physical cores");

    n = count_cpus({1, 5}, root.path());
    EXPECT_EQ(n.logical, 8u);
    EXPECT_EQ(n.affinity, 2u);
    EXPECT_EQ(n.threads, 1u);
    EXPECT_EQ(n.reason, "this process may run on 2 of 8 CPUs: one physical core");

    grant(root, "250000 100000");
    n = count_cpus(all_of(8), root.path());
    EXPECT_EQ(n.quota, 2.5);
    EXPECT_EQ(n.threads, 3u);
    EXPECT_EQ(n.reason, "a cgroup grants the time of 2.50 CPUs");
    EXPECT_EQ(count_cpus({1, 5}, root.path()).threads, 1u);

    grant(root, "390000 100000");  // all cores can use it
    n = count_cpus(all_of(8), root.path());
    EXPECT_EQ(n.threads, 4u);
    EXPECT_EQ(n.reason, "8 CPUs share 4 physical cores");
}

TEST(ThreadsCpus, QuotasOfAnySizeLeaveAtLeastOneThread) {
    FakeRoot root;
    for (const auto& [quota, threads] :
         {std::pair("1 1000000", 1u), {"18446744073709551615 1", 2u}, {"0 100000", 2u}}) {
        grant(root, quota);
        const CpuCount n = count_cpus(all_of(2), root.path());
        EXPECT_EQ(n.threads, threads) << quota;
        EXPECT_EQ(n.logical, 2u);  // what is online is not known: what is allowed, then
    }
    EXPECT_EQ(count_cpus(all_of(2), root.path()).reason, "2 physical cores");
    EXPECT_EQ(count_cpus({}, root.path()).threads, 1u);
}

TEST(ThreadsCpus, SurvivesAnyContent) {
    std::mt19937 random(1);
    const std::string_view letters("0123456789-,\n", 13);
    FakeRoot root;
    for (int i = 0; i < 300; i++) {
        std::string text;
        for (size_t n = random() % 20; n > 0; n--) { text += letters[random() % letters.size()]; }
        root.file("/sys/devices/system/cpu/online", text).file(siblings_of(i % 4), text);
        const CpuCount n = count_cpus(all_of(4), root.path());
        ASSERT_GE(n.physical, 1u) << text;
        ASSERT_LE(n.physical, 4u) << text;
        ASSERT_EQ(n.threads, n.physical) << text;
    }
}

TEST(ThreadsCpus, ThisMachineIsPlausible) {
    const CpuCount n = count_cpus();
    EXPECT_EQ(n.affinity, allowed_cpus().size());
    EXPECT_LE(n.affinity, n.logical);
    EXPECT_LE(n.physical, n.affinity);
    EXPECT_GE(n.threads, 1u);
    EXPECT_LE(n.threads, n.physical);
    EXPECT_FALSE(n.reason.empty());
    EXPECT_EQ(n.threads, available_cpus());
}

}  // namespace
