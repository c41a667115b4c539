// Matmuls: inputs made ready once, then tiles of all matrices that are ready together, taken by threads in order.
#include <algorithm>
#include <bit>

#include "backends/cpu/executable.h"
#include "kernels/tiles.h"

namespace wallaby::backends::cpu {
namespace {

// Weights that a thread streams at a time when columns are few: long enough to hide taking the next piece, short enough
// that threads end together.
constexpr uint64_t narrow_task_bytes = 40 * 1024;
// Unpacked weights that a thread holds when columns are many: a part of a second-level cache. As many tiles as one
// block of a wide matmul has, so that activations are read as seldom as can be.
constexpr uint64_t wide_task_bytes = 640 * 1024, most_wide_tiles = 8;

// The kernels of float32, for the panel that weights of a format without its own are decoded to.
bool has_kernel(const kernels::Matmul& m) { return m.run != nullptr; }

uint32_t tiles_per_task(const ops::Weight& w, const kernels::Table& kernels, bool is_wide) {
    const kernels::Matmul m = kernels.matmul(w.type);
    if (!has_kernel(m)) { return 1; }  // decoded one by one
    uint64_t fits = narrow_task_bytes / kernels::tile_bytes(w.type, w.n_in), together = 1;
    if (is_wide) {
        const uint64_t panel = m.scratch_bytes(w.n_in, kernels::tile_rows);
        fits = panel == 0 ? most_wide_tiles : std::min(wide_task_bytes / panel, most_wide_tiles);
        together = kernels.wide_tiles;
    }
    return uint32_t(std::min<uint64_t>(std::max(fits / together * together, together), kernels::n_tiles(w.n_out)));
}

}  // namespace

uint64_t CpuExecutable::operand_bytes(const ops::Program& program, const Operand& operand, uint64_t n_batch,
                                      const kernels::Table& kernels) {
    if (operand.ids == ops::none) {
        const uint64_t n_inputs = program.values[operand.value].width / operand.n_in;
        return (kernels.activation_bytes(operand.kind, operand.n_in, uint32_t(n_batch * n_inputs)) + 63) / 64 * 64;
    }
    // Each expert's columns are filled up to the width of a group and the start of a cache line.
    const uint64_t n_columns = n_batch * operand.n_used, n_parts = std::min<uint64_t>(operand.n_expert, n_columns);
    return (n_columns + 3 * n_parts) * kernels.activation_bytes(operand.kind, operand.n_in, 1) + 64 * n_parts;
}

uint64_t CpuExecutable::panel_bytes(const ops::Weight& w, const kernels::Table& kernels) {
    const kernels::Matmul m = kernels.matmul(w.type);
    const uint64_t n_bytes = has_kernel(m)
                                 ? m.scratch_bytes(w.n_in, kernels::tile_rows * tiles_per_task(w, kernels, true))
                                 : uint64_t(w.n_in) * (kernels::tile_rows + 1) * sizeof(float);
    return (n_bytes + 63) / 64 * 64;
}

// The panel, and behind it what Weights::tiles packs in.
uint64_t CpuExecutable::matmul_worker_bytes(const ops::Weight& w, const kernels::Table& kernels, WeightsIn weights_in) {
    const uint64_t n_tiles = std::max(tiles_per_task(w, kernels, false), tiles_per_task(w, kernels, true));
    const uint64_t packed = weights_in == WeightsIn::file ? 2 * n_tiles * kernels::tile_bytes(w.type, w.n_in) : 0;
    return panel_bytes(w, kernels) + packed;
}

// Columns in the order of their experts, and of the batch within one.
void CpuExecutable::sort_columns(const Operand& operand, Prepared& prepared) {
    const auto n = uint32_t(n_rows(operand.value));
    prepared.columns.clear();
    prepared.parts.clear();
    if (operand.ids == ops::none) {
        const uint32_t n_inputs = width(operand.value) / operand.n_in;
        for (uint32_t i = 0; i < n * n_inputs; i++) { prepared.columns.push_back({i / n_inputs, i % n_inputs, 0}); }
        prepared.parts.push_back({0, 0, n * n_inputs, nullptr});
        return;
    }
    std::vector<uint32_t> end(operand.n_expert, 0);
    const auto expert = [&](uint32_t i, uint32_t slot) { return std::bit_cast<uint32_t>(row(operand.ids, i)[slot]); };
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t slot = 0; slot < operand.n_used; slot++) { end[expert(i, slot)]++; }
    }
    uint32_t first = 0;
    std::vector<uint32_t> part_of(operand.n_expert, 0);
    for (uint32_t e = 0; e < operand.n_expert; e++) {
        part_of[e] = uint32_t(prepared.parts.size());
        if (end[e] != 0) { prepared.parts.push_back({e, first, end[e], nullptr}); }
        const uint32_t n_of_expert = end[e];
        end[e] = first;
        first += n_of_expert;
    }
    prepared.columns.resize(first);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t slot = 0; slot < operand.n_used; slot++) {
            const uint32_t e = expert(i, slot);
            prepared.columns[end[e]++] = {i, slot, part_of[e]};
        }
    }
}

// The input of a column.
const float* CpuExecutable::input_of(const Operand& operand, const Column& column) {
    const bool is_shared = width(operand.value) == operand.n_in;  // one input for all experts of a row
    return row(operand.value, column.row) + (is_shared ? 0 : uint64_t(column.slot) * operand.n_in);
}

void CpuExecutable::write_column(const Operand& operand, const Prepared& prepared, uint64_t c) {
    const Column& column = prepared.columns[c];
    const Part& part = prepared.parts[column.part];
    kernels_.write_activations(operand.kind, input_of(operand, column), operand.n_in, part.n, uint32_t(c) - part.first,
                               part.activations);
}

// Whether column i of the operand is row i of the batch, so that whoever has computed the row can write it.
bool CpuExecutable::is_by_row(const Operand& operand) const {
    const ops::Value& value = program_->values[operand.value];
    return operand.ids == ops::none && value.width == operand.n_in && value.rows == ops::Rows::tokens;
}

void CpuExecutable::place(const Operand& operand, Prepared& prepared, uint8_t*& at) {
    sort_columns(operand, prepared);
    for (Part& part : prepared.parts) {
        part.activations = at;
        at += (kernels_.activation_bytes(operand.kind, operand.n_in, part.n) + 63) / 64 * 64;
    }
}

// The step's row ops and the inputs of its matmuls. Columns that lie together are one thread's, where there are enough:
// they share cache lines.
void CpuExecutable::run_rows(const Step& step) {
    const uint64_t n_rows = batch_->rows.size(), together = kernels_.columns_at_once;
    const auto for_each_column = [&](uint64_t n, const auto& work) {
        const uint64_t n_per_task = n >= 4 * together ? together : 1;
        for_each((n + n_per_task - 1) / n_per_task, 2, [&](uint64_t task, unsigned worker) {
            const uint64_t end = std::min(n, (task + 1) * n_per_task);
            for (uint64_t i = task * n_per_task; i < end; i++) { work(i, worker); }
        });
    };
    uint8_t* at = operands_.data();
    prepared_.resize(std::max(prepared_.size(), step.operands.size()));
    bool any_by_row = false;
    for (size_t o = 0; o < step.operands.size(); o++) {
        if (!is_by_row(step.operands[o])) { continue; }
        any_by_row = true;
        place(step.operands[o], prepared_[o], at);
    }
    if (any_by_row || !step.row_ops.empty()) {
        for_each_column(n_rows, [&](uint64_t i, unsigned worker) {
            run_row(step, uint32_t(i), worker);
            for (size_t o = 0; o < step.operands.size(); o++) {
                if (is_by_row(step.operands[o])) { write_column(step.operands[o], prepared_[o], i); }
            }
        });
    }
    if (error_ || is_stopped()) { return; }
    for (size_t o = 0; o < step.operands.size(); o++) {
        const Operand& operand = step.operands[o];
        if (is_by_row(operand)) { continue; }
        Prepared& prepared = prepared_[o];
        place(operand, prepared, at);
        for_each_column(prepared.columns.size(), [&](uint64_t c, unsigned) { write_column(operand, prepared, c); });
    }
}

// The inputs as they were before any rounding: an operand's value lives until its matmuls are done.
void CpuExecutable::show_inputs(const Step& step) {
    std::vector<const float*> rows;
    for (const Step::Wide& wide : step.wide) {
        if (wide.operand == ops::none) { continue; }
        const Prepared& input = prepared_[wide.operand];
        for (const Part& part : input.parts) {
            rows.clear();
            for (uint32_t c = part.first; c < part.first + part.n; c++) {
                rows.push_back(input_of(step.operands[wide.operand], input.columns[c]));
            }
            if (!rows.empty()) { (*batch_->observer)(program_->ops[wide.op].weight[0], part.expert, rows); }
        }
    }
}

CpuExecutable::Job CpuExecutable::matmul_job(const ops::Op& op, const Prepared& input) {
    const ops::Weight& w = model_.weights[op.weight[0]];
    Job job;
    job.op = &op;
    job.input = &input;
    job.kernel = kernels_.matmul(w.type);
    uint32_t widest = 0;
    for (const Part& part : input.parts) { widest = std::max(widest, part.n); }
    job.tiles_per_task = tiles_per_task(w, kernels_, widest > job.kernel.narrow_columns);
    job.panel_bytes = panel_bytes(w, kernels_);
    job.tasks_per_matrix = (kernels::n_tiles(w.n_out) + job.tiles_per_task - 1) / job.tiles_per_task;
    job.n_tasks = job.tasks_per_matrix * input.parts.size();
    for (const Column& c : input.columns) { job.out.push_back(row(op.out[0], c.row) + uint64_t(c.slot) * w.n_out); }
    return job;
}

void CpuExecutable::run_matmul(const Job& job, uint64_t task, unsigned worker) {
    const ops::Op& op = *job.op;
    const ops::Weight& w = model_.weights[op.weight[0]];
    const Part& part = job.input->parts[task / job.tasks_per_matrix];
    const auto first_tile = uint32_t(task % job.tasks_per_matrix * job.tiles_per_task);
    const uint32_t first_row = first_tile * kernels::tile_rows;
    auto tiles = weights_.tiles(op.weight[0], part.expert, first_tile,
                                std::min(job.tiles_per_task, kernels::n_tiles(w.n_out) - first_tile),
                                worker_scratch(worker) + job.panel_bytes);
    if (!tiles.ok()) { return fail(std::move(tiles).error()); }

    kernels::MatmulArgs args;
    args.tiles = *tiles;
    args.n_in = w.n_in;
    args.n_rows = std::min(job.tiles_per_task * kernels::tile_rows, w.n_out - first_row);
    args.activations = part.activations;
    args.n_columns = part.n;
    args.scratch = worker_scratch(worker);
    args.out = job.out.data() + part.first;
    args.first_out = first_row;
    if (const float* bias = weights_.vector(op.weight[1])) {
        args.bias = bias + uint64_t(part.expert) * w.n_out + first_row;
    }
    if (const float* scale = weights_.vector(op.weight[2])) { args.scale = scale[part.expert]; }
    args.scale_bias = std::get<ops::Matmul>(op.spec).scale_bias;
    if (has_kernel(job.kernel)) { return job.kernel.run(args); }

    // Rows decoded to float32, sixteen side by side.
    const quant::Format& format = quant::format_of(w.type);
    const uint64_t row_bytes = uint64_t(w.n_in) / format.block_len * format.block_bytes;
    auto* panel = reinterpret_cast<float*>(worker_scratch(worker));
    float* decoded = panel + uint64_t(w.n_in) * kernels::tile_rows;
    const uint8_t* rows = args.tiles;
    args.tiles = worker_scratch(worker);
    const kernels::Matmul f32 = kernels_.matmul(quant::Type::f32);
    const uint32_t n_all = args.n_rows;
    for (uint32_t r = 0; r < n_all; r += kernels::tile_rows, rows += kernels::tile_rows * row_bytes) {
        for (uint32_t i = 0; i < kernels::tile_rows; i++) {
            format.decode(rows + i * row_bytes, decoded, w.n_in / format.block_len);
            for (uint32_t k = 0; k < w.n_in; k++) { panel[uint64_t(k) * kernels::tile_rows + i] = decoded[k]; }
        }
        args.n_rows = std::min(kernels::tile_rows, n_all - r);
        f32.run(args);
        args.first_out += kernels::tile_rows;
        if (args.bias != nullptr) { args.bias += kernels::tile_rows; }
    }
}

}  // namespace wallaby::backends::cpu
