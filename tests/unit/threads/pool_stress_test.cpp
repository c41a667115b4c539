// Many jobs of the pool, for the thread sanitizer to watch and for counts to add up. No test here looks at a clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "threads/cpus.h"
#include "threads/pool.h"

namespace {

using wallaby::threads::Pool;

constexpr std::array<uint64_t, 8> chunk_counts = {0, 1, 2, 3, 7, 31, 97, 2};

TEST(ThreadsPoolStress, CallersTakeTurns) {
    constexpr unsigned n_callers = 4;
    Pool pool(3);
    std::atomic<unsigned> n_ready = 0;
    std::atomic<int> n_jobs_running = 0;
    std::vector<std::thread> callers;
    for (unsigned c = 0; c < n_callers; c++) {
        callers.emplace_back([&, c] {
            std::vector<uint64_t> times(97), expected(97);  // of this caller's chunks, unsynchronised
            n_ready++;
            while (n_ready < n_callers) { std::this_thread::yield(); }
            for (unsigned i = 0; i < 400; i++) {
                const uint64_t n_chunks = chunk_counts[(i + c) % chunk_counts.size()];
                std::atomic<bool> is_first = true;
                std::atomic<uint64_t> n_left = n_chunks;
                const auto work = [&](uint64_t chunk, unsigned) {
                    if (is_first.exchange(false)) {
                        EXPECT_EQ(n_jobs_running++, 0);
                        std::this_thread::yield();
                    }
                    times[chunk]++;
                    if (--n_left == 0) { n_jobs_running--; }
                };
                ASSERT_TRUE(pool.run(n_chunks, {}, work).ok());
                for (uint64_t chunk = 0; chunk < n_chunks; chunk++) { expected[chunk]++; }
                ASSERT_EQ(times, expected);
            }
        });
    }
    for (std::thread& caller : callers) { caller.join(); }
}

TEST(ThreadsPoolStress, StopsAnywhere) {
    Pool pool(3);
    for (uint64_t i = 0; i < 300; i++) {
        const uint64_t n_chunks = 97, stop_at = i % n_chunks;
        std::stop_source source;
        std::vector<unsigned> times(n_chunks);  // unsynchronised
        ASSERT_TRUE(pool.run(n_chunks, source.get_token(),
                             [&](uint64_t chunk, unsigned) {
                                 times[chunk]++;
                                 if (chunk == stop_at) { source.request_stop(); }
                             })
                        .ok());
        // Chunks are taken in order: all up to that one, and a few beyond it that had begun.
        for (uint64_t chunk = 0; chunk < n_chunks; chunk++) {
            ASSERT_LE(times[chunk], 1u);
            ASSERT_TRUE(times[chunk] == 1 || chunk > stop_at) << chunk << " of " << stop_at;
        }
    }
}

TEST(ThreadsPoolStress, StopsFromOutside) {
    Pool pool(3);
    for (int i = 0; i < 100; i++) {
        std::stop_source source;
        std::atomic<uint64_t> n_done = 0;
        std::thread asker([&] {
            while (n_done < uint64_t(i)) { std::this_thread::yield(); }
            source.request_stop();
        });
        ASSERT_TRUE(pool.run(UINT64_MAX / 2, source.get_token(), [&](uint64_t, unsigned) { n_done++; }).ok());
        asker.join();
        EXPECT_GE(n_done, uint64_t(i));
    }
}

TEST(ThreadsPoolStress, EndsRightAfterAJob) {
    for (unsigned i = 0; i < 300; i++) {
        std::atomic<uint64_t> n_done = 0;
        const uint64_t n_chunks = chunk_counts[i % chunk_counts.size()];
        {
            Pool pool(2 + i % 4);
            if (i % 3 != 0) {
                ASSERT_TRUE(pool.run(n_chunks, {}, [&](uint64_t, unsigned) { n_done++; }).ok());
            }
        }
        ASSERT_EQ(n_done, i % 3 != 0 ? n_chunks : 0);
    }
}

// Jobs' numbers wrap around in this time.
TEST(ThreadsPoolStress, ManyJobsInARow) {
    Pool pool(2);
    uint64_t n_done[2] = {};
    for (int i = 0; i < 150000; i++) {
        ASSERT_TRUE(pool.run(2, {}, [&](uint64_t chunk, unsigned) { n_done[chunk]++; }).ok());
    }
    EXPECT_EQ(n_done[0], 150000u);
    EXPECT_EQ(n_done[1], 150000u);
}

TEST(ThreadsPoolStress, MoreThreadsThanProcessors) {
    Pool pool(unsigned(std::min<size_t>(4 * wallaby::threads::allowed_cpus().size(), 256)));
    uint64_t n_expected = 0;
    std::atomic<uint64_t> n_done = 0;
    for (unsigned i = 0; i < 4000; i++) {
        const uint64_t n_chunks = chunk_counts[i % chunk_counts.size()];
        n_expected += n_chunks;
        ASSERT_TRUE(pool.run(n_chunks, {}, [&](uint64_t, unsigned) { n_done++; }).ok());
        ASSERT_EQ(n_done, n_expected);
    }
}

}  // namespace
