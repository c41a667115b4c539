#include "ops/cost.h"

#include <algorithm>

namespace wallaby::ops {
namespace {

uint64_t row_bytes(quant::Type type, uint64_t width) {
    const quant::Format& format = quant::format_of(type);
    return width / format.block_len * format.block_bytes;
}

struct Coster {
    const Model& model;
    const Program& program;
    const Op& op;
    const Extent& extent;
    quant::Type k_type, v_type;

    uint64_t rows(ValueId id) const {
        return program.values[id].rows == Rows::outputs ? extent.n_outputs : extent.n_tokens;
    }
    uint64_t elements(ValueId id) const { return id == none ? 0 : rows(id) * program.values[id].width; }
    const Weight* weight(size_t i) const { return op.weight[i] == none ? nullptr : &model.weights[op.weight[i]]; }

    Cost base() const {
        Cost c;
        for (const ValueId id : op.in) { c.value_bytes += 4 * elements(id); }
        for (const ValueId id : op.out) { c.value_bytes += 4 * elements(id); }
        return c;
    }
    // Small vectors beside a matrix: read whole.
    uint64_t vector_bytes(size_t from) const {
        uint64_t n = 0;
        for (size_t i = from; i < op.weight.size(); i++) { n += weight(i) == nullptr ? 0 : weight(i)->n_bytes(); }
        return n;
    }

    Cost operator()(const Embed&) const {
        Cost c = base();
        c.weight_bytes = extent.n_tokens * row_bytes(weight(0)->type, weight(0)->n_in);
        return c;
    }
    Cost operator()(const Norm&) const {
        Cost c = base();
        c.macs = 2 * elements(op.in[0]);
        c.weight_bytes = vector_bytes(0);
        return c;
    }
    Cost operator()(const Matmul& matmul) const {
        Cost c = base();
        const Weight& w = *weight(0);
        const uint64_t n_used = matmul.n_used == 0 ? 1 : matmul.n_used;
        c.macs = rows(op.out[0]) * n_used * w.n_in * w.n_out;
        const double share = matmul.n_used == 0 ? 1.0 : std::min(1.0, extent.experts_hit / w.n_expert);
        c.weight_bytes = uint64_t(double(w.n_bytes() + vector_bytes(1)) * share);
        return c;
    }
    Cost operator()(const Rope& rope) const {
        Cost c = base();
        c.macs = 2 * elements(op.in[0]) / rope.head * rope.n_dims;
        c.transcendental = extent.n_tokens * rope.n_dims;
        return c;
    }
    Cost operator()(const Append&) const {
        Cost c = base();
        const State& s = model.states[op.state];
        const uint64_t width = uint64_t(s.n_heads) * s.head;
        c.state_written = extent.n_tokens * (row_bytes(k_type, width) + row_bytes(v_type, width));
        return c;
    }
    Cost operator()(const Attend& attend) const {
        Cost c = base();
        const State& s = model.states[op.state];
        const uint64_t width = uint64_t(s.n_heads) * s.head;
        c.macs = 2 * extent.keys_visited * attend.n_heads * attend.head;
        c.transcendental = extent.keys_visited * attend.n_heads;
        c.state_read = extent.keys_stored * (row_bytes(k_type, width) + row_bytes(v_type, width));
        return c;
    }
    Cost operator()(const Pointwise& p) const {
        Cost c = base();
        if (p.kind != Pointwise::Kind::add) { c.transcendental = elements(op.in[0]); }
        return c;
    }
    Cost operator()(const Gate&) const {
        Cost c = base();
        c.macs = elements(op.in[0]);
        c.transcendental = elements(op.in[0]);
        return c;
    }
    Cost operator()(const Route&) const {
        Cost c = base();
        c.transcendental = elements(op.in[0]);
        return c;
    }
    Cost operator()(const Combine&) const {
        Cost c = base();
        c.macs = elements(op.in[0]);
        return c;
    }
    Cost operator()(const Select&) const {
        Cost c;
        c.value_bytes = 2 * 4 * elements(op.out[0]);
        return c;
    }
};

}  // namespace

Cost& Cost::operator+=(const Cost& other) {
    macs += other.macs;
    transcendental += other.transcendental;
    weight_bytes += other.weight_bytes;
    state_read += other.state_read;
    state_written += other.state_written;
    value_bytes += other.value_bytes;
    return *this;
}

Cost cost(const Model& model, const Program& program, const Op& op, const Extent& extent, quant::Type k_type,
          quant::Type v_type) {
    return std::visit(Coster{model, program, op, extent, k_type, v_type}, op.spec);
}

}  // namespace wallaby::ops
