// LoRA adapters: after the matmuls of a step, what the adapters of each sequence add to their results. The two thin
// products are kernels of plain numbers, so that their bits depend on nothing either: a column's result comes first
// from the matrix, then each adapter's is added to it, in the sequence's order.
#include <algorithm>

#include "backends/adapter.h"
#include "backends/cpu/executable.h"
#include "kernels/tiles.h"

namespace wallaby::backends::cpu {
namespace {

// Columns of one sequence that share the reads of both factors.
constexpr uint32_t most_columns = 32;
// Tiles that are unpacked at a time where columns are many.
constexpr uint32_t most_tiles = 8;

// A factor in tiles, of n_matrices matrices.
struct Packed {
    quant::Type type = quant::Type::f32;
    uint32_t n_in = 0, n_out = 0;
    std::vector<uint8_t> tiles;

    uint64_t matrix_bytes() const { return kernels::packed_bytes(type, n_in, n_out); }
    const uint8_t* matrix(uint32_t i) const { return tiles.data() + i * matrix_bytes(); }
};

// Rows [first, first + n_out) of each matrix of n_all rows.
Packed pack(const gguf::Factor& factor, uint32_t n_matrices, uint64_t n_all, uint64_t first, uint32_t n_out) {
    Packed out{factor.type, uint32_t(factor.width), n_out, {}};
    const uint64_t tile_bytes = kernels::tile_bytes(out.type, out.n_in);
    out.tiles.resize(n_matrices * out.matrix_bytes());
    uint8_t* at = out.tiles.data();
    for (uint32_t m = 0; m < n_matrices; m++) {
        for (uint32_t r = 0; r < n_out; r += kernels::tile_rows, at += tile_bytes) {
            kernels::pack_tile(out.type, out.n_in, factor.row(m * n_all + first + r),
                               std::min(kernels::tile_rows, n_out - r), at);
        }
    }
    return out;
}

class CpuAdapter final : public Adapter {
  public:
    struct Change {
        float strength = 1;
        Packed a, b;  // of no rows where the weight stays as it is
    };
    CpuAdapter(const Executable& of, std::vector<Change> by_weight) : Adapter(of), by_weight_(std::move(by_weight)) {}
    // nullptr where the weight stays as it is.
    const Change* change(ops::WeightId id) const { return by_weight_[id].a.n_out == 0 ? nullptr : &by_weight_[id]; }

  private:
    std::vector<Change> by_weight_;
};

const CpuAdapter::Change* change_of(const Batch::Sequence::Adapted& adapted, ops::WeightId id) {
    return static_cast<const CpuAdapter*>(adapted.adapter)->change(id);
}

// A vector's beginning at a cache line.
uint8_t* aligned(std::vector<uint8_t>& bytes, uint64_t n) {
    bytes.resize(std::max<uint64_t>(bytes.size(), n + 64));
    return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64;
}

}  // namespace

Result<std::unique_ptr<const Adapter>> CpuExecutable::adapt(std::shared_ptr<const gguf::Adapter> adapter) const {
    WALLABY_TRY(const std::vector<Change> changes, changes_of(model_, *adapter));
    std::vector<CpuAdapter::Change> packed(changes.size());
    for (ops::WeightId id = 0; id < changes.size(); id++) {
        const auto& [factors, first_row, strength] = changes[id];
        if (factors == nullptr) { continue; }
        const ops::Weight& w = model_.weights[id];
        packed[id] = {float(strength), pack(factors->a, w.n_expert, factors->rank, 0, factors->rank),
                      pack(factors->b, w.n_expert, factors->n_out, first_row, w.n_out)};
    }
    return std::unique_ptr<const Adapter>(std::make_unique<CpuAdapter>(*this, std::move(packed)));
}

uint32_t CpuExecutable::sequence_of(ops::ValueId value, uint32_t row) const {
    const bool is_output = program_->values[value].rows == ops::Rows::outputs;
    return batch_->rows[is_output ? outputs_[row] : row].sequence;
}

// The runs of columns of one sequence, and of one part, that any adapter changes.
void CpuExecutable::find_additions(const Step& step) {
    additions_.clear();
    for (size_t j = 0; j < step.wide.size(); j++) {
        if (step.wide[j].operand == ops::none) { continue; }
        const Operand& operand = step.operands[step.wide[j].operand];
        const Prepared& input = prepared_[step.wide[j].operand];
        const ops::WeightId weight = program_->ops[step.wide[j].op].weight[0];
        const auto n_columns = uint32_t(input.columns.size());
        for (uint32_t c = 0, end = 0; c < n_columns; c = end) {
            const uint32_t sequence = sequence_of(operand.value, input.columns[c].row);
            end = c + 1;
            while (end < n_columns && end - c < most_columns && input.columns[end].part == input.columns[c].part &&
                   sequence_of(operand.value, input.columns[end].row) == sequence) {
                end++;
            }
            const auto& adapters = batch_->sequences[sequence].adapters;
            if (std::ranges::any_of(adapters, [&](const auto& a) { return change_of(a, weight) != nullptr; })) {
                additions_.push_back({&jobs_[j], &operand, sequence, c, end - c});
            }
        }
    }
}

void CpuExecutable::run_adapters(const Step& step) {
    find_additions(step);
    adapt_scratch_.resize(pool_.size());
    for_each(additions_.size(), 1, [&](uint64_t i, unsigned worker) { add(additions_[i], adapt_scratch_[worker]); });
}

// results [column][n_out] = factor * W x
void CpuExecutable::multiply_plain(const kernels::MatmulArgs& columns, quant::Type type, uint32_t n_out,
                                   AdaptScratch& scratch) const {
    const kernels::Matmul kernel = kernels_.matmul(type);
    kernels::MatmulArgs args = columns;
    const uint64_t tile_bytes = kernels::tile_bytes(type, args.n_in);
    const uint32_t n_at_once = most_tiles * kernels::tile_rows;
    args.scratch = aligned(scratch.panel, kernel.scratch_bytes(args.n_in, n_at_once));
    for (uint32_t row = 0; row < n_out; row += n_at_once) {
        args.n_rows = std::min(n_at_once, n_out - row);
        args.first_out = row;
        kernel.run(args);
        args.tiles += most_tiles * tile_bytes;
    }
}

void CpuExecutable::add(const Addition& addition, AdaptScratch& s) {
    const Job& job = *addition.job;
    const ops::Op& op = *job.op;
    const uint32_t n = addition.n;
    const ops::Weight& w = model_.weights[op.weight[0]];
    const Column* const columns = job.input->columns.data() + addition.first;
    const uint32_t expert = job.input->parts[columns[0].part].expert;
    const float* const scale = weights_.vector(op.weight[2]);
    // As the kernel of a factor of this type reads them.
    const auto write = [&](std::vector<uint8_t>& bytes, quant::Type type, uint32_t n_in, const auto& row) {
        const kernels::Activations kind = kernels_.matmul(type).activations;
        uint8_t* const at = aligned(bytes, kernels_.activation_bytes(kind, n_in, n));
        for (uint32_t i = 0; i < n; i++) { kernels_.write_activations(kind, row(i), n_in, n, i, at); }
        return at;
    };
    const auto rows_of = [&](std::vector<float>& values, uint32_t width) {
        values.resize(std::max<size_t>(values.size(), size_t(n) * width));
        s.out.clear();
        for (uint32_t i = 0; i < n; i++) { s.out.push_back(values.data() + size_t(i) * width); }
        return s.out.data();
    };
    for (const Batch::Sequence::Adapted& adapted : batch_->sequences[addition.sequence].adapters) {
        if (is_stopped()) { return; }
        const CpuAdapter::Change* const change = change_of(adapted, op.weight[0]);
        if (change == nullptr) { continue; }
        const uint32_t rank = change->a.n_out;
        kernels::MatmulArgs args;
        args.n_columns = n;
        args.n_in = w.n_in;
        args.tiles = change->a.matrix(expert);
        args.activations = write(s.inputs, change->a.type, w.n_in,
                                 [&](uint32_t i) { return input_of(*addition.operand, columns[i]); });
        args.out = rows_of(s.products, rank);
        multiply_plain(args, change->a.type, rank, s);
        args.activations =
            write(s.middle, change->b.type, rank, [&](uint32_t i) { return s.products.data() + size_t(i) * rank; });
        args.n_in = rank;
        args.tiles = change->b.matrix(expert);
        args.out = rows_of(s.results, w.n_out);
        args.scale = adapted.scale * change->strength;
        if (scale != nullptr) { args.scale *= scale[expert]; }
        multiply_plain(args, change->b.type, w.n_out, s);
        for (uint32_t i = 0; i < n; i++) {
            float* const out = job.out[addition.first + i];
            kernels_.add(out, s.out[i], out, w.n_out);
        }
    }
}

}  // namespace wallaby::backends::cpu
