// A compiled model on the CPU back end: packed weights, states, scratch, and the walk through its schedule.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "backends/backend.h"
#include "backends/cpu/schedule.h"
#include "backends/cpu/weights.h"
#include "kernels/kernels.h"
#include "kernels/pages.h"

namespace wallaby::backends::cpu {

// Bytes of everything that is allocated besides weights and states: a function of model and settings alone.
struct ScratchSizes {
    uint64_t values = 0;     // float32 numbers: widest schedule * n_batch
    uint64_t operands = 0;   // bytes: the operands of one step
    uint64_t angles = 0;     // float32 numbers: cosines and sines of every rope table
    uint64_t attention = 0;  // bytes: partial results of decode
    uint64_t worker = 0;     // bytes per thread
    uint64_t total(unsigned n_threads) const {
        return (values + angles) * sizeof(float) + operands + attention + worker * n_threads;
    }
};

// Keys and values of one state, in pages: [page][kv head] of key_bytes and value_bytes each.
struct Cache {
    uint8_t* keys = nullptr;
    uint8_t* values = nullptr;
    uint64_t key_bytes = 0, value_bytes = 0;  // of one page and head
};

class CpuExecutable final : public Executable {
  public:
    CpuExecutable(const ops::Model& model, const MemoryPlan& plan, const kernels::Table& kernels, WeightsIn weights_in,
                  threads::Pool& pool);
    Result<void> load(const gguf::WeightSource& source, const base::Progress& progress, const std::stop_token& stop);

    static Result<uint64_t> state_bytes(const ops::Model& model, const MemoryPlan& plan);
    static ScratchSizes scratch_sizes(const ops::Model& model, const Settings& settings, const kernels::Table& kernels,
                                      WeightsIn weights_in);
    static std::vector<Schedule> schedules(const ops::Model& model, const kernels::Table& kernels);

    const MemoryPlan& plan() const override { return plan_; }
    Result<void> run(uint32_t program, const Batch& batch, std::span<float> logits, std::stop_token stop) override;
    Result<std::unique_ptr<const Adapter>> adapt(std::shared_ptr<const gguf::Adapter> adapter) const override;

  private:
    // Rows of a step beyond which attention is not split by range: partial results are kept for so many.
    static constexpr uint32_t max_split_rows = 8;

    // Some columns of an operand that meet the same matrix: all of them, or one expert's.
    struct Part {
        uint32_t expert = 0;
        uint32_t first = 0, n = 0;  // of columns_
        uint8_t* activations = nullptr;
    };
    // A row's (or a row's used expert's) input.
    struct Column {
        uint32_t row = 0, slot = 0, part = 0;
    };
    struct Prepared {
        std::vector<Part> parts;
        std::vector<Column> columns;  // sorted by expert
    };
    // Query rows of one sequence that are attended together: n_rows of sequence_rows_ from first_row on.
    struct Block {
        uint32_t sequence = 0, first_row = 0, n_rows = 0;
        uint32_t first_range = 0, end_range = 0;  // of keys that any of them sees
    };
    // What threads take pieces of in the wide part of a step.
    struct Job {
        const ops::Op* op = nullptr;
        uint64_t n_tasks = 0;
        const Prepared* input = nullptr;  // of a matmul
        kernels::Matmul kernel;
        uint32_t tiles_per_task = 1;
        uint64_t tasks_per_matrix = 1, panel_bytes = 0;
        std::vector<float*> out;    // by column
        std::vector<Block> blocks;  // of an attend
        bool is_split = false;      // its ranges are tasks of their own
    };
    struct BlockArgs;
    // What the adapters of a sequence add to the results of n of its columns, of one part.
    struct Addition {
        const Job* job = nullptr;
        const Operand* operand = nullptr;
        uint32_t sequence = 0, first = 0, n = 0;
    };
    // What a thread computes additions in; grows to the largest.
    struct AdaptScratch {
        std::vector<uint8_t> inputs, middle;   // as the kernels read them
        std::vector<float> products, results;  // [column][rank], [column][n_out]
        std::vector<float*> out;
        std::vector<uint8_t> panel;
    };

    // --- Values of the running program. Row i of a value lies n_batch rows apart from the next value's.
    float* data(ops::ValueId id) {
        return id == program_->logits ? logits_
                                      : values_.data() + schedule_->layout.offset[id] * plan_.settings.n_batch;
    }
    uint32_t width(ops::ValueId id) const { return program_->values[id].width; }
    uint64_t n_rows(ops::ValueId id) const {
        return program_->values[id].rows == ops::Rows::outputs ? outputs_.size() : batch_->rows.size();
    }
    float* row(ops::ValueId id, uint64_t i) { return data(id) + i * width(id); }
    uint8_t* worker_scratch(unsigned worker) { return scratch_.data() + worker * worker_bytes_; }

    // executable.cpp
    void run_step(const Step& step);
    void find_rows();
    // Runs work(i, worker) for i below n, n_alone of them and fewer on this thread.
    template <class Work>
    void for_each(uint64_t n, uint64_t n_alone, const Work& work) {
        if (n > n_alone) {
            if (auto ran = pool_.run(n, stop_, work); !ran.ok()) { fail(std::move(ran).error()); }
        } else {
            for (uint64_t i = 0; i < n; i++) { work(i, 0); }
        }
    }
    void fail(Error error);
    bool is_stopped() const { return stop_.stop_requested(); }

    // row_ops.cpp
    void turn_angles();
    void run_row(const Step& step, uint32_t i, unsigned worker);
    void run_op(const ops::Op& op, uint32_t i, unsigned worker);
    void embed(const ops::Op& op, const ops::Embed& spec, uint32_t i, unsigned worker);
    void norm(const ops::Op& op, const ops::Norm& spec, uint32_t i);
    void rope(const ops::Op& op, const ops::Rope& spec, uint32_t i);

    // matmul.cpp
    void run_rows(const Step& step);
    bool is_by_row(const Operand& operand) const;
    const float* input_of(const Operand& operand, const Column& column);
    void place(const Operand& operand, Prepared& prepared, uint8_t*& at);
    void write_column(const Operand& operand, const Prepared& prepared, uint64_t c);
    void sort_columns(const Operand& operand, Prepared& prepared);
    void show_inputs(const Step& step);
    Job matmul_job(const ops::Op& op, const Prepared& input);
    void run_matmul(const Job& job, uint64_t task, unsigned worker);
    static uint64_t operand_bytes(const ops::Program& program, const Operand& operand, uint64_t n_batch,
                                  const kernels::Table& kernels);
    static uint64_t panel_bytes(const ops::Weight& weight, const kernels::Table& kernels);
    static uint64_t matmul_worker_bytes(const ops::Weight& weight, const kernels::Table& kernels, WeightsIn weights_in);

    // adapt.cpp
    uint32_t sequence_of(ops::ValueId value, uint32_t row) const;
    void find_additions(const Step& step);
    void run_adapters(const Step& step);
    void multiply_plain(const kernels::MatmulArgs& columns, quant::Type type, uint32_t n_out,
                        AdaptScratch& scratch) const;
    void add(const Addition& addition, AdaptScratch& scratch);

    // attention.cpp
    Result<void> allocate_states();
    void append(const ops::Op& op, uint32_t i);
    Job attend_job(const ops::Op& op);
    void run_attend(const Job& job, uint64_t task, unsigned worker);
    void run_split(const Job& job, uint64_t task, unsigned worker);
    BlockArgs block_args(const Job& job, const Block& block, uint32_t kv_head, unsigned worker);
    void attend_range(const Job& job, const Block& block, uint32_t kv_head, uint32_t range, BlockArgs& b,
                      kernels::Gathered out);
    void finish_block(const Job& job, const Block& block, uint32_t kv_head, const BlockArgs& b,
                      kernels::Gathered total);
    static uint64_t attend_worker_bytes(const ops::Model& model, const Settings& settings,
                                        const kernels::Table& kernels);
    static uint64_t partial_bytes(const ops::Model& model, const Settings& settings);

    // recurrent.cpp
    const float* state_before(ops::StateId id, uint32_t sequence) const;
    float* state_after(ops::StateId id, uint32_t sequence) const;
    Job recurrent_job(const ops::Op& op);
    void run_conv(const ops::Op& op, uint64_t task);
    void run_scan(const ops::Op& op, uint64_t task);

    const ops::Model& model_;
    MemoryPlan plan_;
    const kernels::Table& kernels_;
    WeightsIn weights_in_;
    threads::Pool& pool_;
    Weights weights_;
    base::Arena states_;
    std::vector<Cache> caches_;          // by state
    std::vector<float*> recurrent_;      // by state: [slot][n_elements]
    std::vector<uint32_t> slot_tokens_;  // by slot: how many tokens its state has taken
    std::vector<Schedule> schedules_;    // by program

    // Scratch, allocated once.
    base::Arena scratch_arena_;
    std::span<float> values_, angles_;
    std::span<uint8_t> operands_, attention_, scratch_;
    uint64_t worker_bytes_ = 0;
    std::vector<uint64_t> angle_offsets_;  // by rope table, in numbers per row

    // One run.
    const ops::Program* program_ = nullptr;
    const Schedule* schedule_ = nullptr;
    const Batch* batch_ = nullptr;
    std::vector<uint32_t> outputs_;                     // the batch's rows whose logits are wanted
    std::vector<uint32_t> output_of_;                   // by row: its place among them, or ops::none
    std::vector<std::vector<uint32_t>> sequence_rows_;  // by sequence: its rows
    std::vector<Prepared> prepared_;
    std::vector<Job> jobs_;
    std::vector<Addition> additions_;
    std::vector<AdaptScratch> adapt_scratch_;  // by worker; empty until a batch has adapters
    bool any_adapters_ = false;
    bool is_splitting_ = false;                            // an attend of this step has the place for partial results
    std::unique_ptr<std::atomic<uint32_t>[]> n_finished_;  // by block and head of that attend: its ranges
    float* logits_ = nullptr;
    std::stop_token stop_;
    std::mutex error_mutex_;
    std::optional<Error> error_;
};

}  // namespace wallaby::backends::cpu
