// Measures what this machine gives right now: bytes read from memory and arithmetic per second, with all threads of a
// pool at once. Neighbours on a shared machine change both within seconds, so a figure holds for the moment at which it
// was measured: probe before and after what it is compared with.
#pragma once
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>

#include "base/result.h"
#include "planner/rates.h"
#include "threads/pool.h"

namespace wallaby::probe {

// Of several repetitions. The best is what the machine can do, the median what it mostly did.
struct Measured {
    planner::Rates best, median;
};

// The loops that are timed, each as fast as its instruction set allows. Thread-safe. What they return depends on every
// step, so that no compiler leaves one out, and means nothing.
struct Loops {
    using Compute = uint64_t (*)(uint64_t n_iterations);
    // Reads every byte. n_bytes: a multiple of 64, as is the address.
    uint64_t (*read)(const uint8_t* bytes, uint64_t n_bytes) = nullptr;
    Compute int8 = nullptr, bf16 = nullptr, f32 = nullptr;  // nullptr: there is none, and its rate is 0
    double int8_ops_per_iteration = 0, bf16_ops_per_iteration = 0, f32_ops_per_iteration = 0;
};

// In plain C++ over 16-byte vectors: what any 64-bit x86 or ARM has. No bf16.
Loops portable_loops();

// Those of an instruction set that kernels can be used of here ("avx512vnni"); portable_loops for other names.
Loops kernel_loops(std::string_view isa);

struct Options {
    Loops loops;
    double seconds = 0.03;  // of one repetition, about; one pass over the buffer at least
    uint32_t n_repetitions = 5;
    uint64_t buffer_bytes = 0;  // that are read; 0: read_buffer_bytes of this machine
};

// Eight times the L3 cache, so that next to nothing is read from it; 512 MiB where its size is unknown; at most an
// eighth of the memory that is available.
uint64_t read_buffer_bytes(std::optional<uint64_t> l3_bytes, std::optional<uint64_t> available_bytes);

// A rate, over several repetitions: how far they lie apart says how steady the machine is.
struct Spread {
    double worst = 0, median = 0, best = 0;
};
// Bytes read from memory per second. Takes about n_repetitions × seconds.
Result<Spread> measure_read(threads::Pool& pool, const Options& options, const std::stop_token& stop);

// Takes about 4 × n_repetitions × seconds, and the buffer's memory meanwhile.
Result<Measured> measure(threads::Pool& pool, const Options& options, const std::stop_token& stop);

}  // namespace wallaby::probe
