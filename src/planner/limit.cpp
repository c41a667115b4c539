#include "planner/limit.h"

#include <fmt/format.h>

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

void add(Limit& limit, const ops::Model& model, const ops::Op& op, const ops::Cost& cost, quant::Type k_type,
         const Rates& rates) {
    const Operations operations = operations_of(model, op, cost, k_type, rates);
    const uint64_t n_bytes = cost.weight_bytes + cost.state_read + cost.state_written;
    limit.bytes += n_bytes;
    limit.operations += 2 * cost.macs;
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

// each(op, its cost) of every step.
template <class Each>
void for_each_op(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type, const Each& each) {
    const ops::Program& program = model.programs.front();
    for_each_step(program, work, [&](const ops::Extent& step) {
        for (const ops::Op& op : program.ops) { each(op, ops::cost(model, program, op, step, k_type, v_type)); }
    });
}

}  // namespace

std::string_view Limit::limiter() const {
    const double most = std::max({read_seconds, int8_seconds, bf16_seconds, f32_seconds});
    if (most == read_seconds) { return "read"; }
    return most == int8_seconds ? "int8" : most == bf16_seconds ? "bf16" : "f32";
}

Limit limit_of(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type, const Rates& rates) {
    Limit limit;
    for_each_op(model, work, k_type, v_type,
                [&](const ops::Op& op, const ops::Cost& cost) { add(limit, model, op, cost, k_type, rates); });
    return limit;
}

std::vector<KindLimit> limits_by_kind(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type,
                                      const Rates& rates) {
    std::vector<KindLimit> kinds;
    for_each_op(model, work, k_type, v_type, [&](const ops::Op& op, const ops::Cost& cost) {
        std::string name(ops::name_of(op.spec));
        if (std::holds_alternative<ops::Matmul>(op.spec)) {
            name += fmt::format(" {}", quant::format_of(model.weights[op.weight[0]].type).name);
        }
        auto kind = std::ranges::find(kinds, name, &KindLimit::name);
        if (kind == kinds.end()) { kind = kinds.insert(kind, {std::move(name), {}}); }
        add(kind->limit, model, op, cost, k_type, rates);
    });
    return kinds;
}

}  // namespace wallaby::planner
