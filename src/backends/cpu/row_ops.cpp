// What goes row by row.
#include <algorithm>

#include "backends/cpu/executable.h"
#include "backends/reference/kernels.h"
#include "base/math.h"

namespace wallaby::backends::cpu {

// Cosines and sines of every row's position, once per step: [table][row][n_dims / 2] each, cosines first.
void CpuExecutable::turn_angles() {
    uint64_t at = 0;
    angle_offsets_.clear();
    for (const ops::RopeTable& table : model_.rope_tables) {
        angle_offsets_.push_back(at);
        at += 2 * table.frequency.size() * plan_.settings.n_batch;
    }
    for_each(batch_->rows.size(), 2, [&](uint64_t i, unsigned) {
        for (size_t t = 0; t < model_.rope_tables.size(); t++) {
            const ops::RopeTable& table = model_.rope_tables[t];
            const size_t n = table.frequency.size();
            float* cosines = angles_.data() + angle_offsets_[t] + 2 * n * i;
            for (size_t j = 0; j < n; j++) {
                const double angle = double(batch_->rows[i].position) * table.frequency[j];
                cosines[j] = float(base::cos(angle) * table.magnitude);
                cosines[n + j] = float(base::sin(angle) * table.magnitude);
            }
        }
    });
}

void CpuExecutable::run_row(const Step& step, uint32_t i, unsigned worker) {
    for (const uint32_t op_index : step.row_ops) {
        const ops::Op& op = program_->ops[op_index];
        // An op on outputs is part of its token's row.
        const ops::ValueId shape = op.out[0] == ops::none ? op.in[0] : op.out[0];
        uint32_t place = i;
        if (program_->values[shape].rows == ops::Rows::outputs) { place = output_of_[i]; }
        if (place != ops::none) { run_op(op, place, worker); }
    }
}

void CpuExecutable::run_op(const ops::Op& op, uint32_t i, unsigned worker) {
    struct Visitor {
        CpuExecutable& e;
        const ops::Op& op;
        uint32_t i;
        unsigned worker;
        const kernels::Table& k = e.kernels_;

        uint32_t n() const { return e.width(op.in[0]); }
        const float* in(size_t j) const { return e.row(op.in[j], i); }
        float* out(size_t j) const { return e.row(op.out[j], i); }

        void operator()(const ops::Embed& spec) const { e.embed(op, spec, i, worker); }
        void operator()(const ops::Norm& spec) const { e.norm(op, spec, i); }
        void operator()(const ops::Rope& spec) const { e.rope(op, spec, i); }
        void operator()(const ops::Append&) const { e.append(op, i); }
        void operator()(const ops::Pointwise& spec) const {
            switch (spec.kind) {
                case ops::Pointwise::Kind::add: return k.add(in(0), in(1), out(0), n());
                case ops::Pointwise::Kind::gelu_tanh: return k.gelu_tanh(in(0), out(0), n());
                case ops::Pointwise::Kind::silu: return k.silu(in(0), out(0), n());
                case ops::Pointwise::Kind::softcap: return k.softcap(in(0), spec.a, out(0), n());
            }
        }
        void operator()(const ops::Gate& spec) const {
            kernels::GateArgs args;
            switch (spec.act) {
                case ops::Gate::Act::silu: args.act = kernels::GateArgs::Act::silu; break;
                case ops::Gate::Act::gelu_tanh: args.act = kernels::GateArgs::Act::gelu_tanh; break;
                case ops::Gate::Act::clamped_silu: args.act = kernels::GateArgs::Act::clamped_silu; break;
            }
            args.alpha = spec.alpha;
            args.limit = spec.limit;
            args.x = in(0);
            args.other = in(1);
            args.out = out(0);
            args.n = n();
            k.gate(args);
        }
        void operator()(const ops::Route& spec) const { reference::route(spec, in(0), out(0), out(1)); }
        void operator()(const ops::Combine& spec) const {
            k.combine(in(0), in(1), spec.n_used, out(0), e.width(op.out[0]));
        }
        void operator()(const ops::Select&) const { std::copy_n(e.row(op.in[0], e.outputs_[i]), n(), out(0)); }
        // The wide ones are scheduled apart.
        void operator()(const ops::Matmul&) const {}
        void operator()(const ops::Attend&) const {}
        void operator()(const ops::Conv&) const {}
        void operator()(const ops::Scan&) const {}
    };
    std::visit(Visitor{*this, op, i, worker}, op.spec);
}

void CpuExecutable::embed(const ops::Op& op, const ops::Embed& spec, uint32_t i, unsigned worker) {
    const Batch::Row& r = batch_->rows[i];
    const uint64_t which = spec.by == ops::Embed::By::token ? uint64_t(r.token) : r.position;
    float* out = row(op.out[0], i);
    if (auto read = weights_.row(op.weight[0], which, out, worker_scratch(worker)); !read.ok()) {
        return fail(std::move(read).error());
    }
    if (spec.scale != 1) { kernels_.scale(out, spec.scale, out, width(op.out[0])); }
}

void CpuExecutable::norm(const ops::Op& op, const ops::Norm& spec, uint32_t i) {
    kernels::NormArgs args;
    args.x = row(op.in[0], i);
    args.out = row(op.out[0], i);
    args.gain = weights_.vector(op.weight[0]);
    args.bias = weights_.vector(op.weight[1]);
    args.width = width(op.in[0]);
    args.group = spec.group;
    args.eps = spec.eps;
    args.is_layer = spec.kind == ops::Norm::Kind::layer;
    args.per_group = model_.weights[op.weight[0]].n_elements() != spec.group;
    kernels_.norm(args);
}

void CpuExecutable::rope(const ops::Op& op, const ops::Rope& spec, uint32_t i) {
    const uint64_t n = spec.n_dims / 2;
    // A row of outputs stands at its token's position.
    const bool is_output = program_->values[op.in[0]].rows == ops::Rows::outputs;
    kernels::RopeArgs args;
    args.x = row(op.in[0], i);
    args.out = row(op.out[0], i);
    args.width = width(op.in[0]);
    args.head = spec.head;
    args.n_dims = spec.n_dims;
    args.halves = spec.kind == ops::Rope::Kind::halves;
    args.cosines = angles_.data() + angle_offsets_[spec.table] + 2 * n * (is_output ? outputs_[i] : i);
    args.sines = args.cosines + n;
    kernels_.rope(args);
}

}  // namespace wallaby::backends::cpu
