// A model on a back end, driven by token ids: what golden and property tests share.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "gguf/weight_source.h"
#include "kv/checkpoints.h"
#include "models/models.h"
#include "ops/program.h"
#include "threads/pool.h"

namespace wallaby::testing {

// The value of a Result that a test relies on.
template <class T>
T must(Result<T> result) {
    if (!result.ok()) {
        ADD_FAILURE() << result.error().message();
        std::abort();  // a test cannot go on without it
    }
    return std::move(result).value();
}

struct RunnerOptions {
    uint32_t n_ctx = 512;
    uint32_t n_seqs = 1;
    uint32_t n_threads = 1;
    quant::Type kv = quant::Type::f32;
    std::string backend = "reference";  // or the instruction set of the CPU back end: "auto", "portable" …
    backends::WeightsIn weights_in = backends::WeightsIn::memory;
};

class Runner {
  public:
    // `edit` may change the program before it is compiled: planted mistakes.
    using Edit = std::function<void(ops::Model&)>;
    Runner(const gguf::WeightSource& source, const RunnerOptions& options, const Edit& edit = {})
        : pool_(options.n_threads) {
        models::Options build;
        build.n_ctx = options.n_ctx;
        model_ = must(models::build(source, build));
        if (edit) { edit(model_); }
        const auto backend = options.backend == "reference"
                                 ? backends::make_reference(pool_)
                                 : must(backends::make_cpu(pool_, options.backend, options.weights_in));
        const auto plan = must(backend->plan(model_, {options.n_ctx, options.n_seqs, 128, options.kv, options.kv}));
        executable_ = must(backend->compile(model_, source, plan, {}, {}));
        pages_ = std::make_unique<kv::PagePool>(plan.n_pages);
        slots_ = std::make_unique<kv::PagePool>(plan.n_slots);
        for (uint32_t i = 0; i < options.n_seqs; i++) {
            tables_.emplace_back(*pages_);
            states_.push_back(std::make_unique<kv::Checkpoints>(*slots_));
        }
        n_past_.resize(options.n_seqs);
        adapters_.resize(options.n_seqs);
    }
    Runner(const std::string& path, const RunnerOptions& options, const Edit& edit = {})
        : Runner(must(gguf::open_gguf(path)), options, edit) {}
    // Keeps the source.
    Runner(std::unique_ptr<gguf::WeightSource> source, const RunnerOptions& options, const Edit& edit = {})
        : Runner(*source, options, edit) {
        source_ = std::move(source);
    }

    const ops::Model& model() const { return model_; }
    uint32_t n_vocab() const { return model_.n_vocab; }
    backends::MatmulObserver observer;  // of every step, where it is set
    void reset(uint32_t sequence = 0) {
        tables_[sequence].truncate(0);
        states_[sequence]->rewind(0);
        n_past_[sequence] = 0;
    }

    // The sequence's rows meet matrices with this added to them, from now on.
    void adapt(const std::vector<gguf::ScaledAdapter>& adapters, uint32_t sequence = 0) {
        adapters_[sequence].clear();
        for (const auto& [adapter, scale] : adapters) {
            ready_.push_back(must(executable_->adapt(adapter)));
            adapters_[sequence].push_back({ready_.back().get(), scale});
        }
    }
    backends::Executable& executable() { return *executable_; }

    struct Part {
        uint32_t sequence;
        std::vector<int32_t> tokens;
    };
    // Runs the parts as one batch; logits of every row: [rows][n_vocab].
    std::vector<float> step(const std::vector<Part>& parts) {
        backends::Batch batch;
        batch.observer = observer ? &observer : nullptr;
        for (const Part& part : parts) {
            for (const int32_t token : part.tokens) {
                batch.rows.push_back({token, n_past_[part.sequence]++, part.sequence, true});
            }
            EXPECT_TRUE(tables_[part.sequence].reserve(n_past_[part.sequence]).ok());
        }
        for (size_t i = 0; i < tables_.size(); i++) {
            batch.sequences.push_back({.pages = tables_[i].pages(), .adapters = adapters_[i]});
        }
        for (const Part& part : parts) {
            const auto slots = must(states_[part.sequence]->begin());
            batch.sequences[part.sequence].slot_from = slots.from;
            batch.sequences[part.sequence].slot_to = slots.to;
        }
        std::vector<float> logits(batch.rows.size() * model_.n_vocab);
        const auto ran = executable_->run(0, batch, logits, {});
        EXPECT_TRUE(ran.ok()) << (ran.ok() ? "" : ran.error().message());
        for (const Part& part : parts) { states_[part.sequence]->commit(n_past_[part.sequence]); }
        return logits;
    }
    // The same tokens in chunks of at most n_chunk.
    std::vector<float> feed(const std::vector<int32_t>& tokens, size_t n_chunk = 128, uint32_t sequence = 0) {
        std::vector<float> out;
        for (size_t i = 0; i < tokens.size(); i += n_chunk) {
            const auto end = tokens.begin() + std::ptrdiff_t(std::min(i + n_chunk, tokens.size()));
            const auto logits = step({{sequence, {tokens.begin() + std::ptrdiff_t(i), end}}});
            out.insert(out.end(), logits.begin(), logits.end());
        }
        return out;
    }
    // Feeds `tokens`, then n times the argmax (the lowest id among equals).
    std::vector<int32_t> greedy(const std::vector<int32_t>& tokens, size_t n) {
        std::vector<int32_t> out;
        std::vector<float> logits = feed(tokens);
        while (out.size() < n) {
            const auto last = logits.end() - std::ptrdiff_t(model_.n_vocab);
            out.push_back(int32_t(std::max_element(last, logits.end()) - last));
            if (out.size() < n) { logits = feed({out.back()}); }
        }
        return out;
    }

  private:
    std::unique_ptr<gguf::WeightSource> source_;
    threads::Pool pool_;
    ops::Model model_;
    std::unique_ptr<backends::Executable> executable_;
    std::unique_ptr<kv::PagePool> pages_, slots_;
    std::vector<kv::PageTable> tables_;
    std::vector<std::unique_ptr<kv::Checkpoints>> states_;
    std::vector<uint32_t> n_past_;
    std::vector<std::unique_ptr<const backends::Adapter>> ready_;
    std::vector<std::vector<backends::Batch::Sequence::Adapted>> adapters_;  // by sequence
};

// ‖a − b‖ / ‖b‖; infinity where the lengths differ or anything is not a number.
inline double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size()) { return INFINITY; }
    double difference = 0, norm = 0;
    for (size_t i = 0; i < a.size(); i++) {
        difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
        norm += double(b[i]) * b[i];
    }
    const double r = std::sqrt(difference / norm);
    return r == r ? r : INFINITY;
}

}  // namespace wallaby::testing
