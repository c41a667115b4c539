#include "planner/limit.h"

#include <algorithm>
#include <variant>

#include "ops/cost.h"
#include "planner/speeds.h"

namespace wallaby::planner {
namespace {

// Operations by the rate at which they can be done.
struct Operations {
    double int8 = 0, bf16 = 0, f32 = 0;
};

Operations operations_of(const ops::Model& model, const ops::Op& op, const ops::Cost& cost, quant::Type k_type,
                         const Rates& rates) {
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

void add(Limit& limit, const Operations& operations, uint64_t n_bytes, const Rates& rates) {
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

Limit limit_of(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type, const Rates& rates) {
    const ops::Program& program = model.programs.front();
    Limit limit;
    for_each_step(program, work, [&](const ops::Extent& step) {
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

}  // namespace wallaby::planner
