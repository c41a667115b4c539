// Runs many small pieces of work in child processes, so that a signal, a hang or a lack of memory is a verdict about
// one of them and not the end of the test. One child does as many as it survives.
#pragma once
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <new>
#include <string>
#include <vector>

namespace wallaby::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool under_sanitizer = true;  // whose own memory hides what the work allocates, and whose time is not ours
#else
constexpr bool under_sanitizer = false;
#endif

// Large blocks come from the system and go back to it when they are freed, in this whole program: the allocator would
// otherwise keep some after a few large ones, and a child could use them beyond its limit.
inline const int large_blocks_go_back = ::mallopt(M_MMAP_THRESHOLD, 128 << 10);

enum class Verdict : uint8_t { pending, refused, accepted, over_budget, signal, hang };

struct Verdicts {
    std::vector<Verdict> each;
    double slowest_seconds = 0;
    size_t count(Verdict v) const { return size_t(std::count(each.begin(), each.end(), v)); }
};

struct ChildLimits {
    double seconds = 2;                                  // of each piece of work
    std::function<void(size_t)> prepare = {};            // before piece i, in its process, unlimited
    std::function<uint64_t(size_t)> address_space = {};  // bytes that piece i may then map more than the process has
};

// Bytes of address space that this process has mapped.
inline uint64_t mapped_bytes() {
    unsigned long pages = 0;
    std::FILE* statm = std::fopen("/proc/self/statm", "r");
    if (statm == nullptr) { return 0; }
    if (std::fscanf(statm, "%lu", &pages) != 1) { pages = 0; }
    std::fclose(statm);
    return pages * uint64_t(::sysconf(_SC_PAGESIZE));
}

// Calls work(0) … work(n - 1). Work that throws bad_alloc is over its budget.
inline Verdicts run_in_children(size_t n, const ChildLimits& limits, const std::function<Verdict(size_t)>& work) {
    struct Shared {
        std::atomic<size_t> current;
        std::atomic<double> slowest;
        std::atomic<Verdict> each[1];
    };
    const size_t n_bytes = sizeof(Shared) + n;
    auto* shared =
        static_cast<Shared*>(::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (shared == MAP_FAILED) {
        ADD_FAILURE() << "no shared memory";
        return {};
    }
    const double seconds = limits.seconds * (under_sanitizer ? 10 : 1);
    const auto one = [&](size_t i) {
        shared->current = i;
        const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
        ::setrlimit(RLIMIT_AS, &unlimited);
        if (limits.prepare) { limits.prepare(i); }
        if (!under_sanitizer && limits.address_space) {
            ::malloc_trim(0);  // what was freed and is still mapped would be room beyond the limit
            const rlimit limit{mapped_bytes() + limits.address_space(i), RLIM_INFINITY};
            ::setrlimit(RLIMIT_AS, &limit);
        }
        const itimerval timer{{}, {time_t(seconds), suseconds_t((seconds - double(time_t(seconds))) * 1e6)}};
        ::setitimer(ITIMER_REAL, &timer, nullptr);
        const auto start = std::chrono::steady_clock::now();
        Verdict verdict = Verdict::over_budget;
        try {
            verdict = work(i);
        } catch (const std::bad_alloc&) {}
        const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        const itimerval off{};
        ::setitimer(ITIMER_REAL, &off, nullptr);
        if (took > shared->slowest) { shared->slowest = took; }
        shared->each[i] = verdict;
    };
    for (size_t next = 0; next < n; next = shared->current + 1) {
        shared->current = next;
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGALRM, SIG_DFL);
            try {
                for (size_t i = next; i < n; i++) { one(i); }
            } catch (...) { ::_exit(3); }  // or gtest would catch it, and go on with the tests in the child
            ::_exit(0);
        }
        int status = 0;
        if (child < 0 || ::waitpid(child, &status, 0) != child) {
            ADD_FAILURE() << "no child process";
            break;
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) { break; }
        // A sanitizer ends the process with a code of its own, after its report.
        const bool alarm = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
        shared->each[shared->current] = alarm ? Verdict::hang : Verdict::signal;
    }
    Verdicts verdicts;
    verdicts.slowest_seconds = shared->slowest;
    for (size_t i = 0; i < n; i++) { verdicts.each.push_back(shared->each[i]); }
    ::munmap(shared, n_bytes);
    return verdicts;
}

}  // namespace wallaby::testing
