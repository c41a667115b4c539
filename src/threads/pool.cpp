#include "threads/pool.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include "base/float_environment.h"
#include "base/system.h"

namespace wallaby::threads {
namespace {

// The worker number of the thread inside work, or -1: a nested job runs where it is asked for.
thread_local int current_worker = -1;

// Tells the processor that this thread is waiting in a loop.
void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// CPUs' worth of time that a cgroup (version 2) grants, or 0 for no limit.
double cgroup_quota() {
    std::ifstream in("/sys/fs/cgroup/cpu.max");
    std::string quota;
    double period = 0;
    if (!(in >> quota >> period) || quota == "max" || period <= 0) { return 0; }
    return std::strtod(quota.c_str(), nullptr) / period;
}

// Looks again and again whether something has happened, for about as long as it takes to send a thread to sleep and
// wake it: the jobs of one step follow each other within that time. Longer would take the processor from others.
template <class Condition>
bool watch_for(const Condition& has_happened) {
    constexpr double watched_seconds = 20e-6;
    for (const double end = base::monotonic_seconds() + watched_seconds;;) {
        for (int i = 0; i < 32; i++) {
            if (has_happened()) { return true; }
            relax();
        }
        if (base::monotonic_seconds() > end) { return false; }
    }
}

}  // namespace

unsigned available_cpus() {
    unsigned n = std::max(1u, std::thread::hardware_concurrency());
    cpu_set_t mask;
    if (::sched_getaffinity(0, sizeof(mask), &mask) == 0) { n = std::max(1, CPU_COUNT(&mask)); }
    if (const double quota = cgroup_quota(); quota > 0) { n = std::min(n, std::max(1u, unsigned(std::ceil(quota)))); }
    return n;
}

Pool::Pool(unsigned n_threads) {
    if (n_threads == 0) { n_threads = available_cpus(); }
    workers_.reserve(n_threads - 1);
    for (unsigned i = 1; i < n_threads; i++) {
        workers_.emplace_back([this, i] { worker_loop(i); });
    }
}

Pool::~Pool() {
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) { worker.join(); }
}

void Pool::work_on(Job& job, unsigned worker) {
    const base::FloatEnvironment standard;  // of this thread, for as long as it works
    const int outer = std::exchange(current_worker, int(worker));
    while (!job.stop.stop_requested()) {
        const uint64_t chunk = job.next.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= job.n_chunks) { break; }
        job.call(job.work, chunk, worker);
    }
    current_worker = outer;
}

void Pool::run_job(Job& job) {
    if (current_worker >= 0) { return work_on(job, unsigned(current_worker)); }
    if (job.n_chunks <= 1 || workers_.empty()) {
        const std::lock_guard turn(turn_);
        return work_on(job, 0);
    }
    const std::lock_guard turn(turn_);
    {
        const std::lock_guard lock(mutex_);
        job_ = &job;
        generation_++;
    }
    wake_.notify_all();
    work_on(job, 0);
    // All chunks are taken. Workers that have not come yet are not waited for: they find no job.
    std::unique_lock lock(mutex_);
    job_ = nullptr;
    lock.unlock();
    const auto is_left = [this] { return n_inside_ == 0; };
    if (!watch_for(is_left)) {
        lock.lock();
        done_.wait(lock, is_left);
    }
}

void Pool::worker_loop(unsigned worker) {
    uint64_t seen = 0;
    const auto is_called = [&] { return closing_ || generation_ != seen; };
    while (true) {
        watch_for(is_called);
        std::unique_lock lock(mutex_);
        wake_.wait(lock, is_called);
        if (closing_) { return; }
        seen = generation_;
        if (job_ == nullptr) { continue; }
        Job& job = *job_;
        n_inside_++;
        lock.unlock();
        work_on(job, worker);
        lock.lock();
        if (--n_inside_ == 0) { done_.notify_one(); }
    }
}

}  // namespace wallaby::threads
