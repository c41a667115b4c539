// Convolutions and scans: as the reference back end defines them, in double. They read little next to the matmuls.
#include <algorithm>

#include "backends/cpu/executable.h"
#include "backends/reference/kernels.h"

namespace wallaby::backends::cpu {

const float* CpuExecutable::state_before(ops::StateId id, uint32_t sequence) const {
    const kv::SlotId slot = batch_->sequences[sequence].slot_from;
    return slot == kv::no_slot ? nullptr : recurrent_[id] + slot * model_.states[id].n_elements;
}

float* CpuExecutable::state_after(ops::StateId id, uint32_t sequence) const {
    return recurrent_[id] + batch_->sequences[sequence].slot_to * model_.states[id].n_elements;
}

// Tasks: a sequence of a convolution, a head of a sequence of a scan.
CpuExecutable::Job CpuExecutable::recurrent_job(const ops::Op& op) {
    Job job;
    job.op = &op;
    job.n_tasks = sequence_rows_.size();
    if (const auto* scan = std::get_if<ops::Scan>(&op.spec)) { job.n_tasks *= scan->n_heads; }
    return job;
}

void CpuExecutable::run_conv(const ops::Op& op, uint64_t task) {
    const auto& spec = std::get<ops::Conv>(op.spec);
    const auto q = uint32_t(task);
    const std::vector<uint32_t>& rows = sequence_rows_[q];
    if (rows.empty()) { return; }
    const uint32_t n = width(op.in[0]), n_kept = spec.taps - 1;
    const std::vector<float> zeros(n, 0.0f);
    const float* before = state_before(op.state, q);
    // Input `i` of the sequence's stream: those that the state holds, then the step's.
    const auto input = [&](uint64_t i) -> const float* {
        if (i >= n_kept) { return row(op.in[0], rows[i - n_kept]); }
        return before == nullptr ? zeros.data() : before + i * n;
    };
    std::vector<const float*> taps(spec.taps);
    for (uint64_t i = 0; i < rows.size() && !is_stopped(); i++) {
        for (uint32_t j = 0; j < spec.taps; j++) { taps[j] = input(i + j); }
        reference::convolve(spec, weights_.vector(op.weight[0]), weights_.vector(op.weight[1]), taps.data(),
                            row(op.out[0], rows[i]), n);
    }
    for (uint32_t j = 0; j < n_kept; j++) {
        std::copy_n(input(rows.size() + j), n, state_after(op.state, q) + uint64_t(j) * n);
    }
}

void CpuExecutable::run_scan(const ops::Op& op, uint64_t task) {
    const auto& spec = std::get<ops::Scan>(op.spec);
    const uint64_t n_state = uint64_t(spec.head) * spec.d_state;
    const auto q = uint32_t(task / spec.n_heads);
    const auto h = uint32_t(task % spec.n_heads);
    if (sequence_rows_[q].empty()) { return; }
    const reference::ScanHead head{h, weights_.vector(op.weight[0])[h], weights_.vector(op.weight[1])[h],
                                   weights_.vector(op.weight[2])[h]};
    const float* before = state_before(op.state, q);
    float* state = state_after(op.state, q) + h * n_state;
    if (before == nullptr) {
        std::fill_n(state, n_state, 0.0f);
    } else {
        std::copy_n(before + h * n_state, n_state, state);
    }
    for (const uint32_t i : sequence_rows_[q]) {
        if (is_stopped()) { return; }
        reference::scan(spec, head, row(op.in[0], i), row(op.in[1], i)[h], state,
                        row(op.out[0], i) + uint64_t(h) * spec.head);
    }
}

}  // namespace wallaby::backends::cpu
