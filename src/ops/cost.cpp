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
        return program.values[id].rows == Rows::outputs ? extent.n_outputs() : extent.n_tokens();
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
        c.weight_bytes = extent.n_tokens() * row_bytes(weight(0)->type, weight(0)->n_in);
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
        c.transcendental = extent.n_tokens() * rope.n_dims;
        return c;
    }
    Cost operator()(const Append&) const {
        Cost c = base();
        const State& s = model.states[op.state];
        const uint64_t width = uint64_t(s.n_heads) * s.head;
        c.state_written = extent.n_tokens() * (row_bytes(k_type, width) + row_bytes(v_type, width));
        return c;
    }
    Cost operator()(const Attend& attend) const {
        Cost c = base();
        const State& s = model.states[op.state];
        const uint64_t width = uint64_t(s.n_heads) * s.head;
        const uint64_t scores = extent.keys_visited(attend.window) * attend.n_heads;
        c.macs = 2 * scores * attend.head;
        c.transcendental = scores * (attend.softcap == 0 ? 1 : 2);
        c.weight_bytes = vector_bytes(0);
        c.state_read = extent.keys_stored(attend.window) * (row_bytes(k_type, width) + row_bytes(v_type, width));
        return c;
    }
    // A recurrent state is read and written once per sequence and step.
    Cost recurrent() const {
        Cost c = base();
        c.weight_bytes = vector_bytes(0);
        c.state_read = c.state_written = extent.sequences.size() * model.states[op.state].n_elements * sizeof(float);
        return c;
    }
    Cost operator()(const Conv& conv) const {
        Cost c = recurrent();
        c.macs = elements(op.in[0]) * conv.taps;
        return c;
    }
    Cost operator()(const Scan& scan) const {
        Cost c = recurrent();
        // Per element of the state: its decay, its input, its share of the output.
        c.macs = extent.n_tokens() * model.states[op.state].n_elements * 3 + elements(op.out[0]);
        c.transcendental = 3 * extent.n_tokens() * scan.n_heads;
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

uint64_t Extent::n_tokens() const {
    uint64_t n = 0;
    for (const Sequence& s : sequences) { n += s.n_tokens; }
    return n;
}

uint64_t Extent::n_outputs() const {
    uint64_t n = 0;
    for (const Sequence& s : sequences) { n += s.n_outputs; }
    return n;
}

uint64_t Extent::keys_visited(uint64_t window) const {
    uint64_t n = 0;
    for (const Sequence& s : sequences) {
        // The first tokens see all there is, n_past + 1, n_past + 2 …; the others a whole window.
        const uint64_t n_whole = window == 0 ? s.n_tokens : std::min(s.n_tokens, window - std::min(window, s.n_past));
        n += n_whole * s.n_past + n_whole * (n_whole + 1) / 2 + (s.n_tokens - n_whole) * window;
    }
    return n;
}

uint64_t Extent::keys_stored(uint64_t window) const {
    uint64_t n = 0;
    for (const Sequence& s : sequences) {
        const uint64_t all = s.n_past + s.n_tokens;
        n += window == 0 ? all : std::min(all, s.n_tokens + window - 1);
    }
    return n;
}

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
    const Coster coster{model, program, op, extent, k_type, v_type};
    // Of a step without outputs nothing is done after the rows were selected, and no weight is read for it.
    const ValueId first = op.out[0] == none ? op.in[0] : op.out[0];
    if (coster.rows(first) == 0) { return {}; }
    return std::visit(coster, op.spec);
}

}  // namespace wallaby::ops
