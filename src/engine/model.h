// A model ready to run: the file's metadata, its tokenizer, its program and the executable that a back end made of it.
// Shared by its sessions; nothing in it changes after load but the states, which sessions own page by page.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "backends/backend.h"
#include "base/log.h"
#include "models/models.h"
#include "text/tokenizer.h"

namespace wallaby::engine {

struct LoadOptions {
    backends::Choice backend = {};
    uint32_t n_ctx = 0;           // positions of a sequence; 0: what the model was trained with, at most 4096
    uint32_t n_ctx_at_least = 0;  // raises the automatic choice, within what the family can do
    uint32_t n_seqs = 1;
    uint32_t n_batch = 256;
    quant::Type k_type = quant::Type::f16, v_type = quant::Type::f16;
    bool force = false;  // load it even where the plan is beyond the memory that is available
    double rope_freq_base = 0, rope_freq_scale = 0;  // models::Options
};

// Passed in, owned by the caller; the pool must outlive the model.
struct Resources {
    threads::Pool& pool;
    base::LogSink log;
    base::Progress progress;
    std::stop_token stop;
};

class Model {
  public:
    // Plans first: a model that does not fit the memory is refused before any weight is read.
    static Result<std::shared_ptr<Model>> load(std::unique_ptr<gguf::WeightSource> source, const LoadOptions& options,
                                               const Resources& resources);
    static Result<std::shared_ptr<Model>> load(const std::string& path, const LoadOptions& options,
                                               const Resources& resources);

    // What the source calls itself: a path.
    const std::string& name() const { return metadata().file(); }
    const gguf::Metadata& metadata() const { return source_->metadata(); }
    const ops::Model& program() const { return program_; }
    const backends::MemoryPlan& plan() const { return executable_->plan(); }
    uint32_t n_ctx() const { return plan().settings.n_ctx; }
    uint32_t n_vocab() const { return program_.n_vocab; }
    // The file's tokenizer, or why this build cannot use it: such a model still runs on token ids.
    Result<const text::Tokenizer*> tokenizer() const;

  private:
    friend class Session;
    friend class Adapter;
    Model() = default;

    std::unique_ptr<gguf::WeightSource> source_;
    Result<std::unique_ptr<text::Tokenizer>> tokenizer_ = Error{};
    ops::Model program_;
    std::mutex step_;  // held while the executable runs or pages change hands
    std::unique_ptr<backends::Executable> executable_;
    std::unique_ptr<kv::PagePool> pages_, slots_;
};

}  // namespace wallaby::engine
