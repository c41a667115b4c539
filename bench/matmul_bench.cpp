// Matmul kernels per format, one thread, beside what the same core can do in the same seconds:
//
//     matmul_bench [ISA] [K] [COLUMNS] [FORMAT]        default: auto 4096 512, and every format
//
// Each figure is the median of several pairs probe, run, probe, as a share of the mean of its two probes: a wide matmul
// against the int8, bf16 or f32 rate, narrow ones (1 to 8 columns over 512 MiB of weights) against read bandwidth.
// `near` is one column over weights that stay in the second-level cache: how fast the kernel is when memory does not
// hold it back.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/arena.h"
#include "kernels/kernels.h"
#include "kernels/tiles.h"

namespace {

using namespace wallaby;

constexpr uint64_t n_weight_bytes = uint64_t(512) << 20;
constexpr int n_pairs = 7;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double per_second(double amount, const std::function<void()>& work) {
    const double start = now();
    work();
    return amount / (now() - start);
}

struct Share {
    double value, of_probe;  // medians
};
Share measure(const std::function<double()>& run, const std::function<double()>& probe) {
    std::vector<double> values, shares;
    (void)run();
    for (int i = 0; i < n_pairs; i++) {
        const double before = probe(), value = run(), after = probe();
        values.push_back(value);
        shares.push_back(2 * value / (before + after));
    }
    std::ranges::sort(values);
    std::ranges::sort(shares);
    return {values[n_pairs / 2], shares[n_pairs / 2]};
}

class Bench {
  public:
    Bench(const kernels::Table& table, uint32_t n_in, uint32_t n_columns)
        : table_(table), n_in_(n_in), n_columns_(n_columns) {
        arena_ = *base::Arena::create(n_weight_bytes + (uint64_t(96) << 20));
        weights_ = arena_.take(n_weight_bytes + 65536)->data();
        scratch_ = arena_.take(uint64_t(64) << 20)->data();
        // Scales and weights, of 16 or 32 bits, are of middling size: products of denormal numbers would take long.
        uint32_t x = 1;
        for (uint64_t i = 0; i < n_weight_bytes; i += 4) {
            x = x * 1664525 + 1013904223;
            const uint32_t word = (x & 0x87ff87ff) | 0x30003000;
            std::memcpy(weights_ + i, &word, 4);
        }
    }

    void run(quant::Type type) {
        const kernels::Matmul m = table_.matmul(type);
        const uint64_t tile = kernels::tile_bytes(type, n_in_);
        const kernels::Probe& p = table_.probe;
        const auto rate = [&] {
            auto loop = p.int8;
            uint64_t operations = p.int8_operations;
            if (m.activations == kernels::Activations::f32) {
                loop = p.f32;
                operations = p.f32_operations;
            } else if (m.activations == kernels::Activations::bf16) {
                loop = p.bf16;
                operations = p.bf16_operations;
            }
            const uint64_t n = 3'000'000'000 / operations;
            return per_second(double(n * operations), [&] { (void)loop(n); });
        };
        const auto read = [&] {
            return per_second(double(n_weight_bytes), [&] { (void)p.read(weights_, n_weight_bytes); });
        };
        const uint32_t n_tiles = 64;
        const Share wide = measure(
            [&] {
                return per_second(2.0 * n_in_ * 16 * n_tiles * n_columns_,
                                  [&] { multiply(m, tile, n_tiles, n_columns_, 8); });
            },
            rate);
        std::printf("%-7s %6.0f G/s %3.0f %%", std::string(quant::format_of(type).name).c_str(), wide.value / 1e9,
                    100 * wide.of_probe);
        for (const uint32_t n : {1u, 2u, 4u, 8u}) {
            const auto tiles = uint32_t(n_weight_bytes / tile);
            const Share narrow = measure(
                [&] { return per_second(double(tiles * tile), [&] { multiply(m, tile, tiles, n, 4); }); }, read);
            std::printf("  %u: %5.1f GB/s %3.0f %%", n, narrow.value / 1e9, 100 * narrow.of_probe);
        }
        const auto near_tiles = uint32_t(std::max<uint64_t>(1, 256 * 1024 / tile));
        const Share near = measure(
            [&] {
                return per_second(double(200 * near_tiles * tile), [&] {
                    for (int i = 0; i < 200; i++) { multiply(m, tile, near_tiles, 1, near_tiles); }
                });
            },
            read);
        std::printf("  near: %5.1f GB/s %.1f x\n", near.value / 1e9, near.of_probe);
        std::fflush(stdout);
    }

  private:
    void multiply(const kernels::Matmul& m, uint64_t tile, uint32_t n_tiles, uint32_t n_columns, uint32_t at_once) {
        if (n_columns != written_ || m.activations != kind_) {
            written_ = n_columns;
            kind_ = m.activations;
            activations_.resize(table_.activation_bytes(kind_, n_in_, n_columns) + 64);
            std::vector<float> x(n_in_);
            for (uint32_t c = 0; c < n_columns; c++) {
                for (uint32_t i = 0; i < n_in_; i++) { x[i] = float((i * 7 + c * 13) % 101) - 50; }
                table_.write_activations(kind_, x.data(), n_in_, n_columns, c, activations_.data());
            }
            out_.resize(uint64_t(n_columns) * 16 * 64);
            columns_.clear();
            for (uint32_t c = 0; c < n_columns; c++) { columns_.push_back(out_.data() + uint64_t(c) * 16 * 64); }
        }
        kernels::MatmulArgs args;
        args.n_in = n_in_;
        args.activations = activations_.data();
        args.n_columns = n_columns;
        args.out = columns_.data();
        args.scratch = scratch_;
        for (uint32_t t = 0; t < n_tiles; t += at_once) {
            args.tiles = weights_ + uint64_t(t) * tile;
            args.n_rows = 16 * std::min(at_once, n_tiles - t);
            m.run(args);
        }
    }

    const kernels::Table& table_;
    uint32_t n_in_, n_columns_;
    base::Arena arena_;
    uint8_t* weights_ = nullptr;
    uint8_t* scratch_ = nullptr;
    uint32_t written_ = 0;
    kernels::Activations kind_{};
    std::vector<uint8_t> activations_;
    std::vector<float> out_;
    std::vector<float*> columns_;
};

}  // namespace

int main(int argc, char** argv) {
    const auto isa = kernels::choose(argc > 1 ? argv[1] : "auto", base::cpu_features());
    if (!isa.ok()) {
        std::fprintf(stderr, "%s\n", isa.error().message().c_str());
        return 2;
    }
    const auto number = [&](int i, uint32_t otherwise) {
        return argc > i ? uint32_t(std::max(256, std::atoi(argv[i]))) / 256 * 256 : otherwise;
    };
    Bench bench(**isa, number(2, 4096), number(3, 512));
    for (const quant::Format& format : quant::formats()) {
        const bool is_wanted = argc > 4 ? format.name == std::string_view(argv[4]) : true;
        if (is_wanted && (*isa)->matmul(format.type).run != nullptr) { bench.run(format.type); }
    }
    return 0;
}
