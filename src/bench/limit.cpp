#include "bench/limit.h"

#include <algorithm>
#include <cmath>
#include <variant>
#include <vector>

#include "ops/cost.h"

namespace wallaby::bench {
namespace {

bool is_float(quant::Type type) {
    return type == quant::Type::f32 || type == quant::Type::f16 || type == quant::Type::bf16;
}

// Operations by the rate at which they can be done.
struct Operations {
    double int8 = 0, bf16 = 0, f32 = 0;
};

Operations operations_of(const ops::Model& model, const ops::Op& op, const ops::Cost& cost, quant::Type k_type,
                         const probe::Rates& rates) {
    const double all = 2.0 * double(cost.macs);
    if (std::holds_alternative<ops::Matmul>(op.spec)) {
        const quant::Type type = model.weights[op.weight[0]].type;
        if (!is_float(type)) { return {.int8 = all}; }
        if (type == quant::Type::bf16 && rates.bf16_ops_per_s > 0) { return {.bf16 = all}; }
    }
    // Half of attention is with keys, half with values.
    if (std::holds_alternative<ops::Attend>(op.spec) && !is_float(k_type)) { return {.int8 = all / 2, .f32 = all / 2}; }
    return {.f32 = all};
}

double over(double amount, double rate) { return rate > 0 ? amount / rate : 0; }

// Distinct experts of a layer that n_tokens tokens use when each of them chooses at random.
double experts_hit(const ops::Program& program, uint64_t n_tokens) {
    for (const ops::Op& op : program.ops) {
        if (const auto* route = std::get_if<ops::Route>(&op.spec)) {
            const double n = route->n_expert;
            return n * (1 - std::pow(1 - route->n_used / n, double(n_tokens)));
        }
    }
    return 0;
}

// each(extent) for every timed step, in order.
template <class Each>
void for_each_step(const Test& test, uint32_t n_batch, const Each& each) {
    for (uint32_t sequence = 0; sequence < test.n_seqs; sequence++) {
        for (uint32_t done = 0; done < test.n_prompt;) {
            const uint32_t n = std::min(n_batch, test.n_prompt - done);
            const bool is_last = done + n == test.n_prompt;  // its last row alone has an output
            each(ops::Extent{{{uint64_t(test.n_depth) + done, n, is_last ? 1u : 0u}}});
            done += n;
        }
    }
    for (uint32_t i = 0; i < test.n_gen; i++) {
        const ops::Extent::Sequence one{uint64_t(test.n_depth) + test.n_prompt + i, 1, 1};
        each(ops::Extent{std::vector(test.n_seqs, one)});
    }
}

void add(Limit& limit, const Operations& operations, uint64_t n_bytes, const probe::Rates& rates) {
    const double read = over(double(n_bytes), rates.read_bytes_per_s);
    const double int8 = over(operations.int8, rates.int8_ops_per_s);
    const double f32 = over(operations.f32, rates.f32_ops_per_s);
    const double bf16 = over(operations.bf16, rates.bf16_ops_per_s);
    if (read >= int8 + bf16 + f32) {
        limit.read_seconds += read;
    } else {
        limit.int8_seconds += int8;
        limit.bf16_seconds += bf16;
        limit.f32_seconds += f32;
    }
}

}  // namespace

std::string_view Limit::limiter() const {
    const double most = std::max({read_seconds, int8_seconds, bf16_seconds, f32_seconds});
    if (most == read_seconds) { return "read"; }
    return most == int8_seconds ? "int8" : most == bf16_seconds ? "bf16" : "f32";
}

Limit limit_of(const ops::Model& model, const Test& test, uint32_t n_batch, quant::Type k_type, quant::Type v_type,
               const probe::Rates& rates) {
    const ops::Program& program = model.programs.front();
    Limit limit;
    for_each_step(test, n_batch, [&](ops::Extent step) {
        step.experts_hit = experts_hit(program, step.n_tokens());
        for (const ops::Op& op : program.ops) {
            const ops::Cost cost = ops::cost(model, program, op, step, k_type, v_type);
            const uint64_t n_bytes = cost.weight_bytes + cost.state_read + cost.state_written;
            limit.bytes += n_bytes;
            limit.operations += 2 * cost.macs;
            add(limit, operations_of(model, op, cost, k_type, rates), n_bytes, rates);
        }
    });
    return limit;
}

probe::Rates average(const probe::Rates& a, const probe::Rates& b) {
    return {(a.read_bytes_per_s + b.read_bytes_per_s) / 2, (a.int8_ops_per_s + b.int8_ops_per_s) / 2,
            (a.bf16_ops_per_s + b.bf16_ops_per_s) / 2, (a.f32_ops_per_s + b.f32_ops_per_s) / 2};
}

}  // namespace wallaby::bench
