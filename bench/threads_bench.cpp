// What a job of the thread pool costs when its chunks do nothing, for 1 to N threads:
//   threads_bench [max_threads=the default] [n_chunks=2] [repeats=15]
// Three kinds: one job after another, so that workers are watching for the next; the same with a chunk for every thread
// that is over when all threads have come; and one job after a rest of 1 ms, by when workers sleep. Thread counts take
// turns in each repeat. Prints the median and the range over repeats, in nanoseconds from a job's call to its return.
// Run it on an idle machine.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/system.h"
#include "threads/cpus.h"
#include "threads/pool.h"

namespace {

using namespace wallaby;

struct Series {
    std::vector<double> values;
    std::string row() {
        std::sort(values.begin(), values.end());
        return fmt::format("{:.0f} | {:.0f} – {:.0f}", values[values.size() / 2], values.front(), values.back());
    }
};

template <class Work>
double nanoseconds_of_job(threads::Pool& pool, uint64_t n_chunks, unsigned n_jobs, const Work& work) {
    const double start = base::monotonic_seconds();
    for (unsigned i = 0; i < n_jobs; i++) {
        if (!pool.run(n_chunks, {}, work).ok()) { std::exit(1); }
    }
    return (base::monotonic_seconds() - start) / n_jobs * 1e9;
}

double nanoseconds_of_empty(threads::Pool& pool, uint64_t n_chunks, unsigned n_jobs) {
    return nanoseconds_of_job(pool, n_chunks, n_jobs, [](uint64_t, unsigned) {});
}

double nanoseconds_of_meeting(threads::Pool& pool, unsigned n_jobs) {
    std::atomic<uint64_t> n_come = 0;  // of all jobs
    return nanoseconds_of_job(pool, pool.size(), n_jobs, [&](uint64_t, unsigned) {
        const uint64_t all = n_come++ / pool.size() * pool.size() + pool.size();
        for (int looks = 1; n_come < all; looks++) {
            if (looks % 1024 == 0) { std::this_thread::yield(); }
        }
    });
}

double nanoseconds_after_rest(threads::Pool& pool, uint64_t n_chunks) {
    constexpr unsigned n_jobs = 20;
    double sum = 0;
    for (unsigned i = 0; i < n_jobs; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        sum += nanoseconds_of_empty(pool, n_chunks, 1);
    }
    return sum / n_jobs;
}

void measure(int argc, char** argv) {
    const auto number = [&](int i, int otherwise) { return argc > i ? std::max(1, std::atoi(argv[i])) : otherwise; };
    const auto max_threads = unsigned(number(1, int(threads::available_cpus())));
    const auto n_chunks = uint64_t(number(2, 2));
    const int n_repeats = number(3, 15);
    std::vector<std::unique_ptr<threads::Pool>> pools;
    for (unsigned n = 1; n <= max_threads; n++) { pools.push_back(std::make_unique<threads::Pool>(n)); }
    std::vector<Series> empty(max_threads), meeting(max_threads), rested(max_threads);
    for (int r = 0; r < n_repeats; r++) {
        for (unsigned i = 0; i < max_threads; i++) {
            nanoseconds_of_empty(*pools[i], n_chunks, 1000);  // wakes the workers
            empty[i].values.push_back(nanoseconds_of_empty(*pools[i], n_chunks, 20000));
            meeting[i].values.push_back(nanoseconds_of_meeting(*pools[i], 2000));
            rested[i].values.push_back(nanoseconds_after_rest(*pools[i], n_chunks));
        }
    }
    std::printf("ns a job, %d repeats; empty jobs have %d chunks\n\n", n_repeats, int(n_chunks));
    std::puts(
        "| threads | empty | range | all come | range | empty, after 1 ms | range |\n|--:|--:|---|--:|---|--:|---|");
    for (unsigned i = 0; i < max_threads; i++) {
        std::printf("| %u | %s | %s | %s |\n", i + 1, empty[i].row().c_str(), meeting[i].row().c_str(),
                    rested[i].row().c_str());
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        measure(argc, argv);
        return 0;
    } catch (...) {
        std::fputs("threads_bench: out of memory\n", stderr);
        return 1;
    }
}
