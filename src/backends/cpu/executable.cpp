#include "backends/cpu/executable.h"

#include <algorithm>

#include "backends/rules.h"
#include "base/float_environment.h"
#include "kernels/tiles.h"

namespace wallaby::backends::cpu {

std::vector<Schedule> CpuExecutable::schedules(const ops::Model& model, const kernels::Table& kernels) {
    std::vector<Schedule> out;
    for (const ops::Program& program : model.programs) {
        out.push_back(schedule(model, program, [&](quant::Type type) { return kernels.matmul(type).activations; }));
    }
    return out;
}

CpuExecutable::CpuExecutable(const ops::Model& model, const MemoryPlan& plan, const kernels::Table& kernels,
                             WeightsIn weights_in, threads::Pool& pool)
    : model_(model),
      plan_(plan),
      kernels_(kernels),
      weights_in_(weights_in),
      pool_(pool),
      schedules_(schedules(model, kernels)) {}

Result<void> CpuExecutable::load(const gguf::WeightSource& source, const base::Progress& progress,
                                 const std::stop_token& stop) {
    WALLABY_TRY(weights_, Weights::load(model_, source, weights_in_, pool_, progress, stop));
    WALLABY_OK(allocate_states());
    const ScratchSizes sizes = scratch_sizes(model_, plan_.settings, kernels_, weights_in_);
    // Each piece rounded up to the arena's alignment.
    WALLABY_TRY(scratch_arena_, base::Arena::create(sizes.total(pool_.size()) + 5 * base::Arena::alignment));
    const auto floats = [&](uint64_t n) {
        return std::span<float>(reinterpret_cast<float*>(scratch_arena_.take(n * sizeof(float))->data()), n);
    };
    values_ = floats(sizes.values);
    angles_ = floats(sizes.angles);
    operands_ = *scratch_arena_.take(sizes.operands);
    attention_ = *scratch_arena_.take(sizes.attention);
    scratch_ = *scratch_arena_.take(sizes.worker * pool_.size());
    worker_bytes_ = sizes.worker;
    uint32_t n_heads = 1;
    for (const ops::State& s : model_.states) { n_heads = std::max(n_heads, s.n_heads); }
    n_finished_ = std::make_unique<std::atomic<uint32_t>[]>(uint64_t(n_heads) * max_split_rows);
    return {};
}

ScratchSizes CpuExecutable::scratch_sizes(const ops::Model& model, const Settings& settings,
                                          const kernels::Table& kernels, WeightsIn weights_in) {
    ScratchSizes sizes;
    const uint64_t n_batch = settings.n_batch;
    const std::vector<Schedule> all = schedules(model, kernels);
    for (size_t p = 0; p < all.size(); p++) {
        sizes.values = std::max(sizes.values, all[p].layout.width * n_batch);
        for (const Step& step : all[p].steps) {
            uint64_t n = 0;
            for (const Operand& o : step.operands) { n += operand_bytes(model.programs[p], o, n_batch, kernels); }
            sizes.operands = std::max(sizes.operands, n);
        }
        for (const ops::Op& op : model.programs[p].ops) {
            const ops::WeightId id = op.weight[0];
            if (std::holds_alternative<ops::Matmul>(op.spec)) {
                sizes.worker = std::max(sizes.worker, matmul_worker_bytes(model.weights[id], kernels, weights_in));
            } else if (std::holds_alternative<ops::Embed>(op.spec)) {
                sizes.worker =
                    std::max(sizes.worker,
                             kernels::tile_bytes(model.weights[id].type, model.weights[id].n_in) / kernels::tile_rows);
            }
        }
    }
    for (const ops::RopeTable& table : model.rope_tables) { sizes.angles += 2 * table.frequency.size() * n_batch; }
    sizes.attention = partial_bytes(model, settings);
    sizes.worker = (std::max(sizes.worker, attend_worker_bytes(model, settings, kernels)) + 63) / 64 * 64;
    return sizes;
}

void CpuExecutable::fail(Error error) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) { error_ = std::move(error); }
}

void CpuExecutable::find_rows() {
    outputs_.clear();
    output_of_.assign(batch_->rows.size(), ops::none);
    sequence_rows_.resize(batch_->sequences.size());
    for (std::vector<uint32_t>& rows : sequence_rows_) { rows.clear(); }
    for (uint32_t i = 0; i < batch_->rows.size(); i++) {
        if (batch_->rows[i].output) {
            output_of_[i] = uint32_t(outputs_.size());
            outputs_.push_back(i);
        }
        sequence_rows_[batch_->rows[i].sequence].push_back(i);
    }
}

void CpuExecutable::run_step(const Step& step) {
    run_rows(step);
    if (error_ || is_stopped()) { return; }
    if (batch_->observer != nullptr) { show_inputs(step); }
    jobs_.clear();
    is_splitting_ = false;
    uint64_t n_tasks = 0;
    for (const Step::Wide& wide : step.wide) {
        const ops::Op& op = program_->ops[wide.op];
        if (std::holds_alternative<ops::Matmul>(op.spec)) {
            jobs_.push_back(matmul_job(op, prepared_[wide.operand]));
        } else if (std::holds_alternative<ops::Attend>(op.spec)) {
            jobs_.push_back(attend_job(op));
        } else {
            jobs_.push_back(recurrent_job(op));
        }
        n_tasks += jobs_.back().n_tasks;
    }
    const auto run_task = [&](uint64_t task, unsigned worker) {
        for (const Job& job : jobs_) {
            if (task >= job.n_tasks) {
                task -= job.n_tasks;
                continue;
            }
            if (std::holds_alternative<ops::Matmul>(job.op->spec)) { return run_matmul(job, task, worker); }
            if (std::holds_alternative<ops::Attend>(job.op->spec)) { return run_attend(job, task, worker); }
            if (std::holds_alternative<ops::Conv>(job.op->spec)) { return run_conv(*job.op, task); }
            return run_scan(*job.op, task);
        }
    };
    const bool only_matmuls = std::ranges::all_of(jobs_, [](const Job& job) { return job.input != nullptr; });
    if (n_tasks > 1 && only_matmuls) {
        if (auto ran = pool_.run_in_shares(n_tasks, stop_, run_task); !ran.ok()) { fail(std::move(ran).error()); }
    } else {
        for_each(n_tasks, 1, run_task);
    }
    if (any_adapters_ && !error_ && !is_stopped()) { run_adapters(step); }
}

Result<void> CpuExecutable::run(uint32_t program, const Batch& batch, std::span<float> logits, std::stop_token stop) {
    const base::FloatEnvironment standard;
    WALLABY_OK(check_batch({*this, model_, slot_tokens_}, batch, program, logits.size()));
    program_ = &model_.programs[program];
    schedule_ = &schedules_[program];
    batch_ = &batch;
    logits_ = logits.data();
    stop_ = std::move(stop);
    error_.reset();
    find_rows();
    any_adapters_ = std::ranges::any_of(batch.sequences, [](const auto& s) { return !s.adapters.empty(); });
    for (const Batch::Sequence& s : batch.sequences) {  // garbage until the step is done: nothing follows it
        if (plan_.n_slots != 0 && s.slot_to != kv::no_slot) { slot_tokens_[s.slot_to] = kv::no_slot; }
    }
    turn_angles();
    for (const Step& step : schedule_->steps) {
        run_step(step);
        if (error_) { return *error_; }
        if (is_stopped()) { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }
    }
    if (plan_.n_slots != 0) {
        for (const Batch::Row& r : batch.rows) { slot_tokens_[batch.sequences[r.sequence].slot_to] = r.position + 1; }
    }
    return check_logits(logits, model_.n_vocab);
}

}  // namespace wallaby::backends::cpu
