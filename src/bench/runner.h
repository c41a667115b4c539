// A model loaded for a group of tests, and the tests on it: token ids straight into the executable, no tokenizer and no
// sampling.
#pragma once
#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

#include "backends/backend.h"
#include "bench/plan.h"
#include "kv/checkpoints.h"
#include "models/models.h"
#include "sampling/random.h"

namespace wallaby::bench {

struct RunOptions {
    uint32_t n_repetitions = 5;
    bool warm_up = true;
    uint64_t seed = 1;  // of the token ids: each repetition has the same
    // Called before the warm-up (0) and before each repetition (from 1).
    std::function<void(uint32_t repetition)> progress = {};
};

class Runner {
  public:
    // Builds, plans and compiles: what loading a model is. A plan beyond the memory that is there is refused before any
    // weight is read. The back end is not needed afterwards.
    static Result<std::unique_ptr<Runner>> load(const gguf::WeightSource& source, const Group& group,
                                                const backends::Backend& backend, const base::Progress& progress,
                                                const std::stop_token& stop);

    const ops::Model& model() const { return model_; }
    const backends::MemoryPlan& plan() const { return executable_->plan(); }

    // Seconds of each repetition of a test of the group. Each starts from sequences that hold exactly the test's depth.
    Result<std::vector<double>> measure(const Test& test, const RunOptions& options, const std::stop_token& stop);

  private:
    struct Sequence {
        Sequence(kv::PagePool& pages, kv::PagePool& slot_pool) : table(pages), slots(slot_pool) {}
        kv::PageTable table;
        kv::Checkpoints slots;
        uint32_t n_past = 0;
        uint32_t n_kept = 0;  // tokens at the depth of the last test: a repetition goes back to them
    };
    Runner() = default;
    Result<void> fill(uint32_t n_seqs, uint32_t depth, uint64_t seed, const std::stop_token& stop);
    void go_back(const Test& test);
    Result<void> prompt(uint32_t sequence, uint32_t n_tokens, sampling::Random& random, const std::stop_token& stop);
    Result<void> generate(uint32_t n_seqs, uint32_t n_steps, sampling::Random& random, const std::stop_token& stop);
    Result<void> run(const Test& test, uint64_t seed, const std::stop_token& stop);
    Result<void> step(const std::vector<uint32_t>& sequences, const std::stop_token& stop);
    int32_t token(sampling::Random& random) const;

    ops::Model model_;
    std::unique_ptr<backends::Executable> executable_;
    std::unique_ptr<kv::PagePool> pages_, slots_;
    std::vector<std::unique_ptr<Sequence>> sequences_;
    backends::Batch batch_;
    std::vector<float> logits_;
    uint32_t n_batch_ = 0;  // rows of a prompt's batch
};

}  // namespace wallaby::bench
