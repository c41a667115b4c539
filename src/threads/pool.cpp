#include "threads/pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <exception>

#include "base/float_environment.h"
#include "base/system.h"
#include "threads/cpus.h"

namespace wallaby::threads {
namespace {

// Pool::door_, one word so that entering and closing cannot cross. Bits from the lowest:
//   closing | open | caller_sleeps | the number of workers inside, 13 bits | the job's number, 16 bits
// Workers sleep on it. The job's number only tells a worker that it has been there already: should it wrap around
// while one is away, that worker misses a job, and nobody waits for it.
constexpr uint32_t closing = 1, is_open = 2, caller_sleeps = 4;
constexpr uint32_t one_inside = 8, all_inside = 0x1fff * one_inside;
constexpr uint32_t one_job = 1 << 16;
static_assert(Pool::max_threads <= all_inside / one_inside);

constexpr uint32_t number_of(uint32_t door) { return door / one_job; }

// Pool::Share::ends
constexpr uint64_t ends_of(uint64_t begin, uint64_t end) { return begin | end << 32; }
constexpr uint64_t begin_of(uint64_t ends) { return ends & UINT32_MAX; }
constexpr uint64_t end_of(uint64_t ends) { return ends >> 32; }

thread_local bool is_inside_work = false;

// Tells the processor that this thread is waiting in a loop.
void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Looks again and again whether something has happened, for about as long as it takes to send a thread to sleep and
// wake it: the jobs of one step follow each other within that time. Longer would take the processor from others. Who
// wants this very processor, perhaps the thread that is waited for, is let by every microsecond or two.
template <class Condition>
bool watch_for(const Condition& has_happened) {
    constexpr double watched_seconds = 50e-6;
    for (double end = 0;;) {
        for (int i = 0; i < 32; i++) {
            if (has_happened()) { return true; }
            relax();
        }
        const double now = base::monotonic_seconds();
        if (end == 0) { end = now + watched_seconds; }
        if (now >= end) { return false; }
        std::this_thread::yield();
    }
}

// Keeps a thread on the CPUs of one core. False where the system refuses.
bool pin_to(std::thread& thread, const std::vector<unsigned>& cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const unsigned cpu : cpus) {
        if (cpu >= CPU_SETSIZE) { return false; }
        CPU_SET(cpu, &set);
    }
    return ::pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set) == 0;
}

}  // namespace

Pool::Pool(const PoolOptions& options) {
    const unsigned n_threads = std::min(max_threads, options.n_threads == 0 ? available_cpus() : options.n_threads);
    std::vector<std::vector<unsigned>> cores;
    if (options.pin) { cores = cores_to_pin(allowed_cpus()); }
    workers_.reserve(n_threads - 1);
    shares_ = std::make_unique<Share[]>(n_threads);
    try {
        for (unsigned i = 1; i < n_threads; i++) {
            workers_.emplace_back([this, i] { worker_loop(i); });
        }
    } catch (const std::exception&) {
        // A limit on threads or their memory: the chunks go to the threads there are.
    }
    for (size_t i = 1; i < std::min<size_t>(size(), cores.size()); i++) {
        n_pinned_ += pin_to(workers_[i - 1], cores[i]) ? 1 : 0;
    }
}

Pool::~Pool() {
    door_ |= closing;
    door_.notify_all();
    for (std::thread& worker : workers_) { worker.join(); }
}

Result<void> Pool::run_job(const Job& job) {
    if (is_inside_work) {
        return Error{ErrorCode::argument,
                     "a job was asked for from inside another job's work, where it would wait for itself",
                     {"", "threads::Pool::run", {}},
                     ""};
    }
    const std::lock_guard turn(turn_);
    if (job.in_shares) {
        share_out(job);
    } else {
        next_chunk_.store(0, std::memory_order_relaxed);
    }
    const bool alone = job.n_chunks <= 1 || workers_.empty();
    if (!alone) { open_door(job); }
    work_on(job, 0);
    if (!alone) { close_door(); }
    return {};
}

// Wakes no more workers than there are chunks for them beside those that are awake and will come by themselves.
void Pool::open_door(const Job& job) {
    job_ = job;
    door_ = (number_of(door_) + 1) * one_job | is_open;
    const uint32_t n_asleep = n_asleep_;
    if (n_asleep == 0) { return; }
    const uint64_t n_wanted = job.n_chunks - 1, n_awake = workers_.size() - n_asleep;
    if (n_wanted >= workers_.size()) {
        door_.notify_all();
    } else {
        for (uint64_t i = n_awake; i < n_wanted; i++) { door_.notify_one(); }
    }
}

// All chunks are taken. Workers that have not come yet are not waited for: they find the door closed.
void Pool::close_door() {
    const auto is_empty = [this] { return (door_ & all_inside) == 0; };
    if (((door_ -= is_open) & all_inside) == 0 || watch_for(is_empty)) { return; }
    const uint32_t n_times_empty = n_times_empty_;
    if (((door_ |= caller_sleeps) & all_inside) != 0) { n_times_empty_.wait(n_times_empty); }
}

// Whether there is a job that this worker has not been at, and it is inside now.
bool Pool::enter(uint32_t& seen) {
    uint32_t door = door_;
    while ((door & is_open) != 0 && number_of(door) != seen) {
        if (door_.compare_exchange_weak(door, door + one_inside)) {
            seen = number_of(door);
            return true;
        }
    }
    return false;
}

void Pool::leave() {
    const uint32_t door = door_ -= one_inside;
    if ((door & all_inside) == 0 && (door & caller_sleeps) != 0) {
        n_times_empty_++;
        n_times_empty_.notify_one();
    }
}

void Pool::share_out(const Job& job) {
    for (uint64_t i = 0, begin = 0; i < size(); i++) {
        const uint64_t end = job.n_chunks * (i + 1) / size();
        shares_[i].ends.store(ends_of(begin, end), std::memory_order_relaxed);
        begin = end;
    }
}

// The chunk that a thread does next. False when all are taken.
bool Pool::take(const Job& job, unsigned worker, uint64_t& chunk) {
    if (job.in_shares) { return take_from_share(worker, chunk); }
    chunk = next_chunk_.fetch_add(1, std::memory_order_relaxed);
    return chunk < job.n_chunks;
}

// From the thread's own share; when that is empty, the later half of another's becomes it. A thread that is held up, or
// has not come yet, keeps the others from no more than the chunk in its hands. Between a half leaving one share and
// being in the next nobody sees it but the thread that carries it, who will do it: whoever finds nothing may go.
bool Pool::take_from_share(unsigned worker, uint64_t& chunk) {
    std::atomic<uint64_t>& own = shares_[worker].ends;
    for (uint64_t ends = own.load(std::memory_order_relaxed); begin_of(ends) < end_of(ends);) {
        chunk = begin_of(ends);
        if (own.compare_exchange_weak(ends, ends_of(chunk + 1, end_of(ends)), std::memory_order_relaxed)) {
            return true;
        }
    }
    for (unsigned i = 1; i < size(); i++) {
        std::atomic<uint64_t>& other = shares_[(worker + i) % size()].ends;
        for (uint64_t ends = other.load(std::memory_order_relaxed); begin_of(ends) < end_of(ends);) {
            chunk = begin_of(ends) + (end_of(ends) - begin_of(ends)) / 2;
            if (other.compare_exchange_weak(ends, ends_of(begin_of(ends), chunk), std::memory_order_relaxed)) {
                own.store(ends_of(chunk + 1, end_of(ends)), std::memory_order_relaxed);
                return true;
            }
        }
    }
    return false;
}

void Pool::work_on(Job job, unsigned worker) {
    const base::FloatEnvironment standard;  // of this thread, for as long as it works
    is_inside_work = true;
    // Looks for a stop before it takes: a thread that is held up with a chunk in its hands still does that one, so that
    // chunks that are taken one by one are done in their order up to the stop.
    for (uint64_t chunk = 0; !job.stop->stop_requested() && take(job, worker, chunk);) {
        job.call(job.work, chunk, worker);
    }
    is_inside_work = false;
}

// Returns when there may be something to do.
void Pool::wait_for_job(uint32_t seen) {
    const auto is_called = [seen](uint32_t door) {
        return (door & closing) != 0 || ((door & is_open) != 0 && number_of(door) != seen);
    };
    if (watch_for([&] { return is_called(door_); })) { return; }
    n_asleep_++;
    if (const uint32_t door = door_; !is_called(door)) { door_.wait(door); }
    n_asleep_--;
}

void Pool::worker_loop(unsigned worker) {
    for (uint32_t seen = 0; (door_ & closing) == 0; wait_for_job(seen)) {
        if (enter(seen)) {
            work_on(job_, worker);
            leave();
        }
    }
}

}  // namespace wallaby::threads
