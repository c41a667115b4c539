#include "threads/cgroup.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <sstream>
#include <string_view>
#include <vector>

#include "threads/read_text.h"

namespace wallaby::threads {
namespace {

// A tree of cgroups that says how much CPU time there is: the unified one (version 2), or version 1's for `cpu`.
struct Tree {
    bool is_unified;
    std::string top;    // the cgroup that is seen at `mount`
    std::string mount;  // a folder
};

bool lists(std::string_view words, std::string_view wanted) {
    for (size_t at = 0; at <= words.size();) {
        const size_t end = std::min(words.find(',', at), words.size());
        if (words.substr(at, end - at) == wanted) { return true; }
        at = end + 1;
    }
    return false;
}

// Lines of /proc/self/mountinfo (proc(5)): ID PARENT DEVICE TOP MOUNT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS
std::vector<Tree> trees(const std::string& root) {
    std::vector<Tree> found;
    std::istringstream lines(read_text(root + "/proc/self/mountinfo"));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string skipped, type, source, options;
        Tree tree;
        words >> skipped >> skipped >> skipped >> tree.top >> tree.mount;
        while (words >> skipped && skipped != "-") {}
        words >> type >> source >> options;
        tree.is_unified = type == "cgroup2";
        if (tree.is_unified || (type == "cgroup" && lists(options, "cpu"))) { found.push_back(std::move(tree)); }
    }
    return found;
}

// This process's place in a tree, from lines of /proc/self/cgroup (cgroups(7)): NUMBER:CONTROLLERS:PATH, "0::PATH" for
// the unified tree.
std::string path_in(const Tree& tree, const std::string& root) {
    std::istringstream lines(read_text(root + "/proc/self/cgroup"));
    for (std::string line; std::getline(lines, line);) {
        const size_t first = std::min(line.find(':'), line.size()), second = line.find(':', first + 1);
        if (second == std::string::npos) { continue; }
        const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
        if (tree.is_unified ? line.starts_with("0::") : lists(controllers, "cpu")) { return line.substr(second + 1); }
    }
    return "";
}

// The part of a path below the tree's top, or nothing where the path leads elsewhere: then only the top is seen.
std::string below_top(const Tree& tree, std::string path) {
    constexpr size_t max_path = 4096;  // of the system
    if (path.size() > max_path || (path + "/").find("/../") != std::string::npos) { return ""; }
    const std::string top = tree.top == "/" ? "" : tree.top;
    if (!(path + "/").starts_with(top + "/")) { return ""; }
    path.erase(0, top.size());
    return path;
}

double number(std::string_view text) {  // 0: none, or "max", or negative
    uint64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    const bool is_whole = end == text.data() + text.size() || *end == '\n' || *end == ' ';
    return error == std::errc() && is_whole ? double(n) : 0;
}

// What one cgroup grants, or 0. Microseconds of CPU time in each period of so many.
double quota_of(const Tree& tree, const std::string& folder) {
    double quota = 0, period = 0;
    if (tree.is_unified) {
        const std::string text = read_text(folder + "/cpu.max");
        const size_t space = std::min(text.find(' '), text.size());
        quota = number(text);
        period = number(std::string_view(text).substr(std::min(space + 1, text.size())));
    } else {
        quota = number(read_text(folder + "/cpu.cfs_quota_us"));
        period = number(read_text(folder + "/cpu.cfs_period_us"));
    }
    return period > 0 ? quota / period : 0;
}

}  // namespace

double cgroup_quota(const std::string& root) {
    double least = 0;
    for (const Tree& tree : trees(root)) {
        for (std::string path = below_top(tree, path_in(tree, root));;) {
            const double quota = quota_of(tree, root + tree.mount + path);
            if (quota > 0 && (least == 0 || quota < least)) { least = quota; }
            if (path.empty()) { break; }
            path.erase(std::min(path.rfind('/'), path.size()));
        }
    }
    return least;
}

}  // namespace wallaby::threads
