#include "threads/pool.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include "base/float_environment.h"

namespace wallaby::threads {
namespace {

// The worker number of the thread inside work, or -1: a nested job runs where it is asked for.
thread_local int current_worker = -1;

// CPUs' worth of time that a cgroup (version 2) grants, or 0 for no limit.
double cgroup_quota() {
    std::ifstream in("/sys/fs/cgroup/cpu.max");
    std::string quota;
    double period = 0;
    if (!(in >> quota >> period) || quota == "max" || period <= 0) { return 0; }
    return std::strtod(quota.c_str(), nullptr) / period;
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
        n_busy_ = unsigned(workers_.size());
    }
    wake_.notify_all();
    work_on(job, 0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return n_busy_ == 0; });
    job_ = nullptr;
}

void Pool::worker_loop(unsigned worker) {
    uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [&] { return closing_ || generation_ != seen; });
        if (closing_) { return; }
        seen = generation_;
        Job& job = *job_;
        lock.unlock();
        work_on(job, worker);
        lock.lock();
        if (--n_busy_ == 0) { done_.notify_one(); }
    }
}

}  // namespace wallaby::threads
