// The portable loops, over the compiler's own vectors: it turns them into what the target has.
#include <cstring>

#include "kernels/kernels.h"
#include "probe/probe.h"

namespace wallaby::probe {
namespace {

// Steps of one chain wait for each other (a multiply and an add: 6 to 8 cycles); this many chains fill two pipes and
// leave four of 16 registers.
constexpr int n_chains = 12;

template <class T>
using Vector [[gnu::vector_size(16)]] = T;

// x * a + b in every lane of every chain. Neither a nor b is known to the compiler, and the product stays in range.
template <class T>
uint64_t chains(uint64_t n_iterations, T a, T b) {
    Vector<T> x[n_chains], factor = Vector<T>{} + a, term = Vector<T>{} + b;
    for (int i = 0; i < n_chains; i++) { x[i] = Vector<T>{} + T(i); }
    for (uint64_t n = 0; n < n_iterations; n++) {
        for (Vector<T>& v : x) { v = v * factor + term; }
    }
    Vector<T> sum{};
    for (const Vector<T>& v : x) { sum += v; }
    uint64_t bits = 0;
    std::memcpy(&bits, &sum, sizeof(bits));
    return bits;
}

// A product of two int8 fills an int16 lane: what an instruction set without a dot product multiplies them in.
uint64_t int8_loop(uint64_t n_iterations) {
    return chains<uint16_t>(n_iterations, uint16_t(n_iterations | 3), uint16_t(n_iterations | 1));
}

uint64_t f32_loop(uint64_t n_iterations) {
    return chains<float>(n_iterations, n_iterations % 2 == 0 ? 0.5f : 0.25f, 1);  // settles at 2 or 4/3
}

template <class T>
constexpr double ops_per_iteration = 2.0 * n_chains * 16 / sizeof(T);

uint64_t read_loop(const uint8_t* bytes, uint64_t n_bytes) {
    Vector<uint64_t> sum[4]{};
    for (uint64_t at = 0; at < n_bytes; at += sizeof(sum)) {
        for (int i = 0; i < 4; i++) {
            Vector<uint64_t> v;
            std::memcpy(&v, bytes + at + 16 * i, sizeof(v));
            sum[i] += v;
        }
    }
    const Vector<uint64_t> all = sum[0] + sum[1] + sum[2] + sum[3];
    return all[0] + all[1];
}

}  // namespace

Loops portable_loops() {
    return {.read = read_loop,
            .int8 = int8_loop,
            .bf16 = nullptr,
            .f32 = f32_loop,
            .int8_ops_per_iteration = ops_per_iteration<uint16_t>,
            .bf16_ops_per_iteration = 0,
            .f32_ops_per_iteration = ops_per_iteration<float>};
}

Loops kernel_loops(std::string_view isa) {
    const auto chosen = kernels::choose(isa, base::cpu_features());
    if (!chosen.ok() || *chosen == &kernels::portable()) { return portable_loops(); }
    const kernels::Probe& p = (*chosen)->probe;
    return {.read = p.read,
            .int8 = p.int8,
            .bf16 = p.bf16,
            .f32 = p.f32,
            .int8_ops_per_iteration = double(p.int8_operations),
            .bf16_ops_per_iteration = double(p.bf16_operations),
            .f32_ops_per_iteration = double(p.f32_operations)};
}

}  // namespace wallaby::probe
