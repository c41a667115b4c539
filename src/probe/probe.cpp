#include "probe/probe.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/arena.h"
#include "base/processor.h"
#include "base/system.h"

namespace wallaby::probe {
namespace {

// That a thread reads at a time, at least. Threads that read far apart find more than those that share a stretch.
constexpr uint64_t min_piece_bytes = 4 << 20;
constexpr uint64_t chunks_per_thread = 8;      // of a compute loop: so that a late thread does not hold up the others
constexpr uint64_t max_iterations = 1u << 30;  // of one chunk

Error cancelled() { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }

Spread summary_of(std::vector<double> rates) {
    std::ranges::sort(rates);
    return {rates.front(), rates[rates.size() / 2], rates.back()};
}

template <class Work>
double seconds_of(const Work& work) {
    const double start = base::monotonic_seconds();
    work();
    return std::max(base::monotonic_seconds() - start, 1e-9);
}

class Probe {
  public:
    Probe(threads::Pool& pool, const Options& options, const std::stop_token& stop)
        : pool_(pool), options_(options), stop_(stop) {}

    Result<Spread> read() const {
        const uint64_t piece_bytes = std::max(min_piece_bytes, buffer_bytes() / (4 * pool_.size()) / 64 * 64);
        const uint64_t n_pieces = std::max<uint64_t>(1, buffer_bytes() / piece_bytes);
        WALLABY_TRY(base::Arena arena, base::Arena::create(n_pieces * piece_bytes));
        uint8_t* const bytes = arena.take(n_pieces * piece_bytes)->data();
        // Written once, so that memory backs it.
        WALLABY_OK(pool_.run(n_pieces, stop_,
                             [&](uint64_t i, unsigned) { std::memset(bytes + i * piece_bytes, 1, piece_bytes); }));
        // The first run shows that the pool takes jobs here: the others need no look.
        const auto pass = [&](uint64_t n_passes) {
            return seconds_of([&] {
                (void)pool_.run(n_passes * n_pieces, stop_, [&](uint64_t i, unsigned) {
                    (void)options_.loops.read(bytes + i % n_pieces * piece_bytes, piece_bytes);
                });
            });
        };
        const auto n_passes = uint64_t(std::clamp(options_.seconds / pass(1), 1.0, 1e6));
        return repeat([&] { return double(n_passes * n_pieces * piece_bytes) / pass(n_passes); });
    }

    Result<Spread> compute(Loops::Compute loop, double ops_per_iteration) const {
        if (loop == nullptr) { return Spread{}; }
        const uint64_t n_chunks = chunks_per_thread * pool_.size();
        const auto run = [&](uint64_t n_iterations) {
            return seconds_of(
                [&] { (void)pool_.run(n_chunks, stop_, [&](uint64_t, unsigned) { (void)loop(n_iterations); }); });
        };
        uint64_t n = 64;
        double seconds = run(n);
        for (; seconds < options_.seconds / 4 && n < max_iterations && !stop_.stop_requested(); seconds = run(n)) {
            n *= 2;
        }
        n = std::max<uint64_t>(1, uint64_t(double(n) * std::min(4.0, options_.seconds / seconds)));
        return repeat([&] { return double(n_chunks * n) * ops_per_iteration / run(n); });
    }

  private:
    uint64_t buffer_bytes() const {
        return options_.buffer_bytes != 0 ? options_.buffer_bytes
                                          : read_buffer_bytes(base::l3_bytes(), base::available_memory());
    }
    template <class Rate>
    Result<Spread> repeat(const Rate& rate) const {
        std::vector<double> rates;
        for (uint32_t i = 0; i < std::max(1u, options_.n_repetitions); i++) {
            rates.push_back(rate());
            if (stop_.stop_requested()) { return cancelled(); }
        }
        return summary_of(std::move(rates));
    }

    threads::Pool& pool_;
    const Options& options_;
    const std::stop_token& stop_;
};

}  // namespace

uint64_t read_buffer_bytes(std::optional<uint64_t> l3_bytes, std::optional<uint64_t> available_bytes) {
    const uint64_t wanted = l3_bytes ? 8 * *l3_bytes : uint64_t(512) << 20;
    return available_bytes ? std::min(wanted, *available_bytes / 8) : wanted;
}

Result<Spread> measure_read(threads::Pool& pool, const Options& options, const std::stop_token& stop) {
    return Probe(pool, options, stop).read();
}

Result<Measured> measure(threads::Pool& pool, const Options& options, const std::stop_token& stop) {
    const Probe probe(pool, options, stop);
    const Loops& loops = options.loops;
    WALLABY_TRY(const Spread read, probe.read());
    WALLABY_TRY(const Spread int8, probe.compute(loops.int8, loops.int8_ops_per_iteration));
    WALLABY_TRY(const Spread bf16, probe.compute(loops.bf16, loops.bf16_ops_per_iteration));
    WALLABY_TRY(const Spread f32, probe.compute(loops.f32, loops.f32_ops_per_iteration));
    return Measured{{read.best, int8.best, bf16.best, f32.best}, {read.median, int8.median, bf16.median, f32.median}};
}

}  // namespace wallaby::probe
