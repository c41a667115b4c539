#include "threads/cgroup.h"

#include <random>

#include "support/fake_root.h"

namespace {

using wallaby::testing::FakeRoot;
using wallaby::threads::cgroup_quota;

constexpr const char* unified_mount =
    "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* old_mount = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

FakeRoot& unified(FakeRoot& root, const std::string& path) {
    return root.file("/proc/self/mountinfo", unified_mount).file("/proc/self/cgroup", "0::" + path + "\n");
}

TEST(ThreadsCgroup, NothingKnownIsNoLimit) {
    FakeRoot root;
    EXPECT_EQ(cgroup_quota(root.path()), 0);
    unified(root, "/a/b");
    EXPECT_EQ(cgroup_quota(root.path()), 0);
    root.file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    EXPECT_EQ(cgroup_quota(root.path()), 0);
}

TEST(ThreadsCgroup, TheLeastQuotaOnThePathCounts) {
    for (const char* const tightest : {"", "/a", "/a/b", "/a/b/c"}) {
        FakeRoot root;
        unified(root, "/a/b/c");
        for (const char* const folder : {"", "/a", "/a/b", "/a/b/c"}) {
            root.file(std::string("/sys/fs/cgroup") + folder + "/cpu.max",
                      folder == std::string(tightest) ? "150000 100000\n" : "800000 200000\n");
        }
        root.file("/sys/fs/cgroup/other/cpu.max", "10000 100000\n").file("/cpu.max", "10000 100000\n");
        EXPECT_EQ(cgroup_quota(root.path()), 1.5) << tightest;
    }
}

TEST(ThreadsCgroup, Version1BesideAUnifiedTreeWithoutCpu) {
    FakeRoot root;
    root.file("/proc/self/mountinfo", std::string("38 31 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                                                  "35 31 0:35 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n") +
                                          old_mount);
    root.file("/proc/self/cgroup", "5:cpuset:/set\n4:cpu,cpuacct:/a:b/c\n1:name=systemd:/\n0::/x\n");
    for (const char* const folder : {"/sys/fs/cgroup/cpuset", "/sys/fs/cgroup/cpuset/set"}) {  // not about time
        root.file(folder + std::string("/cpu.cfs_quota_us"), "1000\n");
        root.file(folder + std::string("/cpu.cfs_period_us"), "100000\n");
    }
    root.file("/sys/fs/cgroup/cpu,cpuacct/a:b/c/cpu.cfs_quota_us", "-1\n");
    root.file("/sys/fs/cgroup/cpu,cpuacct/a:b/c/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(cgroup_quota(root.path()), 0);
    root.file("/sys/fs/cgroup/cpu,cpuacct/a:b/cpu.cfs_quota_us", "250000\n");
    root.file("/sys/fs/cgroup/cpu,cpuacct/a:b/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(cgroup_quota(root.path()), 2.5);
}

// A container that sees its own cgroup as the top of the tree, and its path as the host has it.
TEST(ThreadsCgroup, WhatIsMountedMayBeginBelowTheRoot) {
    FakeRoot root;
    root.file("/proc/self/mountinfo", "33 31 0:30 /docker/12 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
    root.file("/proc/self/cgroup", "4:cpu:/docker/12/inner\n");
    root.file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000").file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
    EXPECT_EQ(cgroup_quota(root.path()), 4);
    root.file("/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "300000");
    root.file("/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000");
    EXPECT_EQ(cgroup_quota(root.path()), 3);
    root.file("/proc/self/cgroup", "4:cpu:/docker/123\n");  // another one, which is not seen
    root.file("/sys/fs/cgroup/cpu/3/cpu.cfs_quota_us", "1").file("/sys/fs/cgroup/cpu3/cpu.cfs_quota_us", "1");
    EXPECT_EQ(cgroup_quota(root.path()), 4);
}

TEST(ThreadsCgroup, APathNeverLeavesTheTree) {
    FakeRoot root;
    for (const char* const path : {"/../out", "/a/../../../out", "/.."}) {
        unified(root, path);
        root.file("/sys/fs/cgroup/cpu.max", "700000 100000").file("/sys/fs/out/cpu.max", "100000 100000");
        root.file("/sys/fs/cpu.max", "100000 100000").file("/out/cpu.max", "100000 100000");
        root.file("/sys/fs/cgroup/a/cpu.max", "700000 100000");
        EXPECT_EQ(cgroup_quota(root.path()), 7) << path;
    }
}

TEST(ThreadsCgroup, WhatIsNoQuotaIsNoLimit) {
    FakeRoot root;
    unified(root, "/a");
    for (const char* const text :
         {"", "\n", " ", "max", "max 100000", "100000", "100000 ", "100000 0", "0 100000", "-5 100000", "1e5 100000",
          "99999999999999999999999 100000", "100000 99999999999999999999999", "100000\t100000", "a b", "0x10 16"}) {
        root.file("/sys/fs/cgroup/a/cpu.max", text);
        EXPECT_EQ(cgroup_quota(root.path()), 0) << text;
    }
    root.file("/sys/fs/cgroup/a/cpu.max", "50000 100000 10\n");
    EXPECT_EQ(cgroup_quota(root.path()), 0.5);
}

TEST(ThreadsCgroup, SurvivesAnyContent) {
    std::mt19937 random(1);
    const std::string_view letters("0:/.-, \n\0cpu9", 13);
    const auto noise = [&](size_t n) {
        std::string text;
        for (size_t i = 0; i < n; i++) { text += letters[random() % letters.size()]; }
        return text;
    };
    FakeRoot root;
    for (int i = 0; i < 300; i++) {
        root.file("/proc/self/mountinfo", (i % 2 == 0 ? unified_mount : old_mount) + noise(random() % 200));
        root.file("/proc/self/cgroup", (i % 4 < 2 ? "0::/" : "4:cpu:/") + noise(random() % 40));
        root.file("/sys/fs/cgroup/cpu.max", noise(random() % 10));
        EXPECT_GE(cgroup_quota(root.path()), 0);
    }
    root.file("/proc/self/mountinfo", unified_mount).file("/proc/self/cgroup", "0::" + std::string(1 << 21, '/'));
    root.file("/sys/fs/cgroup/cpu.max", "200000 100000");
    EXPECT_EQ(cgroup_quota(root.path()), 2);
}

}  // namespace
