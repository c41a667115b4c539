#include "bench/runner.h"

#include <algorithm>
#include <numeric>

#include "base/system.h"

namespace wallaby::bench {
namespace {

Result<void> check_positions(const std::string& model, uint32_t n_ctx, uint32_t n_ctx_max) {
    if (n_ctx_max == 0 || n_ctx <= n_ctx_max) { return {}; }
    return Error{ErrorCode::capacity,
                 fmt::format("has {} positions, but a test needs {}", n_ctx_max, n_ctx),
                 {model, "", {}},
                 "Use a smaller -d, -p or -n"};
}

}  // namespace

Result<std::unique_ptr<Runner>> Runner::load(const gguf::WeightSource& source, const Group& group,
                                             const backends::Backend& backend, const base::Progress& progress,
                                             const std::stop_token& stop) {
    const std::string& name = source.metadata().file();
    std::unique_ptr<Runner> runner(new Runner());
    WALLABY_TRY(runner->model_, models::build(source, {.n_ctx = group.n_ctx()}));
    WALLABY_OK(check_positions(name, group.n_ctx(), runner->model_.n_ctx_max));
    // A step of all sequences is a batch too.
    const uint32_t n_rows = std::max(group.n_batch, group.n_seqs());
    WALLABY_TRY(const backends::MemoryPlan plan,
                backend.plan(runner->model_, {group.n_ctx(), group.n_seqs(), n_rows, group.k_type, group.v_type,
                                              kv::slots_per_sequence}));
    WALLABY_OK(backends::check_memory(name, plan, base::available_memory(),
                                      "Use a smaller -d, -p, -n or -np, --mmap, or a smaller model"));
    WALLABY_TRY(runner->executable_, backend.compile(runner->model_, source, plan, progress, stop));
    runner->pages_ = std::make_unique<kv::PagePool>(plan.n_pages);
    runner->slots_ = std::make_unique<kv::PagePool>(plan.n_slots);
    for (uint32_t i = 0; i < group.n_seqs(); i++) {
        runner->sequences_.push_back(std::make_unique<Sequence>(*runner->pages_, *runner->slots_));
        WALLABY_OK(runner->sequences_.back()->table.reserve(group.n_ctx()));
    }
    runner->logits_.resize(size_t(group.n_seqs()) * runner->model_.n_vocab);
    runner->n_batch_ = group.n_batch;
    return runner;
}

int32_t Runner::token(sampling::Random& random) const {
    return std::min(int32_t(random.uniform() * model_.n_vocab), int32_t(model_.n_vocab - 1));
}

// Runs the rows in batch_, which are of `sequences` in that order.
Result<void> Runner::step(const std::vector<uint32_t>& sequences, const std::stop_token& stop) {
    batch_.sequences.clear();
    for (const uint32_t i : sequences) {
        WALLABY_TRY(const kv::Checkpoints::Step slots, sequences_[i]->slots.begin());
        batch_.sequences.push_back({sequences_[i]->table.pages(), slots.from, slots.to});
    }
    size_t n_outputs = 0;
    for (const backends::Batch::Row& row : batch_.rows) { n_outputs += row.output ? 1 : 0; }
    WALLABY_OK(executable_->run(0, batch_, std::span(logits_).first(n_outputs * model_.n_vocab), stop));
    for (const backends::Batch::Row& row : batch_.rows) { sequences_[sequences[row.sequence]]->n_past++; }
    for (const uint32_t i : sequences) { sequences_[i]->slots.commit(sequences_[i]->n_past); }
    return {};
}

Result<void> Runner::prompt(uint32_t sequence, uint32_t n_tokens, sampling::Random& random,
                            const std::stop_token& stop) {
    while (n_tokens != 0) {
        const uint32_t n = std::min(n_tokens, n_batch_);
        const uint32_t at = sequences_[sequence]->n_past;
        n_tokens -= n;
        batch_.rows.clear();
        for (uint32_t i = 0; i < n; i++) {
            batch_.rows.push_back({token(random), at + i, 0, n_tokens == 0 && i + 1 == n});
        }
        WALLABY_OK(step({sequence}, stop));
    }
    return {};
}

Result<void> Runner::generate(uint32_t n_seqs, uint32_t n_steps, sampling::Random& random,
                              const std::stop_token& stop) {
    std::vector<uint32_t> all(n_seqs);
    std::iota(all.begin(), all.end(), 0);
    for (uint32_t n = 0; n < n_steps; n++) {
        batch_.rows.clear();
        for (const uint32_t i : all) { batch_.rows.push_back({token(random), sequences_[i]->n_past, i, true}); }
        WALLABY_OK(step(all, stop));
    }
    return {};
}

// Brings the sequences to `depth` tokens where they are at another; pages keep what lies below it.
Result<void> Runner::fill(uint32_t n_seqs, uint32_t depth, uint64_t seed, const std::stop_token& stop) {
    for (uint32_t i = 0; i < n_seqs; i++) {
        Sequence& s = *sequences_[i];
        if (s.n_kept == depth) { continue; }
        s.slots.clear();
        s.n_past = s.n_kept = 0;
        sampling::Random random(seed + i);
        WALLABY_OK(prompt(i, depth, random, stop));
        s.slots.keep();
        s.n_kept = depth;
    }
    return {};
}

void Runner::go_back(const Test& test) {
    for (uint32_t i = 0; i < test.n_seqs; i++) {
        Sequence& s = *sequences_[i];
        if (test.n_depth == 0) { s.slots.clear(); }
        s.n_past = uint32_t(s.slots.rewind(test.n_depth));
    }
}

Result<void> Runner::run(const Test& test, uint64_t seed, const std::stop_token& stop) {
    sampling::Random random(seed);
    if (test.n_prompt != 0) {
        for (uint32_t i = 0; i < test.n_seqs; i++) { WALLABY_OK(prompt(i, test.n_prompt, random, stop)); }
    }
    return generate(test.n_seqs, test.n_gen, random, stop);
}

Result<std::vector<double>> Runner::measure(const Test& test, const RunOptions& options, const std::stop_token& stop) {
    const auto tell = [&](uint32_t repetition) {
        if (options.progress) { options.progress(repetition); }
    };
    tell(0);
    WALLABY_OK(fill(test.n_seqs, test.n_depth, options.seed, stop));
    if (options.warm_up) {
        go_back(test);
        // Touches all weights and all scratch memory that the test will.
        WALLABY_OK(run({std::min(test.n_prompt, n_batch_), std::min(test.n_gen, 1u), test.n_depth, test.n_seqs},
                       options.seed, stop));
    }
    std::vector<double> seconds;
    for (uint32_t r = 1; r <= options.n_repetitions; r++) {
        tell(r);
        go_back(test);
        const double start = base::monotonic_seconds();
        WALLABY_OK(run(test, options.seed, stop));
        seconds.push_back(base::monotonic_seconds() - start);
    }
    return seconds;
}

}  // namespace wallaby::bench
