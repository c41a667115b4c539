// What attention's kernels reach on one core, beside what that core can do at most: prompts against the rate of f32
// multiply-adds, single tokens against the read bandwidth.
//
//   attention_bench [ISA]
#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/cpu.h"
#include "base/processor.h"
#include "kernels/pages.h"

namespace {

using namespace wallaby;
using quant::Type;

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
// The shortest of several runs: others share the machine.
template <class F>
double shortest(F f, double at_least = 1.0) {
    double found = 1e30;
    const double begin = seconds_now();
    do {
        const double t = seconds_now();
        f();
        found = std::min(found, seconds_now() - t);
    } while (seconds_now() - begin < at_least);
    return found;
}

// The sum of the shortest times of pieces 0 … n - 1, each run in turn several times: what else runs on the machine then
// costs pieces, not whole passes.
template <class F>
double shortest_of_pieces(uint32_t n, F f) {
    std::vector<double> found(n, 1e30);
    const double begin = seconds_now();
    for (int pass = 0; pass < 5 || seconds_now() - begin < 2; pass++) {
        for (uint32_t i = 0; i < n; i++) {
            const double t = seconds_now();
            f(i);
            found[i] = std::min(found[i], seconds_now() - t);
        }
    }
    double sum = 0;
    for (const double t : found) { sum += t; }
    return sum;
}

struct Free {
    void operator()(void* p) const { std::free(p); }
};
using Bytes = std::unique_ptr<uint8_t, Free>;
Bytes allocate(uint64_t n) {
    n = (n + (2u << 20)) & ~uint64_t((2u << 20) - 1);
    auto* p = static_cast<uint8_t*>(std::aligned_alloc(2u << 20, n));
    if (p == nullptr) { throw std::bad_alloc(); }
    madvise(p, n, MADV_HUGEPAGE);
    std::fill_n(p, n, uint8_t(0));
    return Bytes(p);
}

// Keys and values of some heads: [page][head], keys and values apart.
struct Cache {
    Type type;
    uint32_t head, n_heads, n_keys;
    uint64_t key_bytes, value_bytes;
    Bytes keys, values;

    Cache(const kernels::Table& table, Type t, uint32_t width, uint32_t heads, uint32_t n)
        : type(t),
          head(width),
          n_heads(heads),
          n_keys(n),
          key_bytes(kernels::page_bytes(t, width, kernels::PageOf::keys)),
          value_bytes(kernels::page_bytes(t, width, kernels::PageOf::values)),
          keys(allocate(n_bytes_of(key_bytes))),
          values(allocate(n_bytes_of(value_bytes))) {
        std::vector<float> row(head);
        uint32_t state = 1;
        for (uint32_t p = 0; p < n_keys; p++) {
            for (uint32_t h = 0; h < n_heads; h++) {
                for (float& x : row) {
                    state = state * 1664525 + 1013904223;
                    x = float(int32_t(state)) * 0x1p-31f;
                }
                const uint32_t page = p / kernels::page_keys;
                table.append({type, type, head, p % kernels::page_keys, row.data(), row.data(), key_page(page, h),
                              value_page(page, h)});
            }
        }
    }
    uint64_t n_bytes_of(uint64_t page) const { return page * n_heads * (n_keys / kernels::page_keys); }
    uint8_t* key_page(uint32_t page, uint32_t h) const {
        return keys.get() + (uint64_t(page) * n_heads + h) * key_bytes;
    }
    uint8_t* value_page(uint32_t page, uint32_t h) const {
        return values.get() + (uint64_t(page) * n_heads + h) * value_bytes;
    }
};

// n_rows rows of `group` heads of one KV head, the last row at the cache's end.
class Task {
  public:
    Task(const kernels::Table& table, const Cache& cache, uint32_t n_rows, uint32_t group)
        : table_(table),
          cache_(cache),
          n_(n_rows * group),
          queries_(allocate(table.activation_bytes(kernels::query_kind(cache.type), cache.head, n_))),
          scratch_(allocate(kernels::attend_scratch_bytes(cache.type, cache.head) + 64)),
          out_(uint64_t(n_) * cache.head),
          factor_(n_, 0.125f),
          begin_(n_, 0) {
        for (uint32_t c = 0; c < n_; c++) {
            end_.push_back(cache.n_keys - n_rows + c / group + 1);
            n_pairs_ += end_.back();
            places_.push_back(out_.data() + uint64_t(c) * cache.head);
        }
        for (Room& room : rooms_) {
            room.maximum.resize(n_);
            room.sum.resize(n_);
            room.values.resize(uint64_t(n_) * cache.head);
        }
        q_.resize(uint64_t(n_) * cache.head);
        for (size_t i = 0; i < q_.size(); i++) { q_[i] = float(std::sin(double(i))); }
    }
    void run(uint32_t h) {
        for (uint32_t c = 0; c < n_; c++) {
            table_.write_activations(kernels::query_kind(cache_.type), q_.data() + uint64_t(c) * cache_.head,
                                     cache_.head, n_, c, queries_.get());
        }
        std::fill(rooms_[0].maximum.begin(), rooms_[0].maximum.end(), -INFINITY);
        constexpr uint32_t n = kernels::range_pages;
        for (uint32_t first = 0; first < cache_.n_keys; first += kernels::range_keys) {
            const uint32_t page = first / kernels::page_keys;
            const uint8_t *keys[n], *values[n];
            for (uint32_t i = 0; i < n; i++) {
                keys[i] = cache_.key_page(page + i, h);
                values[i] = cache_.value_page(page + i, h);
            }
            const bool is_last = first + kernels::range_keys >= cache_.n_keys;
            table_.attend({cache_.type, cache_.type, cache_.head, n_, first, keys, values,
                           is_last ? nullptr : cache_.key_page(page + n, h),
                           is_last ? nullptr : cache_.value_page(page + n, h), queries_.get(), begin_.data(),
                           end_.data(), factor_.data(), 0, rooms_[1].view(), scratch_.get()});
            table_.merge({rooms_[0].view(), rooms_[1].view(), n_, cache_.head});
        }
        table_.finish({rooms_[0].view(), n_, cache_.head, nullptr, places_.data()});
    }
    double operations() const { return 4.0 * cache_.head * n_pairs_; }

  private:
    struct Room {
        std::vector<float> maximum, sum, values;
        kernels::Gathered view() { return {maximum.data(), sum.data(), values.data()}; }
    };
    const kernels::Table& table_;
    const Cache& cache_;
    uint32_t n_;
    double n_pairs_ = 0;
    Bytes queries_, scratch_;
    std::vector<float> q_, out_, factor_;
    std::vector<uint32_t> begin_, end_;
    std::vector<float*> places_;
    Room rooms_[2];
};

}  // namespace

int main(int argc, char** argv) {
    const auto isa = kernels::choose(argc > 1 ? argv[1] : "auto", base::cpu_features());
    if (!isa) {
        fmt::print(stderr, "{}\n", isa.error().what);
        return 1;
    }
    const kernels::Table& table = **isa;
    const double f32 =
        double(table.probe.f32_operations) * 1e6 / shortest([&] { (void)table.probe.f32(1000000); }) / 1e9;
    const double int8 =
        double(table.probe.int8_operations) * 1e5 / shortest([&] { (void)table.probe.int8(100000); }) / 1e9;
    double gb = 0;
    {
        constexpr uint64_t n_bytes = 512u << 20, piece = 2u << 20;
        const Bytes bytes = allocate(n_bytes);
        const auto read = [&](uint32_t i) { (void)table.probe.read(bytes.get() + i * piece, piece); };
        gb = double(n_bytes) / shortest_of_pieces(n_bytes / piece, read) / 1e9;
    }
    fmt::print("{} on {}: f32 {:.1f} GFLOP/s, int8 {:.1f} GOP/s, reads {:.1f} GB/s\n\n", (*isa)->isa.name,
               base::processor_name(), f32, int8, gb);
    fmt::print("prompt: 64 rows at 4096 keys\n  type   head  group  GFLOP/s  of f32\n");
    for (const Type type : {Type::f16, Type::q8_0}) {
        for (const uint32_t head : {64u, 128u}) {
            const Cache cache(table, type, head, 4, 4096);
            for (const uint32_t group : {8u, 1u}) {
                Task task(table, cache, 64, group);
                const double t = shortest_of_pieces(4, [&](uint32_t h) { task.run(h); }) / 4;
                const double rate = task.operations() / t / 1e9;
                fmt::print("  {:<5} {:5}  {:5}  {:7.1f}   {:3.0f} %\n", quant::format_of(type).name, head, group, rate,
                           100 * rate / f32);
            }
        }
    }
    fmt::print("\none token at 8192 keys\n  type   head  group     GB/s  of reads  GFLOP/s  of f32\n");
    for (const Type type : {Type::f16, Type::q8_0}) {
        for (const uint32_t head : {64u, 128u}) {
            const uint32_t n_heads = 8192 / head;  // 512 MiB of F16
            const Cache cache(table, type, head, n_heads, 8192);
            const double n_bytes =
                double(cache.n_bytes_of(cache.key_bytes)) + double(cache.n_bytes_of(cache.value_bytes));
            for (const uint32_t group : {1u, 4u, 8u}) {
                Task task(table, cache, 1, group);
                const double t = shortest_of_pieces(n_heads, [&](uint32_t h) { task.run(h); });
                const double rate = task.operations() * n_heads / t / 1e9;
                fmt::print("  {:<5} {:5}  {:5}  {:7.1f}     {:3.0f} %  {:7.1f}   {:3.0f} %\n",
                           quant::format_of(type).name, head, group, n_bytes / t / 1e9, 100 * n_bytes / t / 1e9 / gb,
                           rate, 100 * rate / f32);
            }
        }
    }
    return 0;
}
