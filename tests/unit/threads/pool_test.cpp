#include "threads/pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <functional>
#include <numeric>
#include <set>

#include "base/system.h"
#include "support/children.h"
#include "threads/cpus.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

using wallaby::ErrorCode;
using wallaby::threads::Pool;
using Milliseconds = std::chrono::milliseconds;

template <class Work>
void run(Pool& pool, uint64_t n_chunks, const Work& work) {
    const auto done = pool.run(n_chunks, {}, work);
    EXPECT_TRUE(done.ok()) << done.error().message();
}

// Calls work(worker) once on each of n threads of the pool at once: no chunk ends before all have begun.
template <class Work>
void meet(Pool& pool, unsigned n, const Work& work) {
    std::atomic<unsigned> n_arrived = 0;
    run(pool, n, [&](uint64_t, unsigned worker) {
        n_arrived++;
        while (n_arrived < n) { std::this_thread::yield(); }
        work(worker);
    });
}

TEST(ThreadsPool, EveryChunkRunsOnce) {
    for (const unsigned n_threads : {1u, 2u, 3u, 8u}) {
        Pool pool(n_threads);
        EXPECT_EQ(pool.size(), n_threads);
        for (const uint64_t n_chunks : {0u, 1u, 2u, 3u, 7u, 31u, 1009u}) {
            std::vector<std::atomic<int>> counts(n_chunks);
            run(pool, n_chunks, [&](uint64_t chunk, unsigned worker) {
                EXPECT_LT(worker, n_threads);
                counts[chunk]++;
            });
            for (const auto& count : counts) { EXPECT_EQ(count, 1); }
        }
    }
}

TEST(ThreadsPool, EveryChunkOfSharesRunsOnce) {
    for (const unsigned n_threads : {1u, 2u, 3u, 8u}) {
        Pool pool(n_threads);
        for (const uint64_t n_chunks : {0u, 1u, 2u, 3u, 7u, 31u, 1009u}) {
            for (int round = 0; round < 20; round++) {
                std::vector<std::atomic<int>> counts(n_chunks);
                const auto done = pool.run_in_shares(n_chunks, {}, [&](uint64_t chunk, unsigned) { counts[chunk]++; });
                ASSERT_TRUE(done.ok()) << done.error().message();
                for (const auto& count : counts) { EXPECT_EQ(count, 1); }
            }
        }
    }
}

// Nobody takes from another before its own share is done, and each takes its own from the front.
TEST(ThreadsPool, SharesAreEqualAndTakenInOrder) {
    Pool pool(2);
    std::atomic<bool> has_come[2] = {};
    std::vector<std::vector<uint64_t>> order(2);
    const auto done = pool.run_in_shares(800, {}, [&](uint64_t chunk, unsigned worker) {
        order[worker].push_back(chunk);
        has_come[worker] = true;
        while (!has_come[1 - worker]) { std::this_thread::yield(); }
    });
    ASSERT_TRUE(done.ok());
    bool any_did_all = false;
    for (unsigned worker = 0; worker < 2; worker++) {
        ASSERT_EQ(order[worker][0], 400 * worker);
        std::vector<uint64_t> share(400);
        std::iota(share.begin(), share.end(), 400 * worker);
        any_did_all |= order[worker].size() >= 400 && std::equal(share.begin(), share.end(), order[worker].begin());
    }
    EXPECT_TRUE(any_did_all) << "who is done first has done all of its share";
}

// A thread that is held up keeps no more than the chunk in its hands: the others do all the rest meanwhile.
TEST(ThreadsPool, AShareIsTakenFromWhoIsHeldUp) {
    Pool pool(3);
    std::atomic<uint64_t> n_others = 0;
    const auto done = pool.run_in_shares(800, {}, [&](uint64_t chunk, unsigned) {
        if (chunk != 10) { n_others++; }
        while (chunk == 10 && n_others < 799) { std::this_thread::yield(); }
    });
    ASSERT_TRUE(done.ok());
    EXPECT_EQ(n_others, 799u);
}

// Stopped inside a share, a thread leaves the rest of it.
TEST(ThreadsPool, SharesStopWithinTheirChunk) {
    Pool pool(1);
    std::stop_source source;
    uint64_t n = 0;
    const auto done = pool.run_in_shares(1000, source.get_token(), [&](uint64_t chunk, unsigned) {
        EXPECT_EQ(chunk, n);
        if (++n == 10) { source.request_stop(); }
    });
    EXPECT_TRUE(done.ok());
    EXPECT_EQ(n, 10u);
}

TEST(ThreadsPool, WhatChunksWroteIsSeenAfterwards) {
    Pool pool(4);
    std::vector<uint64_t> squares(100);  // unsynchronised: the thread sanitizer watches
    for (int round = 0; round < 500; round++) {
        run(pool, squares.size(), [&](uint64_t chunk, unsigned) { squares[chunk] += chunk; });
    }
    for (uint64_t i = 0; i < squares.size(); i++) { EXPECT_EQ(squares[i], 500 * i); }
}

TEST(ThreadsPool, WorkersDoNotShareScratch) {
    Pool pool(4);
    std::vector<std::vector<uint64_t>> scratch(pool.size());  // unsynchronised: the thread sanitizer watches
    run(pool, 10000, [&](uint64_t chunk, unsigned worker) { scratch[worker].push_back(chunk); });
    size_t n = 0;
    for (const auto& s : scratch) { n += s.size(); }
    EXPECT_EQ(n, 10000u);
}

// The caller's chunk is done first, by little or by more than it watches before it sleeps.
TEST(ThreadsPool, ChunksUnderWayAreWaitedFor) {
    Pool pool(3);
    for (const auto lag : {Milliseconds(0), Milliseconds(5)}) {
        for (int round = 0; round < 20; round++) {
            std::vector<int> is_done(pool.size(), 0);  // unsynchronised: the thread sanitizer watches
            meet(pool, pool.size(), [&](unsigned worker) {
                if (worker != 0) { std::this_thread::sleep_for(lag); }
                is_done[worker] = 1;
            });
            EXPECT_EQ(std::accumulate(is_done.begin(), is_done.end(), 0), int(pool.size()));
        }
    }
}

TEST(ThreadsPool, SleepingWorkersAreWoken) {
    Pool pool(4);
    for (int round = 0; round < 10; round++) {
        for (const unsigned n : {2u, 3u, 4u}) {  // while 3, 2 and 1 workers sleep, more or less
            if (n == 2) { std::this_thread::sleep_for(Milliseconds(5)); }
            std::atomic<unsigned> n_met = 0;
            meet(pool, n, [&](unsigned) { n_met++; });
            EXPECT_EQ(n_met, n);
        }
    }
}

// Workers without a job, and a caller whose workers take long, use the processor for microseconds.
TEST(ThreadsPool, WaitingIsSleeping) {
    Pool pool(4);
    const auto processor_seconds = [] { return double(std::clock()) / CLOCKS_PER_SEC; };
    const auto pause = [] { std::this_thread::sleep_for(Milliseconds(100)); };
    for (int round = 0; round < 2; round++) {
        const double used = processor_seconds(), start = wallaby::base::monotonic_seconds();
        meet(pool, pool.size(), [&](unsigned worker) {
            if (round == 0 && worker != 0) { pause(); }
        });
        if (round == 1) { pause(); }
        EXPECT_LT(processor_seconds() - used, (wallaby::base::monotonic_seconds() - start) / 2);
    }
}

std::atomic<bool> is_held = false, is_let_go = false, gave_up = false;
void hold(int) {
    is_held = true;
    for (int i = 0; !is_let_go; i++) {
        if (i == 10000) {
            gave_up = true;
            break;
        }
        const struct timespec millisecond = {0, 1000000};
        ::nanosleep(&millisecond, nullptr);
    }
    is_held = false;
}

// A worker that sits in a signal's handler stands for one that gets no processor.
TEST(ThreadsPool, WorkersThatDoNotComeAreNotWaitedFor) {
    if (wallaby::testing::under_sanitizer) { GTEST_SKIP() << "sanitizers deliver signals late"; }
    is_let_go = false;
    Pool pool(3);
    pthread_t thread = {};
    meet(pool, pool.size(), [&](unsigned worker) {
        if (worker == 1) { thread = ::pthread_self(); }
    });
    struct sigaction action = {}, before = {};
    action.sa_handler = hold;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
    ASSERT_EQ(::pthread_kill(thread, SIGUSR1), 0);
    while (!is_held) { std::this_thread::yield(); }
    std::atomic<int> n = 0;
    for (int i = 0; i < 100; i++) {
        run(pool, 7, [&](uint64_t, unsigned worker) { n += worker == 1 ? 1000000 : 1; });
    }
    EXPECT_EQ(n, 700);
    EXPECT_FALSE(gave_up);
    is_let_go = true;
    meet(pool, pool.size(), [](unsigned) {});  // the worker is back
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(ThreadsPool, AStopLeavesTheRestOut) {
    Pool pool(2);
    std::stop_source source;
    std::atomic<uint64_t> n_done = 0;
    const auto stopped = pool.run(1000000, source.get_token(), [&](uint64_t chunk, unsigned) {
        n_done++;
        if (chunk == 100) { source.request_stop(); }
    });
    EXPECT_TRUE(stopped.ok());
    EXPECT_GE(n_done, 100u);
    EXPECT_LT(n_done, 1000000u);
    n_done = 0;
    EXPECT_TRUE(pool.run(5, source.get_token(), [&](uint64_t, unsigned) { n_done++; }).ok());
    EXPECT_EQ(n_done, 0u);
}

TEST(ThreadsPool, AJobInsideAJobIsAnError) {
    for (const unsigned n_threads : {1u, 3u}) {
        Pool pool(n_threads), other(2);
        std::atomic<int> n_outer = 0, n_inner = 0, n_refused = 0;
        const auto inner = [&](uint64_t, unsigned) { n_inner++; };
        for (const uint64_t n_chunks : {1u, 10u}) {
            run(pool, n_chunks, [&](uint64_t, unsigned) {
                n_outer++;
                for (const uint64_t n : {0u, 1u, 10u}) {
                    for (Pool* const p : {&pool, &other}) {
                        const auto refused = p->run(n, {}, inner);
                        ASSERT_FALSE(refused.ok());
                        EXPECT_EQ(refused.error().code, ErrorCode::argument);
                        EXPECT_NE(refused.error().message().find("inside another job"), std::string::npos);
                        n_refused++;
                    }
                }
            });
        }
        EXPECT_EQ(n_outer, 11);
        EXPECT_EQ(n_refused, 11 * 6);
        EXPECT_EQ(n_inner, 0);
        run(pool, 10, inner);
        run(other, 10, inner);
        EXPECT_EQ(n_inner, 20);
    }
}

#if defined(__x86_64__)
TEST(ThreadsPool, WorkKeepsDenormalsWhateverEarlierWorkDid) {
    constexpr uint32_t flush = 0x8040;
    Pool pool(3);
    for (int round = 0; round < 3; round++) {
        meet(pool, pool.size(), [&](unsigned) {
            EXPECT_EQ(_mm_getcsr() & flush, 0u);
            _mm_setcsr(_mm_getcsr() | flush);
        });
        EXPECT_EQ(_mm_getcsr() & flush, 0u);
    }
}
#endif

std::vector<std::vector<unsigned>> masks_of(Pool& pool) {
    std::vector<std::vector<unsigned>> masks(pool.size());
    meet(pool, pool.size(), [&](unsigned worker) { masks[worker] = wallaby::threads::allowed_cpus(); });
    return masks;
}

TEST(ThreadsPool, PinsWorkersToCoresWhereAsked) {
    const auto allowed = wallaby::threads::allowed_cpus();
    const auto cores = wallaby::threads::cores_to_pin(allowed);
    if (cores.empty()) { GTEST_SKIP() << "this process may not run on every CPU"; }
    Pool pool({.n_threads = unsigned(cores.size()) + 1, .pin = true});
    EXPECT_EQ(pool.n_pinned(), cores.size() - 1);
    const auto masks = masks_of(pool);
    EXPECT_EQ(masks.front(), allowed);
    EXPECT_EQ(masks.back(), allowed);  // beyond the cores
    for (size_t i = 1; i < cores.size(); i++) { EXPECT_EQ(masks[i], cores[i]); }
}

TEST(ThreadsPool, PinsNothingUnasked) {
    Pool pool(3);
    EXPECT_EQ(pool.n_pinned(), 0u);
    for (const auto& mask : masks_of(pool)) { EXPECT_EQ(mask, wallaby::threads::allowed_cpus()); }
}

TEST(ThreadsPool, HasADefaultAndAnEnd) {
    EXPECT_EQ(Pool().size(), wallaby::threads::available_cpus());
    EXPECT_EQ(Pool({.n_threads = 0, .pin = true}).size(), wallaby::threads::available_cpus());
}

}  // namespace
