#include "engine/model.h"

#include <algorithm>

#include "base/system.h"
#include "kv/checkpoints.h"
#include "planner/footprint.h"

namespace wallaby::engine {
namespace {

constexpr uint32_t automatic_n_ctx = 4096;  // the largest context that is chosen without being asked for

uint32_t choose_n_ctx(const ops::Model& model, const LoadOptions& options) {
    if (options.n_ctx != 0) { return options.n_ctx; }
    const uint32_t wanted = std::max(std::min(model.n_ctx_train, automatic_n_ctx), options.n_ctx_at_least);
    return model.n_ctx_max == 0 ? wanted : std::min(wanted, model.n_ctx_max);
}

std::string gib(uint64_t n_bytes) { return fmt::format("{:.2f} GiB", double(n_bytes) / double(1u << 30)); }

Result<void> check_memory(const ops::Model& model, const std::string& name, const backends::Backend& backend,
                          const backends::MemoryPlan& plan, backends::WeightsIn weights_in) {
    const std::optional<uint64_t> available = base::available_memory();
    if (!available || plan.total() <= *available) { return {}; }
    const std::string fits =
        planner::flags_of(planner::settings_that_fit(backend, model, plan.settings, *available), plan.settings);
    return backends::check_memory(
        name, plan, available,
        fmt::format("{}{}; --force loads it nevertheless",
                    fits.empty() ? "No context fits: use a smaller model or type" : "It fits with " + fits,
                    weights_in == backends::WeightsIn::memory ? "; --mmap leaves the weights in the file" : ""));
}

}  // namespace

Result<std::shared_ptr<Model>> Model::load(const std::string& path, const LoadOptions& options,
                                           const Resources& resources) {
    WALLABY_TRY(std::unique_ptr<gguf::WeightSource> source, gguf::open_gguf(path));
    return load(std::move(source), options, resources);
}

Result<std::shared_ptr<Model>> Model::load(std::unique_ptr<gguf::WeightSource> source, const LoadOptions& options,
                                           const Resources& resources) {
    const auto log = [&](base::LogLevel level, const std::string& text) {
        if (resources.log) { resources.log(level, text); }
    };
    std::shared_ptr<Model> model(new Model());
    model->source_ = std::move(source);
    const std::string& name = model->name();
    model->tokenizer_ = text::Tokenizer::load(model->source_->metadata());

    if (model->tokenizer_.ok() && (*model->tokenizer_)->pretokenizer() == "default") {
        log(base::LogLevel::warning,
            name + ": does not say how text is cut into words; the default rule may cut otherwise than in training");
    }

    models::Options build{options.n_ctx, options.rope_freq_base, options.rope_freq_scale};
    WALLABY_TRY(model->program_, models::build(*model->source_, build));
    if (const uint32_t n_ctx = choose_n_ctx(model->program_, options); n_ctx != options.n_ctx) {
        build.n_ctx = n_ctx;  // the program may depend on the context it is for
        WALLABY_TRY(model->program_, models::build(*model->source_, build));
    }
    if (build.n_ctx > model->program_.n_ctx_train) {
        log(base::LogLevel::warning,
            fmt::format("the context of {} tokens is longer than the {} that the model was trained with", build.n_ctx,
                        model->program_.n_ctx_train));
    }
    WALLABY_TRY(const std::unique_ptr<backends::Backend> backend, backends::make(options.backend, resources.pool));
    WALLABY_TRY(const backends::MemoryPlan plan,
                backend->plan(model->program_, {build.n_ctx, options.n_seqs, options.n_batch, options.k_type,
                                                options.v_type, kv::slots_per_sequence}));
    log(base::LogLevel::info,
        fmt::format("{}: {}, {} weights, {} KV cache for {} tokens, {} scratch", name, model->program_.family,
                    gib(plan.weight_bytes), gib(plan.state_bytes), plan.settings.n_ctx, gib(plan.scratch_bytes)));
    if (!options.force) { WALLABY_OK(check_memory(model->program_, name, *backend, plan, options.backend.weights_in)); }
    WALLABY_TRY(model->executable_,
                backend->compile(model->program_, *model->source_, plan, resources.progress, resources.stop));
    model->pages_ = std::make_unique<kv::PagePool>(plan.n_pages);
    model->slots_ = std::make_unique<kv::PagePool>(plan.n_slots);
    return model;
}

Result<const text::Tokenizer*> Model::tokenizer() const {
    if (!tokenizer_.ok()) { return tokenizer_.error(); }
    return static_cast<const text::Tokenizer*>(tokenizer_->get());
}

}  // namespace wallaby::engine
