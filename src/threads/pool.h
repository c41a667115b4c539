// A fork-join pool: one job at a time, cut into chunks that threads take by atomic counters. The caller works too.
// Which thread computes a chunk never changes what it computes: results must depend on the chunk alone, and work runs
// in the standard floating-point environment.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/result.h"

namespace wallaby::threads {

struct PoolOptions {
    unsigned n_threads = 0;  // the caller among them; 0: available_cpus()
    // Worker i stays on the i-th physical core, where there are so many and cores_to_pin allows. The caller, worker 0,
    // goes where it likes.
    bool pin = false;
};

class Pool {
  public:
    static constexpr unsigned max_threads = 4096;

    // Starts n_threads - 1 threads, at most max_threads - 1, or as many as the system lets us have.
    explicit Pool(const PoolOptions& options);
    explicit Pool(unsigned n_threads = 0) : Pool(PoolOptions{n_threads}) {}
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    ~Pool();

    unsigned size() const { return unsigned(workers_.size()) + 1; }
    unsigned n_pinned() const { return n_pinned_; }

    // Calls work(chunk, worker) once for every chunk below n_chunks, worker < size(), and returns when all calls have.
    // With a stop request, chunks not yet begun are left out, which is no error here. work must not throw. Calls from
    // several threads take turns. A call from inside work, of this pool or another, is an error and runs nothing.
    template <class Work>
    Result<void> run(uint64_t n_chunks, const std::stop_token& stop, const Work& work) {
        return run_job(job_of(n_chunks, false, stop, work));
    }
    // As run, but each thread has an equal share of neighbouring chunks, which it takes in their order; whoever is done
    // takes half of what another has left. For chunks that cost about the same and stream memory, where each jump to
    // another place costs a microsecond.
    template <class Work>
    Result<void> run_in_shares(uint64_t n_chunks, const std::stop_token& stop, const Work& work) {
        return run_job(job_of(n_chunks, true, stop, work));
    }

  private:
    struct Job {
        uint64_t n_chunks = 0;
        bool in_shares = false;
        const std::stop_token* stop = nullptr;
        const void* work = nullptr;
        void (*call)(const void* work, uint64_t chunk, unsigned worker) = nullptr;
    };
    template <class Work>
    static Job job_of(uint64_t n_chunks, bool in_shares, const std::stop_token& stop, const Work& work) {
        return {n_chunks, in_shares && n_chunks <= UINT32_MAX, &stop, &work,
                [](const void* w, uint64_t chunk, unsigned worker) { (*static_cast<const Work*>(w))(chunk, worker); }};
    }
    Result<void> run_job(const Job& job);
    void open_door(const Job& job);
    void close_door();
    bool enter(uint32_t& seen);
    void leave();
    // A thread's chunks that nobody has taken: [begin, end), begin in the low half. One word, so that its owner, who
    // takes from the front, and others, who take from the back, cannot cross. On a cache line of its own.
    struct alignas(64) Share {
        std::atomic<uint64_t> ends{0};
    };
    void share_out(const Job& job);
    bool take(const Job& job, unsigned worker, uint64_t& chunk);
    bool take_from_share(unsigned worker, uint64_t& chunk);
    void work_on(Job job, unsigned worker);
    void wait_for_job(uint32_t seen);
    void worker_loop(unsigned worker);

    std::mutex turn_;  // held by the caller whose job runs

    // What waiting threads look at lies on other cache lines than what working threads write. No order is relaxed but
    // the counter's: a thread that falls asleep and the one that would wake it must see each other.
    alignas(64) std::atomic<uint32_t> door_{0};        // see pool.cpp
    std::atomic<uint32_t> n_asleep_{0};                // workers that must be woken
    std::atomic<uint32_t> n_times_empty_{0};           // of a job that its caller sleeps for
    unsigned n_pinned_ = 0;                            // workers
    std::vector<std::thread> workers_;                 // [i]: worker i + 1
    std::unique_ptr<Share[]> shares_;                  // of job_, by worker; changed as job_ while no worker is inside
    alignas(64) std::atomic<uint64_t> next_chunk_{0};  // of job_
    Job job_;                                          // changes only while no worker is inside
};

}  // namespace wallaby::threads
