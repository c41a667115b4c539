#include "threads/pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace {

using wallaby::threads::Pool;

TEST(ThreadsPool, EveryChunkRunsOnce) {
    for (const unsigned n_threads : {1u, 2u, 3u, 8u}) {
        Pool pool(n_threads);
        EXPECT_EQ(pool.size(), n_threads);
        for (const uint64_t n_chunks : {0u, 1u, 2u, 7u, 1000u}) {
            std::vector<std::atomic<int>> counts(n_chunks);
            pool.run(n_chunks, {}, [&](uint64_t chunk, unsigned worker) {
                EXPECT_LT(worker, n_threads);
                counts[chunk]++;
            });
            for (const auto& count : counts) { EXPECT_EQ(count, 1); }
        }
    }
}

TEST(ThreadsPool, WhatChunksWroteIsSeenAfterwards) {
    Pool pool(4);
    std::vector<uint64_t> squares(100);
    for (int round = 0; round < 500; round++) {
        pool.run(squares.size(), {}, [&](uint64_t chunk, unsigned) { squares[chunk] += chunk; });
    }
    for (uint64_t i = 0; i < squares.size(); i++) { EXPECT_EQ(squares[i], 500 * i); }
}

TEST(ThreadsPool, WorkersDoNotShareScratch) {
    Pool pool(4);
    std::vector<std::vector<uint64_t>> scratch(pool.size());  // unsynchronised: the thread sanitizer watches
    pool.run(10000, {}, [&](uint64_t chunk, unsigned worker) { scratch[worker].push_back(chunk); });
    size_t n = 0;
    for (const auto& s : scratch) { n += s.size(); }
    EXPECT_EQ(n, 10000u);
}

// Every thread holds a chunk, and the caller's is done first, by little or by more than it watches before it sleeps.
TEST(ThreadsPool, ChunksUnderWayAreWaitedFor) {
    constexpr unsigned n_threads = 3;
    Pool pool(n_threads);
    for (const auto lag : {std::chrono::microseconds(0), std::chrono::microseconds(5000)}) {
        for (int round = 0; round < 20; round++) {
            std::atomic<unsigned> n_arrived = 0;
            std::vector<int> is_done(n_threads, 0);  // unsynchronised: the thread sanitizer watches
            pool.run(n_threads, {}, [&](uint64_t chunk, unsigned worker) {
                n_arrived++;
                while (n_arrived < n_threads) { std::this_thread::yield(); }
                if (worker != 0) { std::this_thread::sleep_for(lag); }
                is_done[chunk] = 1;
            });
            EXPECT_EQ(std::accumulate(is_done.begin(), is_done.end(), 0), int(n_threads));
        }
    }
}

TEST(ThreadsPool, AStopLeavesTheRestOut) {
    Pool pool(2);
    std::stop_source source;
    std::atomic<uint64_t> n_done = 0;
    pool.run(1000000, source.get_token(), [&](uint64_t chunk, unsigned) {
        n_done++;
        if (chunk == 100) { source.request_stop(); }
    });
    EXPECT_GE(n_done, 100u);
    EXPECT_LT(n_done, 1000000u);
}

TEST(ThreadsPool, NestedJobsRunOnTheThreadThatAsks) {
    Pool pool(3);
    std::atomic<int> n = 0;
    pool.run(10, {}, [&](uint64_t, unsigned outer) {
        pool.run(10, {}, [&](uint64_t, unsigned inner) {
            EXPECT_EQ(inner, outer);
            n++;
        });
    });
    EXPECT_EQ(n, 100);
}

TEST(ThreadsPool, CallersTakeTurns) {
    Pool pool(2);
    std::atomic<int> n = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; i++) {
        callers.emplace_back([&] {
            for (int j = 0; j < 100; j++) {
                pool.run(5, {}, [&](uint64_t, unsigned) { n++; });
            }
        });
    }
    for (std::thread& caller : callers) { caller.join(); }
    EXPECT_EQ(n, 2000);
}

TEST(ThreadsPool, AvailableCpusIsPlausible) {
    EXPECT_GE(wallaby::threads::available_cpus(), 1u);
    EXPECT_LE(wallaby::threads::available_cpus(), std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace
