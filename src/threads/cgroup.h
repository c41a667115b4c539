// What cgroups, version 1 and 2, grant this process.
#pragma once
#include <string>

namespace wallaby::threads {

// CPUs' worth of time: the least quota of this process's cgroup and of those around it, as far as they are mounted
// here. 0: no limit. `root` is put before every path that is read.
double cgroup_quota(const std::string& root = "");

}  // namespace wallaby::threads
