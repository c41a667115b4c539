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
#include <csignal>
#include <cstdio>
#include <ctime>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "support/sanitized.h"

namespace wallaby::testing {

// Large blocks come from the system and go back to it when they are freed, in this whole program: the allocator would
// otherwise keep some after a few large ones, and a child could use them beyond its limit.
inline const int large_blocks_go_back = ::mallopt(M_MMAP_THRESHOLD, 128 << 10);

enum class Verdict : uint8_t { pending, refused, accepted, over_budget, signal, hang };

struct Verdicts {
    std::vector<Verdict> each;
    double slowest_seconds = 0;  // of processor time
    size_t count(Verdict v) const { return size_t(std::count(each.begin(), each.end(), v)); }
};

struct ChildLimits {
    double seconds = 2;                        // of processor time for each piece; ten times that by the clock
    std::function<void(size_t)> prepare = {};  // before piece i, in its process, unlimited
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

// Processor time counts, so that a busy machine makes nothing a hang; the clock ends what only waits. 0: no timers.
inline void start_timers(double seconds) {
    const auto timer = [](double s) {
        const auto whole = time_t(s);
        return itimerval{{}, {whole, suseconds_t((s - double(whole)) * 1e6)}};
    };
    const itimerval processor = timer(seconds), wall = timer(10 * seconds);
    ::setitimer(ITIMER_PROF, &processor, nullptr);
    ::setitimer(ITIMER_REAL, &wall, nullptr);
}

inline double cpu_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

// Calls work(0) … work(n - 1). Work that throws bad_alloc is over its budget.
inline Verdicts run_in_children(size_t n, const ChildLimits& limits, const std::function<Verdict(size_t)>& work) {
    struct Shared {
        std::atomic<size_t> current;
        std::atomic<double> slowest;
    };
    const size_t n_bytes = sizeof(Shared) + n;  // and a verdict for each piece behind it
    auto* shared =
        static_cast<Shared*>(::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (shared == MAP_FAILED) {
        ADD_FAILURE() << "no shared memory";
        return {};
    }
    auto* each = reinterpret_cast<std::atomic<Verdict>*>(shared + 1);
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
        start_timers(seconds);
        const double start = cpu_seconds();
        Verdict verdict = Verdict::over_budget;
        try {
            verdict = work(i);
        } catch (const std::bad_alloc&) {}
        const double took = cpu_seconds() - start;
        start_timers(0);
        if (took > shared->slowest) { shared->slowest = took; }
        each[i] = verdict;
    };
    for (size_t next = 0; next < n; next = shared->current + 1) {
        shared->current = next;
        const pid_t child = ::fork();
        if (child == 0) {
            for (const int number : {SIGALRM, SIGPROF}) { ::signal(number, SIG_DFL); }
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
        const bool alarm = WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGPROF);
        each[shared->current] = alarm ? Verdict::hang : Verdict::signal;
    }
    Verdicts verdicts;
    verdicts.slowest_seconds = shared->slowest;
    for (size_t i = 0; i < n; i++) { verdicts.each.push_back(each[i]); }
    ::munmap(shared, n_bytes);
    return verdicts;
}

}  // namespace wallaby::testing
