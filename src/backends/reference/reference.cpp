// The reference back end: loads tensors as they are in the file, decodes rows as they are used, and runs the op list
// in order. It is the slow truth of every other back end, and threaded enough that a 1B model answers.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "backends/adapter.h"
#include "backends/backend.h"
#include "backends/finite.h"
#include "backends/layout.h"
#include "backends/reference/kernels.h"
#include "backends/rules.h"
#include "base/arena.h"
#include "base/checked.h"
#include "base/float_environment.h"

namespace wallaby::backends {
namespace {

using namespace reference;

// Multiply-adds that a thread takes at a time: about a millisecond, so that a stop request is soon seen.
constexpr uint64_t macs_per_chunk = 1 << 20;
constexpr uint64_t max_rows_per_chunk = 64;

// The widest row that any matmul takes.
uint64_t widest_operand(const ops::Model& model) {
    uint64_t widest = 0;
    for (const ops::Program& program : model.programs) {
        for (const ops::Op& op : program.ops) {
            if (!std::holds_alternative<ops::Matmul>(op.spec)) { continue; }
            widest = std::max<uint64_t>(widest, program.values[op.in[0]].width);
        }
    }
    return widest;
}

uint64_t widest_program(const ops::Model& model) {
    uint64_t widest = 0;
    for (const ops::Program& program : model.programs) { widest = std::max(widest, lay_out(program).width); }
    return widest;
}

class ReferenceAdapter final : public Adapter {
  public:
    ReferenceAdapter(const Executable& of, std::shared_ptr<const gguf::Adapter> file, std::vector<Change> changes)
        : Adapter(of), file_(std::move(file)), changes_(std::move(changes)) {}
    const Change& change(ops::WeightId id) const { return changes_[id]; }

  private:
    std::shared_ptr<const gguf::Adapter> file_;  // has the factors of the changes
    std::vector<Change> changes_;                // by weight
};

class ReferenceExecutable final : public Executable {
  public:
    ReferenceExecutable(const ops::Model& model, const MemoryPlan& plan, threads::Pool& pool)
        : model_(model), plan_(plan), pool_(pool), scratch_(pool.size()) {}

    const MemoryPlan& plan() const override { return plan_; }
    Result<void> load(const gguf::WeightSource& source, const base::Progress& progress, const std::stop_token& stop);
    Result<void> run(uint32_t program, const Batch& batch, std::span<float> logits, std::stop_token stop) override;
    Result<std::unique_ptr<const Adapter>> adapt(std::shared_ptr<const gguf::Adapter> adapter) const override {
        WALLABY_TRY(std::vector<Change> changes, changes_of(model_, *adapter));
        return std::unique_ptr<const Adapter>(
            std::make_unique<ReferenceAdapter>(*this, std::move(adapter), std::move(changes)));
    }

  private:
    struct WorkerScratch {
        std::vector<float> rows;  // of a matrix, side by side
        AttendScratch attend;
    };
    // What an adapter adds to one matmul result: factor * B (A x).
    struct Addition {
        const Change* change = nullptr;
        double factor = 0;
        std::vector<double> ax;  // [rank]
    };
    // One matmul result: its input, the same as doubles, where its row of outputs starts, and whose it is.
    struct Entry {
        const float* in;
        const double* x;
        float* out;
        uint32_t sequence;
        std::vector<Addition> additions;
    };

    Result<void> read_weights(const gguf::WeightSource& source, const base::Progress& progress,
                              const std::stop_token& stop);

    // --- What the ops below read: set for one run.
    float* data(ops::ValueId id) {
        return id == program_->logits ? logits_ : values_.data() + layout_->offset[id] * plan_.settings.n_batch;
    }
    uint32_t width(ops::ValueId id) const { return program_->values[id].width; }
    uint64_t n_rows(ops::ValueId id) const {
        return program_->values[id].rows == ops::Rows::outputs ? outputs_.size() : batch_->rows.size();
    }
    float* row(ops::ValueId id, uint64_t i) { return data(id) + i * width(id); }
    Matrix matrix(ops::WeightId id) const {
        const ops::Weight& w = model_.weights[id];
        return {&quant::format_of(w.type), bytes_[id], w.n_in, w.n_out};
    }
    const float* vector(ops::WeightId id) const { return id == ops::none ? nullptr : vectors_[id].data(); }
    // One sequence's part of a recurrent state, as it was before the step (nullptr: a new sequence) and after it.
    const float* state_before(ops::StateId id, uint32_t sequence) const {
        const kv::SlotId slot = batch_->sequences[sequence].slot_from;
        return slot == kv::no_slot ? nullptr : recurrent_[id] + slot * model_.states[id].n_elements;
    }
    float* state_after(ops::StateId id, uint32_t sequence) const {
        return recurrent_[id] + batch_->sequences[sequence].slot_to * model_.states[id].n_elements;
    }
    template <class F>
    Result<void> for_rows(ops::ValueId id, const F& f) {
        return pool_.run(n_rows(id), stop_, f);
    }

    Result<void> run(const ops::Op& op, const ops::Embed& spec);
    Result<void> run(const ops::Op& op, const ops::Norm& spec);
    Result<void> run(const ops::Op& op, const ops::Matmul& spec);
    Result<void> run(const ops::Op& op, const ops::Rope& spec);
    Result<void> run(const ops::Op& op, const ops::Append& spec);
    Result<void> run(const ops::Op& op, const ops::Attend& spec);
    Result<void> run(const ops::Op& op, const ops::Conv& spec);
    Result<void> run(const ops::Op& op, const ops::Scan& spec);
    Result<void> run(const ops::Op& op, const ops::Pointwise& spec);
    Result<void> run(const ops::Op& op, const ops::Gate& spec);
    Result<void> run(const ops::Op& op, const ops::Route& spec);
    Result<void> run(const ops::Op& op, const ops::Combine& spec);
    Result<void> run(const ops::Op& op, const ops::Select& spec);
    Result<void> add_adapters(ops::WeightId weight, uint32_t expert, std::span<Entry> entries);
    static double added(const Addition& a, uint32_t expert, uint64_t row);
    Result<void> multiply(const ops::Op& op, const EightRanges& ranges, uint32_t expert, std::span<const Entry> entries,
                          uint64_t first_row);

    const ops::Model& model_;
    MemoryPlan plan_;
    threads::Pool& pool_;
    base::Arena weights_, states_;
    std::vector<const uint8_t*> bytes_;        // by weight: where its view starts
    std::vector<std::vector<float>> vectors_;  // by weight: decoded, where an op uses it as a vector
    std::vector<Cache> caches_;                // by state: of keys and values
    std::vector<float*> recurrent_;            // by state: [slot][n_elements]
    std::vector<uint32_t> slot_tokens_;        // by slot: how many tokens its state has taken
    std::vector<Layout> layouts_;              // by program
    std::vector<float> values_;
    std::vector<double> operands_;  // the inputs of one matmul
    std::vector<WorkerScratch> scratch_;

    const ops::Program* program_ = nullptr;
    const Layout* layout_ = nullptr;
    const Batch* batch_ = nullptr;
    std::vector<uint32_t> outputs_;                     // the batch's rows whose logits are wanted
    std::vector<std::vector<uint32_t>> sequence_rows_;  // by sequence: its rows
    float* logits_ = nullptr;
    std::stop_token stop_;
};

Error cancelled() { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }

// --- Loading

Result<void> ReferenceExecutable::load(const gguf::WeightSource& source, const base::Progress& progress,
                                       const std::stop_token& stop) {
    WALLABY_OK(read_weights(source, progress, stop));
    vectors_.resize(model_.weights.size());
    for (const ops::Program& program : model_.programs) {
        for (const ops::Op& op : program.ops) {
            const bool has_matrix =
                std::holds_alternative<ops::Matmul>(op.spec) || std::holds_alternative<ops::Embed>(op.spec);
            for (size_t i = has_matrix ? 1 : 0; i < op.weight.size(); i++) {
                const ops::WeightId id = op.weight[i];
                if (id == ops::none) { continue; }
                const Matrix m = matrix(id);
                vectors_[id].resize(m.n_in);
                m.decode_row(0, vectors_[id].data());
            }
        }
        layouts_.push_back(lay_out(program));
    }
    WALLABY_TRY(states_, base::Arena::create(plan_.state_bytes));
    const Error misplanned{ErrorCode::memory, "the plan's state bytes do not hold the states", {}, ""};
    slot_tokens_.assign(plan_.n_slots, 0);
    for (const ops::State& s : model_.states) {
        Cache& c = caches_.emplace_back();
        recurrent_.push_back(nullptr);
        if (s.kind == ops::State::Kind::recurrent) {
            const auto taken = states_.take(plan_.n_slots * s.n_elements * sizeof(float));
            if (!taken) { return misplanned; }
            recurrent_.back() = reinterpret_cast<float*>(taken->data());
            continue;
        }
        c.k_format = &quant::format_of(plan_.settings.k_type);
        c.v_format = &quant::format_of(plan_.settings.v_type);
        c.n_heads = s.n_heads;
        c.head = s.head;
        const uint64_t n = uint64_t(plan_.n_pages) * kv::page_tokens * s.n_heads;
        const auto k = states_.take(n * Cache::row_bytes(*c.k_format, s.head));
        const auto v = states_.take(n * Cache::row_bytes(*c.v_format, s.head));
        if (!k || !v) { return misplanned; }
        c.keys = k->data();
        c.values = v->data();
    }
    values_.resize(widest_program(model_) * plan_.settings.n_batch);
    operands_.resize(widest_operand(model_) * plan_.settings.n_batch);
    return {};
}

Result<void> ReferenceExecutable::read_weights(const gguf::WeightSource& source, const base::Progress& progress,
                                               const std::stop_token& stop) {
    constexpr uint64_t piece = uint64_t(4) << 20;  // between two looks at the stop request
    WALLABY_TRY(weights_, base::Arena::create(plan_.weight_bytes));
    std::unordered_map<std::string_view, const uint8_t*> loaded;  // a tensor that several weights view is read once
    uint64_t n_done = 0;
    for (const ops::Weight& w : model_.weights) {
        const gguf::Tensor* tensor = source.find(w.name);
        const quant::Format& format = quant::format_of(w.type);
        if (tensor == nullptr || tensor->type != w.type || w.first + w.n_elements() > tensor->n_elements()) {
            return Error{ErrorCode::model,
                         "is not in the weight source as the model has it",
                         {source.metadata().file(), fmt::format("tensor '{}'", w.name), {}},
                         ""};
        }
        auto [at, is_new] = loaded.try_emplace(w.name, nullptr);
        if (is_new) {
            const auto span = weights_.take(tensor->n_bytes);
            if (!span) { return Error{ErrorCode::memory, "the plan's weight bytes do not hold the weights", {}, ""}; }
            for (uint64_t offset = 0; offset < tensor->n_bytes; offset += piece) {
                if (stop.stop_requested()) { return cancelled(); }
                const uint64_t n = std::min(piece, tensor->n_bytes - offset);
                WALLABY_OK(source.read(*tensor, offset, span->subspan(offset, n)));
                n_done += n;
                if (progress) { progress(n_done, plan_.weight_bytes); }
            }
            WALLABY_OK(check_finite(*tensor, span->data(), source.file_of(*tensor), pool_, stop));
            if (stop.stop_requested()) { return cancelled(); }
            at->second = span->data();
        }
        bytes_.push_back(at->second + w.first / format.block_len * format.block_bytes);
    }
    if (progress) { progress(plan_.weight_bytes, plan_.weight_bytes); }
    return {};
}

// --- One step

Result<void> ReferenceExecutable::run(uint32_t program, const Batch& batch, std::span<float> logits,
                                      std::stop_token stop) {
    const base::FloatEnvironment standard;
    WALLABY_OK(check_batch({*this, model_, slot_tokens_}, batch, program, logits.size()));
    program_ = &model_.programs[program];
    layout_ = &layouts_[program];
    batch_ = &batch;
    logits_ = logits.data();
    stop_ = std::move(stop);
    outputs_.clear();
    sequence_rows_.assign(batch.sequences.size(), {});
    for (uint32_t i = 0; i < batch.rows.size(); i++) {
        if (batch.rows[i].output) { outputs_.push_back(i); }
        sequence_rows_[batch.rows[i].sequence].push_back(i);
    }
    for (const Batch::Sequence& s : batch.sequences) {  // garbage until the step is done: nothing follows it
        if (plan_.n_slots != 0 && s.slot_to != kv::no_slot) { slot_tokens_[s.slot_to] = kv::no_slot; }
    }
    for (const ops::Op& op : program_->ops) {
        WALLABY_OK(std::visit([&](const auto& spec) { return run(op, spec); }, op.spec));
        if (stop_.stop_requested()) { return cancelled(); }
    }
    if (plan_.n_slots != 0) {
        for (const Batch::Row& r : batch.rows) { slot_tokens_[batch.sequences[r.sequence].slot_to] = r.position + 1; }
    }
    return check_logits(logits, model_.n_vocab);
}

// --- The ops

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Embed& spec) {
    const Matrix table = matrix(op.weight[0]);
    return for_rows(op.out[0], [&](uint64_t i, unsigned) {
        const Batch::Row& r = batch_->rows[i];
        float* out = row(op.out[0], i);
        table.decode_row(spec.by == ops::Embed::By::token ? uint64_t(r.token) : r.position, out);
        if (spec.scale != 1) {
            for (uint32_t j = 0; j < table.n_in; j++) { out[j] *= spec.scale; }
        }
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Norm& spec) {
    const bool per_group = model_.weights[op.weight[0]].n_elements() != spec.group;
    const NormWeights weights{vector(op.weight[0]), vector(op.weight[1]), per_group};
    return for_rows(op.out[0], [&](uint64_t i, unsigned) {
        norm(spec, weights, row(op.in[0], i), row(op.out[0], i), width(op.in[0]));
    });
}

// A x of each entry, for the adapters of its sequence.
Result<void> ReferenceExecutable::add_adapters(ops::WeightId weight, uint32_t expert, std::span<Entry> entries) {
    return pool_.run(entries.size(), stop_, [&](uint64_t i, unsigned) {
        Entry& e = entries[i];
        for (const auto& [adapter, scale] : batch_->sequences[e.sequence].adapters) {
            const Change& change = static_cast<const ReferenceAdapter*>(adapter)->change(weight);
            if (change.factors == nullptr) { continue; }
            const gguf::LowRank& f = *change.factors;
            Addition& a = e.additions.emplace_back(Addition{&change, scale * change.strength, {}});
            std::vector<float> row(f.n_in);
            for (uint32_t k = 0; k < f.rank; k++) {
                f.a.decode(uint64_t(expert) * f.rank + k, 1, row.data());
                a.ax.push_back(std::inner_product(row.begin(), row.end(), e.x, 0.0));
            }
        }
    });
}

// What an adapter adds to output `row` of an expert's matrix.
double ReferenceExecutable::added(const Addition& a, uint32_t expert, uint64_t row) {
    const gguf::LowRank& f = *a.change->factors;
    std::vector<float> b(f.rank);
    f.b.decode(expert * f.n_out + a.change->first_row + row, 1, b.data());
    return a.factor * std::inner_product(b.begin(), b.end(), a.ax.begin(), 0.0);
}

Result<void> ReferenceExecutable::multiply(const ops::Op& op, const EightRanges& ranges, uint32_t expert,
                                           std::span<const Entry> entries, uint64_t first_row) {
    const Matrix m = matrix(op.weight[0]);
    const float* bias = vector(op.weight[1]);
    const float* scale = vector(op.weight[2]);
    const bool scale_bias = std::get<ops::Matmul>(op.spec).scale_bias;
    const uint64_t rows_per_chunk = std::clamp<uint64_t>(
        macs_per_chunk / (m.n_in * entries.size()) / n_abreast * n_abreast, n_abreast, max_rows_per_chunk);
    const uint64_t n_chunks = (m.n_out + rows_per_chunk - 1) / rows_per_chunk;
    return pool_.run(n_chunks, stop_, [&, first_row, rows_per_chunk](uint64_t chunk, unsigned worker) {
        std::vector<float>& rows = scratch_[worker].rows;
        rows.resize(uint64_t(m.n_in) * n_abreast);
        const uint64_t end = std::min<uint64_t>(m.n_out, (chunk + 1) * rows_per_chunk);
        for (uint64_t r = chunk * rows_per_chunk; r < end; r += n_abreast) {
            const auto n = uint32_t(std::min<uint64_t>(n_abreast, end - r));
            decode_abreast(m, first_row + r, n, rows.data());
            for (const Entry& e : entries) {
                if (stop_.stop_requested()) { return; }
                double y[n_abreast];
                ranges.dot(rows.data(), e.x, y);
                for (uint32_t i = 0; i < n; i++) {
                    for (const Addition& a : e.additions) { y[i] += added(a, expert, r + i); }
                    if (bias != nullptr && scale_bias) { y[i] += bias[first_row + r + i]; }
                    if (scale != nullptr) { y[i] *= scale[expert]; }
                    if (bias != nullptr && !scale_bias) { y[i] += bias[first_row + r + i]; }
                    e.out[r + i] = float(y[i]);
                }
            }
        }
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Matmul& spec) {
    const ops::Weight& w = model_.weights[op.weight[0]];
    const EightRanges ranges(w.n_in, quant::format_of(w.type).block_len);
    const uint64_t n_inputs = width(op.in[0]) / w.n_in;  // side by side in one row
    const uint64_t n_columns = n_rows(op.in[0]) * n_inputs;
    std::copy_n(data(op.in[0]), n_columns * w.n_in, operands_.data());
    std::vector<std::vector<Entry>> by_expert(w.n_expert);
    const uint64_t n_used = std::max(1u, spec.n_used);
    for (uint64_t i = 0; i < n_rows(op.out[0]); i++) {
        for (uint64_t j = 0; j < n_used; j++) {
            const uint32_t expert = spec.n_used == 0 ? 0 : std::bit_cast<uint32_t>(row(op.in[1], i)[j]);
            const uint64_t place = (i * n_inputs + (n_inputs == 1 ? 0 : j)) * w.n_in;
            const uint32_t batch_row =
                program_->values[op.in[0]].rows == ops::Rows::outputs ? outputs_[i] : uint32_t(i);
            by_expert[expert].push_back({data(op.in[0]) + place,
                                         operands_.data() + place,
                                         row(op.out[0], i) + j * w.n_out,
                                         batch_->rows[batch_row].sequence,
                                         {}});
        }
    }
    for (uint32_t expert = 0; expert < w.n_expert; expert++) {
        if (by_expert[expert].empty()) { continue; }
        if (batch_->observer != nullptr) {
            std::vector<const float*> rows;
            for (const Entry& e : by_expert[expert]) { rows.push_back(e.in); }
            (*batch_->observer)(op.weight[0], expert, rows);
        }
        WALLABY_OK(add_adapters(op.weight[0], expert, by_expert[expert]));
        WALLABY_OK(multiply(op, ranges, expert, by_expert[expert], uint64_t(expert) * w.n_out));
    }
    return {};
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Rope& spec) {
    return for_rows(op.out[0], [&](uint64_t i, unsigned) {
        rope(spec, model_.rope_tables[spec.table], batch_->rows[i].position, row(op.in[0], i), row(op.out[0], i),
             width(op.in[0]));
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Append&) {
    const Cache& cache = caches_[op.state];
    return for_rows(op.in[0], [&](uint64_t i, unsigned) {
        const Batch::Row& r = batch_->rows[i];
        cache.store(batch_->sequences[r.sequence].pages[r.position / kv::page_tokens], r.position % kv::page_tokens,
                    row(op.in[0], i), row(op.in[1], i));
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Attend& spec) {
    const Cache& cache = caches_[op.state];
    const uint64_t n_group = spec.n_heads / cache.n_heads, group = n_group * spec.head;
    const float* sinks = vector(op.weight[0]);
    return pool_.run(n_rows(op.in[0]) * cache.n_heads, stop_, [&](uint64_t chunk, unsigned worker) {
        const uint64_t i = chunk / cache.n_heads;
        const uint64_t h = chunk % cache.n_heads;
        const Batch::Row& r = batch_->rows[i];
        attend(spec, cache, uint32_t(h), batch_->sequences[r.sequence].pages, r.position,
               sinks == nullptr ? nullptr : sinks + h * n_group, row(op.in[0], i) + h * group,
               row(op.out[0], i) + h * group, scratch_[worker].attend);
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Conv& spec) {
    const uint32_t n = width(op.in[0]), n_kept = spec.taps - 1;
    const std::vector<float> zeros(n, 0.0f);
    for (uint32_t q = 0; q < sequence_rows_.size(); q++) {
        const std::vector<uint32_t>& rows = sequence_rows_[q];
        if (rows.empty()) { continue; }
        const float* before = state_before(op.state, q);
        // Input `i` of the sequence's stream: those that the state holds, then the step's.
        const auto input = [&](uint64_t i) -> const float* {
            if (i >= n_kept) { return row(op.in[0], rows[i - n_kept]); }
            return before == nullptr ? zeros.data() : before + i * n;
        };
        const auto one = [&](uint64_t i, unsigned) {
            std::vector<const float*> taps(spec.taps);
            for (uint32_t j = 0; j < spec.taps; j++) { taps[j] = input(i + j); }
            convolve(spec, vector(op.weight[0]), vector(op.weight[1]), taps.data(), row(op.out[0], rows[i]), n);
        };
        WALLABY_OK(pool_.run(rows.size(), stop_, one));
        for (uint32_t j = 0; j < n_kept; j++) {
            std::copy_n(input(rows.size() + j), n, state_after(op.state, q) + uint64_t(j) * n);
        }
    }
    return {};
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Scan& spec) {
    const uint64_t n_state = uint64_t(spec.head) * spec.d_state;
    return pool_.run(sequence_rows_.size() * spec.n_heads, stop_, [&](uint64_t chunk, unsigned) {
        const auto q = uint32_t(chunk / spec.n_heads);
        const auto h = uint32_t(chunk % spec.n_heads);
        if (sequence_rows_[q].empty()) { return; }
        const ScanHead head{h, vector(op.weight[0])[h], vector(op.weight[1])[h], vector(op.weight[2])[h]};
        const float* before = state_before(op.state, q);
        float* state = state_after(op.state, q) + h * n_state;
        if (before == nullptr) {
            std::fill_n(state, n_state, 0.0f);
        } else {
            std::copy_n(before + h * n_state, n_state, state);
        }
        for (const uint32_t i : sequence_rows_[q]) {
            if (stop_.stop_requested()) { return; }
            scan(spec, head, row(op.in[0], i), row(op.in[1], i)[h], state, row(op.out[0], i) + uint64_t(h) * spec.head);
        }
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Pointwise& spec) {
    return for_rows(op.out[0], [&](uint64_t i, unsigned) {
        const float* a = row(op.in[0], i);
        float* out = row(op.out[0], i);
        if (spec.kind != ops::Pointwise::Kind::add) { return pointwise(spec, a, out, width(op.in[0])); }
        const float* b = row(op.in[1], i);
        for (uint32_t j = 0; j < width(op.in[0]); j++) { out[j] = a[j] + b[j]; }
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Gate& spec) {
    return for_rows(op.out[0], [&](uint64_t i, unsigned) {
        gate(spec, row(op.in[0], i), row(op.in[1], i), row(op.out[0], i), width(op.in[0]));
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Route& spec) {
    return for_rows(op.out[0],
                    [&](uint64_t i, unsigned) { route(spec, row(op.in[0], i), row(op.out[0], i), row(op.out[1], i)); });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Combine& spec) {
    return for_rows(op.out[0], [&](uint64_t i, unsigned) {
        combine(spec.n_used, row(op.in[0], i), row(op.in[1], i), row(op.out[0], i), width(op.out[0]));
    });
}

Result<void> ReferenceExecutable::run(const ops::Op& op, const ops::Select&) {
    return for_rows(op.out[0], [&](uint64_t i, unsigned) {
        std::copy_n(row(op.in[0], outputs_[i]), width(op.in[0]), row(op.out[0], i));
    });
}

// --- The back end

class ReferenceBackend final : public Backend {
  public:
    explicit ReferenceBackend(threads::Pool& pool) : pool_(pool) {}

    Result<MemoryPlan> plan(const ops::Model& model, const Settings& settings) const override;
    Result<std::unique_ptr<Executable>> compile(const ops::Model& model, const gguf::WeightSource& source,
                                                const MemoryPlan& plan, const base::Progress& progress,
                                                std::stop_token stop) const override {
        auto executable = std::make_unique<ReferenceExecutable>(model, plan, pool_);
        WALLABY_OK(executable->load(source, progress, stop));
        return std::unique_ptr<Executable>(std::move(executable));
    }

  private:
    threads::Pool& pool_;
};

Result<MemoryPlan> ReferenceBackend::plan(const ops::Model& model, const Settings& settings) const {
    for (const quant::Type type : {settings.k_type, settings.v_type}) {
        if (type != quant::Type::f32 && type != quant::Type::f16 && type != quant::Type::bf16) {
            return Error{ErrorCode::unsupported,
                         fmt::format("KV type {} is not implemented", quant::format_of(type).name),
                         {"", "--ctk, --ctv", {}},
                         "Use f32, f16 or bf16"};
        }
    }
    WALLABY_OK(check_settings(model, settings));
    const uint64_t n_pages = uint64_t(kv::pages_for(settings.n_ctx)) * settings.n_seqs;
    MemoryPlan plan;
    plan.settings = settings;
    plan.n_pages = uint32_t(n_pages);
    std::unordered_map<std::string_view, uint64_t> tensors;  // the furthest byte that any weight views
    for (const ops::Weight& w : model.weights) {
        const quant::Format& format = quant::format_of(w.type);
        uint64_t& end = tensors[w.name];
        end = std::max(end, (w.first + w.n_elements()) / format.block_len * format.block_bytes);
    }
    for (const auto& [name, bytes] : tensors) {
        plan.weight_bytes += *base::checked_align(bytes, base::Arena::alignment);
    }
    WALLABY_TRY(plan.n_slots, slots_of(model, settings));
    for (const ops::State& s : model.states) {
        if (s.kind == ops::State::Kind::recurrent) {
            const auto bytes = base::checked_mul(plan.n_slots * sizeof(float), s.n_elements);
            if (!bytes || *bytes > uint64_t(1) << 48) {
                return Error{ErrorCode::capacity, "the recurrent states do not fit any machine", {}, ""};
            }
            plan.state_bytes += *base::checked_align(*bytes, base::Arena::alignment);
            continue;
        }
        for (const quant::Type type : {settings.k_type, settings.v_type}) {
            const uint64_t rows = n_pages * kv::page_tokens * s.n_heads;
            const auto bytes = base::checked_mul(rows, Cache::row_bytes(quant::format_of(type), s.head));
            if (!bytes || *bytes > uint64_t(1) << 48) {
                return Error{
                    ErrorCode::capacity, "the KV cache does not fit any machine", {"", "-c", {}}, "Use a smaller -c"};
            }
            plan.state_bytes += *base::checked_align(*bytes, base::Arena::alignment);
        }
    }
    plan.scratch_bytes =
        (widest_program(model) * sizeof(float) + widest_operand(model) * sizeof(double)) * settings.n_batch;
    return plan;
}

}  // namespace

std::unique_ptr<Backend> make_reference(threads::Pool& pool) { return std::make_unique<ReferenceBackend>(pool); }

}  // namespace wallaby::backends
