// A fork-join pool: one job at a time, cut into chunks that threads take by an atomic counter. The caller works too.
// Which thread computes a chunk never changes what it computes: results must depend on the chunk alone, and work runs
// in the standard floating-point environment.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace wallaby::threads {

// CPUs this process may run on (its affinity mask and cgroup quota), at least 1.
unsigned available_cpus();

class Pool {
  public:
    // n_threads counts the caller: n_threads - 1 threads are started. 0 means available_cpus().
    explicit Pool(unsigned n_threads = 0);
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    ~Pool();

    unsigned size() const { return unsigned(workers_.size()) + 1; }

    // Calls work(chunk, worker) once for every chunk below n_chunks, worker < size(), and returns when all calls have.
    // With a stop request, chunks not yet begun are left out. work must not throw. Calls from several threads take
    // turns; a call from inside work runs its chunks on that thread.
    template <class Work>
    void run(uint64_t n_chunks, std::stop_token stop, const Work& work) {
        Job job{n_chunks,
                std::move(stop),
                &work,
                [](const void* w, uint64_t chunk, unsigned worker) { (*static_cast<const Work*>(w))(chunk, worker); },
                {}};
        run_job(job);
    }

  private:
    struct Job {
        uint64_t n_chunks;
        std::stop_token stop;
        const void* work;
        void (*call)(const void* work, uint64_t chunk, unsigned worker);
        std::atomic<uint64_t> next;
    };
    void run_job(Job& job);
    void work_on(Job& job, unsigned worker);
    void worker_loop(unsigned worker);

    std::mutex turn_;  // held by the caller whose job runs
    // These change under mutex_; who waits for a change first looks at them for a little while without it.
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;                   // open to workers, or nullptr; only looked at under mutex_
    std::atomic<uint64_t> generation_{0};  // of jobs
    std::atomic<unsigned> n_inside_{0};    // workers that are at work on the current job
    std::atomic<bool> closing_{false};
    std::vector<std::thread> workers_;
};

}  // namespace wallaby::threads
