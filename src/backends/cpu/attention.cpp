// States, appending to the KV cache, and attention: blocks of query rows of one KV head over ranges of keys.
//
// Where there are blocks enough, a thread takes one whole, all its ranges from left to right. A few rows over many keys
// (decode at depth) are split by range as well, and whoever finishes a block's last range merges them in order: the
// same merges, the same bits.
#include <algorithm>

#include "backends/cpu/executable.h"
#include "base/checked.h"
#include "base/math.h"

namespace wallaby::backends::cpu {
namespace {

// Query columns (rows x grouped heads) that share a read of keys and values: enough to keep the arithmetic busy, few
// enough that their sums stay in the nearest caches.
constexpr uint32_t block_columns = 48;

uint64_t align(uint64_t n) { return (n + 63) / 64 * 64; }

uint32_t rows_per_block(uint32_t n_group) { return std::max(1u, block_columns / n_group); }

// Floats of a Gathered of n columns.
uint64_t gathered_len(uint64_t n, uint32_t head) { return align((2 + uint64_t(head)) * n); }

// The first position that a row at `position` sees.
uint32_t first_seen(const ops::Attend& spec, uint32_t position) {
    return spec.window == 0 || position < spec.window ? 0 : position + 1 - spec.window;
}

uint64_t ranges_of(const Settings& settings) {
    return (uint64_t(settings.n_ctx) + kernels::range_keys - 1) / kernels::range_keys;
}

kernels::Gathered gathered(float* at, uint64_t n) { return {at, at + n, at + 2 * n}; }

// The attends of a model by what they ask of scratch.
template <class F>
void for_each_attend(const ops::Model& model, const F& f) {
    for (const ops::Program& program : model.programs) {
        for (const ops::Op& op : program.ops) {
            if (const auto* spec = std::get_if<ops::Attend>(&op.spec)) { f(*spec, model.states[op.state]); }
        }
    }
}

}  // namespace

Result<uint64_t> CpuExecutable::state_bytes(const ops::Model& model, const MemoryPlan& plan) {
    const Error too_large{
        ErrorCode::capacity, "the KV cache does not fit any machine", {"", "-c", {}}, "Use a smaller -c"};
    uint64_t n = 0;
    const auto add = [&](std::optional<uint64_t> bytes) {
        if (!bytes || *bytes > uint64_t(1) << 48) { return false; }
        n += align(*bytes);
        return true;
    };
    for (const ops::State& s : model.states) {
        if (s.kind == ops::State::Kind::recurrent) {
            if (!add(base::checked_mul(uint64_t(plan.n_slots) * sizeof(float), s.n_elements))) { return too_large; }
            continue;
        }
        for (const auto& [type, what, flag] : {std::tuple{plan.settings.k_type, kernels::PageOf::keys, "--ctk"},
                                               {plan.settings.v_type, kernels::PageOf::values, "--ctv"}}) {
            if (!kernels::can_page(type, s.head)) {
                return Error{ErrorCode::unsupported,
                             fmt::format("{} cannot hold heads of {} numbers", quant::format_of(type).name, s.head),
                             {"", flag, {}},
                             "Use f32, f16 or bf16; q8_0 and q4_0 where heads are a multiple of 32"};
            }
            const uint64_t pages = uint64_t(plan.n_pages) * s.n_heads;
            if (!add(base::checked_mul(pages, kernels::page_bytes(type, s.head, what)))) { return too_large; }
        }
    }
    return n;
}

Result<void> CpuExecutable::allocate_states() {
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
        c.key_bytes = kernels::page_bytes(plan_.settings.k_type, s.head, kernels::PageOf::keys);
        c.value_bytes = kernels::page_bytes(plan_.settings.v_type, s.head, kernels::PageOf::values);
        const auto keys = states_.take(uint64_t(plan_.n_pages) * s.n_heads * c.key_bytes);
        const auto values = states_.take(uint64_t(plan_.n_pages) * s.n_heads * c.value_bytes);
        if (!keys || !values) { return misplanned; }
        c.keys = keys->data();
        c.values = values->data();
    }
    return {};
}

void CpuExecutable::append(const ops::Op& op, uint32_t i) {
    const ops::State& s = model_.states[op.state];
    const Cache& cache = caches_[op.state];
    const Batch::Row& r = batch_->rows[i];
    const kv::PageId page = batch_->sequences[r.sequence].pages[r.position / kv::page_tokens];
    kernels::AppendArgs args;
    args.key_type = plan_.settings.k_type;
    args.value_type = plan_.settings.v_type;
    args.head = s.head;
    args.slot = r.position % kv::page_tokens;
    for (uint32_t h = 0; h < s.n_heads; h++) {
        args.key = row(op.in[0], i) + uint64_t(h) * s.head;
        args.value = row(op.in[1], i) + uint64_t(h) * s.head;
        args.key_page = cache.keys + (uint64_t(page) * s.n_heads + h) * cache.key_bytes;
        args.value_page = cache.values + (uint64_t(page) * s.n_heads + h) * cache.value_bytes;
        kernels_.append(args);
    }
}

// A block's needs in a thread's scratch: intervals, factors, results' places; queries; two Gathered; the kernel's own.
uint64_t CpuExecutable::attend_worker_bytes(const ops::Model& model, const Settings& settings,
                                            const kernels::Table& kernels) {
    uint64_t n = 0;
    for_each_attend(model, [&](const ops::Attend& spec, const ops::State& s) {
        const uint64_t columns = uint64_t(rows_per_block(spec.n_heads / s.n_heads)) * (spec.n_heads / s.n_heads);
        n = std::max(
            n, align(columns * 4) * 4 + align(columns * sizeof(float*)) +
                   align(kernels.activation_bytes(kernels::query_kind(settings.k_type), s.head, uint32_t(columns))) +
                   2 * gathered_len(columns, s.head) * sizeof(float) +
                   align(kernels::attend_scratch_bytes(settings.v_type, s.head)));
    });
    return n;
}

uint64_t CpuExecutable::partial_bytes(const ops::Model& model, const Settings& settings) {
    const uint64_t n_ranges = ranges_of(settings);
    const uint64_t n_rows = std::min(settings.n_batch, max_split_rows);
    uint64_t n = 0;
    for_each_attend(model, [&](const ops::Attend& spec, const ops::State& s) {
        const uint32_t n_group = spec.n_heads / s.n_heads;
        n = std::max(n, n_rows * s.n_heads * n_ranges * gathered_len(n_group, s.head) * sizeof(float));
    });
    return n;
}

CpuExecutable::Job CpuExecutable::attend_job(const ops::Op& op) {
    const auto& spec = std::get<ops::Attend>(op.spec);
    const ops::State& s = model_.states[op.state];
    const uint32_t per_block = rows_per_block(spec.n_heads / s.n_heads);
    Job job;
    job.op = &op;
    for (uint32_t q = 0; q < sequence_rows_.size(); q++) {
        const auto n = uint32_t(sequence_rows_[q].size());
        for (uint32_t i = 0; i < n; i += per_block) { job.blocks.push_back({q, i, std::min(per_block, n - i), 0, 0}); }
    }
    uint64_t n_range_tasks = 0;
    for (Block& block : job.blocks) {
        const std::vector<uint32_t>& rows = sequence_rows_[block.sequence];
        uint32_t begin = UINT32_MAX, end = 0;
        for (uint32_t i = 0; i < block.n_rows; i++) {
            const uint32_t position = batch_->rows[rows[block.first_row + i]].position;
            end = std::max(end, position + 1);
            begin = std::min(begin, first_seen(spec, position));
        }
        block.first_range = begin / kernels::range_keys;
        block.end_range = (end + kernels::range_keys - 1) / kernels::range_keys;
        n_range_tasks += block.end_range - block.first_range;
    }
    const uint64_t n_units = job.blocks.size() * s.n_heads;
    const bool is_split = batch_->rows.size() <= max_split_rows && n_units < 4 * uint64_t(pool_.size()) &&
                          n_range_tasks > job.blocks.size() && !is_splitting_;
    if (!is_split) {
        job.n_tasks = n_units;
        return job;
    }
    is_splitting_ = true;
    job.is_split = true;
    job.n_tasks = n_range_tasks * s.n_heads;
    for (uint64_t i = 0; i < n_units; i++) { n_finished_[i] = 0; }
    return job;
}

// What a block's columns see and want, in a thread's scratch.
struct CpuExecutable::BlockArgs {
    kernels::AttendArgs attend;
    float** out = nullptr;    // per column: where its result goes
    float* totals = nullptr;  // two Gathered
    uint32_t n_group = 0;
};

CpuExecutable::BlockArgs CpuExecutable::block_args(const Job& job, const Block& block, uint32_t kv_head,
                                                   unsigned worker) {
    const ops::Op& op = *job.op;
    const auto& spec = std::get<ops::Attend>(op.spec);
    const ops::State& s = model_.states[op.state];
    const std::vector<uint32_t>& rows = sequence_rows_[block.sequence];
    BlockArgs b;
    b.n_group = spec.n_heads / s.n_heads;
    const uint32_t n = block.n_rows * b.n_group;
    uint8_t* at = worker_scratch(worker);
    const auto take = [&](uint64_t n_bytes) {
        uint8_t* piece = at;
        at += align(n_bytes);
        return piece;
    };
    auto* begin = reinterpret_cast<uint32_t*>(take(n * 4));
    auto* end = reinterpret_cast<uint32_t*>(take(n * 4));
    auto* factor = reinterpret_cast<float*>(take(n * 4));
    b.out = reinterpret_cast<float**>(take(n * sizeof(float*)));
    const kernels::Activations kind = kernels::query_kind(plan_.settings.k_type);
    uint8_t* queries = take(kernels_.activation_bytes(kind, s.head, n));
    b.totals = reinterpret_cast<float*>(take(2 * gathered_len(n, s.head) * sizeof(float)));
    for (uint32_t i = 0; i < block.n_rows; i++) {
        const uint32_t r = rows[block.first_row + i];
        const uint32_t position = batch_->rows[r].position;
        double scale = double(spec.scale);
        if (spec.temperature != 0) {
            const uint32_t n_floors = position / spec.floor;
            scale *= 1 + double(spec.temperature) * base::log(1 + double(n_floors));
        }
        for (uint32_t g = 0; g < b.n_group; g++) {
            const uint32_t c = i * b.n_group + g, head = kv_head * b.n_group + g;
            begin[c] = first_seen(spec, position);
            end[c] = position + 1;
            factor[c] = float(scale);
            b.out[c] = row(op.out[0], r) + uint64_t(head) * s.head;
            kernels_.write_activations(kind, row(op.in[0], r) + uint64_t(head) * s.head, s.head, n, c, queries);
        }
    }
    b.attend.key_type = plan_.settings.k_type;
    b.attend.value_type = plan_.settings.v_type;
    b.attend.head = s.head;
    b.attend.n_columns = n;
    b.attend.queries = queries;
    b.attend.begin = begin;
    b.attend.end = end;
    b.attend.factor = factor;
    b.attend.softcap = spec.softcap;
    b.attend.scratch = at;
    return b;
}

void CpuExecutable::attend_range(const Job& job, const Block& block, uint32_t kv_head, uint32_t range, BlockArgs& b,
                                 kernels::Gathered out) {
    const Cache& cache = caches_[job.op->state];
    const uint32_t n_heads = model_.states[job.op->state].n_heads;
    const std::span<const kv::PageId> pages = batch_->sequences[block.sequence].pages;
    const uint8_t* keys[kernels::range_pages] = {};
    const uint8_t* values[kernels::range_pages] = {};
    const auto page = [&](uint64_t i) { return (uint64_t(pages[i]) * n_heads + kv_head); };
    for (uint32_t i = 0; i < kernels::range_pages; i++) {
        const uint64_t p = uint64_t(range) * kernels::range_pages + i;
        if (p >= pages.size()) { break; }
        keys[i] = cache.keys + page(p) * cache.key_bytes;
        values[i] = cache.values + page(p) * cache.value_bytes;
    }
    const uint64_t next = uint64_t(range + 1) * kernels::range_pages;
    const bool has_next = range + 1 < block.end_range && next < pages.size();
    b.attend.next_keys = has_next ? cache.keys + page(next) * cache.key_bytes : nullptr;
    b.attend.next_values = has_next ? cache.values + page(next) * cache.value_bytes : nullptr;
    b.attend.first_position = range * kernels::range_keys;
    b.attend.key_pages = keys;
    b.attend.value_pages = values;
    b.attend.out = out;
    kernels_.attend(b.attend);
}

void CpuExecutable::finish_block(const Job& job, const Block& block, uint32_t kv_head, const BlockArgs& b,
                                 kernels::Gathered total) {
    kernels::FinishArgs args;
    args.total = total;
    args.n_columns = b.attend.n_columns;
    args.head = b.attend.head;
    args.out = b.out;
    std::vector<float> sinks;
    if (const float* all = weights_.vector(job.op->weight[0])) {
        for (uint32_t i = 0; i < block.n_rows; i++) {
            sinks.insert(sinks.end(), all + kv_head * b.n_group, all + (kv_head + 1) * b.n_group);
        }
        args.sinks = sinks.data();
    }
    kernels_.finish(args);
}

void CpuExecutable::run_attend(const Job& job, uint64_t task, unsigned worker) {
    if (job.is_split) { return run_split(job, task, worker); }
    const uint32_t n_heads = model_.states[job.op->state].n_heads, head = model_.states[job.op->state].head;
    const Block& block = job.blocks[task / n_heads];
    const auto kv_head = uint32_t(task % n_heads);
    BlockArgs b = block_args(job, block, kv_head, worker);
    const uint32_t n = b.attend.n_columns;
    const kernels::Gathered total = gathered(b.totals, n);
    const kernels::Gathered part = gathered(b.totals + gathered_len(n, head), n);
    for (uint32_t range = block.first_range; range < block.end_range && !is_stopped(); range++) {
        const bool is_first = range == block.first_range;
        attend_range(job, block, kv_head, range, b, is_first ? total : part);
        if (!is_first) { kernels_.merge({total, part, n, head}); }
    }
    finish_block(job, block, kv_head, b, total);
}

void CpuExecutable::run_split(const Job& job, uint64_t task, unsigned worker) {
    const uint32_t n_heads = model_.states[job.op->state].n_heads, head = model_.states[job.op->state].head;
    // Tasks: by block, head, range.
    size_t index = 0;
    for (;; index++) {
        const uint64_t n = uint64_t(job.blocks[index].end_range - job.blocks[index].first_range) * n_heads;
        if (task < n) { break; }
        task -= n;
    }
    const Block& block = job.blocks[index];
    const uint32_t n_ranges = block.end_range - block.first_range;
    const auto kv_head = uint32_t(task / n_ranges), range = uint32_t(task % n_ranges);
    BlockArgs b = block_args(job, block, kv_head, worker);
    const uint32_t n = b.attend.n_columns;
    const uint64_t unit = index * n_heads + kv_head;
    // A row has its own place for each of its ranges, whatever block it is in.
    const uint64_t max_ranges = ranges_of(plan_.settings);
    uint64_t first_row = 0;
    for (size_t i = 0; i < index; i++) { first_row += job.blocks[i].n_rows; }
    const uint64_t row_len = n_heads * max_ranges * gathered_len(b.n_group, head);
    float* parts = reinterpret_cast<float*>(attention_.data()) + first_row * row_len +
                   kv_head * max_ranges * gathered_len(b.n_group, head) * block.n_rows;
    const uint64_t part_len = gathered_len(b.n_group, head) * block.n_rows;
    attend_range(job, block, kv_head, block.first_range + range, b, gathered(parts + range * part_len, n));
    if (n_finished_[unit].fetch_add(1) + 1 < n_ranges) { return; }
    const kernels::Gathered total = gathered(parts, n);
    for (uint32_t r = 1; r < n_ranges; r++) { kernels_.merge({total, gathered(parts + r * part_len, n), n, head}); }
    finish_block(job, block, kv_head, b, total);
}

}  // namespace wallaby::backends::cpu
