// Any bytes at all as a model file: typed metadata, tokenizer, program, costs and plan; and where the model is tiny,
// its weights are loaded and it runs. Each step gives an Error or something that the next can rely on.
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "base/bytes.h"
#include "gguf/weight_source.h"
#include "models/models.h"
#include "ops/cost.h"
#include "text/tokenizer.h"

namespace {

using namespace wallaby;

constexpr uint64_t max_bytes = 1 << 20,
                   max_macs = 1 << 20;  // of a model that is run: one input stays below milliseconds

uint64_t seen = 0;  // what is read is added up here, so that no read is optimised away

template <class T>
void touch(const Result<T>& result) {
    if (!result.ok()) { seen += result.error().message().size(); }
}

void use_tokenizer(const gguf::Metadata& metadata) {
    const auto tokenizer = text::Tokenizer::load(metadata);
    touch(tokenizer);
    if (!tokenizer.ok()) { return; }
    const auto ids = (*tokenizer)->encode("a ab\nabé<s>cd", {});
    touch(ids);
    if (!ids.ok()) { return; }
    for (const int32_t id : *ids) {
        if (id < 0 || id >= (*tokenizer)->n_tokens()) { __builtin_trap(); }
    }
    seen += (*tokenizer)->decode(*ids, true).size();
}

// Two tokens, then one more.
void run(const ops::Model& model, const gguf::WeightSource& source, const backends::Backend& backend,
         const backends::MemoryPlan& plan) {
    const auto executable = backend.compile(model, source, plan, {}, {});
    touch(executable);
    if (!executable.ok()) { return; }
    const std::vector<kv::PageId> pages(kv::pages_for(plan.settings.n_ctx), 0);
    std::vector<float> logits(model.n_vocab);
    const auto last = int32_t(model.n_vocab - 1);
    backends::Batch batch;
    batch.rows = {{0, 0, 0, false}, {last, 1, 0, true}};
    batch.sequences = {{pages, kv::no_slot, 0}};
    touch((*executable)->run(0, batch, logits, {}));
    batch.rows = {{last, 2, 0, true}};
    batch.sequences = {{pages, 0, 1}};
    touch((*executable)->run(0, batch, logits, {}));
}

void use_model(const gguf::WeightSource& source) {
    static threads::Pool pool(1);
    static const auto backend = backends::make_reference(pool);
    const auto model = models::build(source, {.n_ctx = 16, .rope_freq_base = 0, .rope_freq_scale = 0});
    touch(model);
    if (!model.ok()) { return; }
    if (!ops::check(*model).ok()) { __builtin_trap(); }  // what is built has been checked
    uint64_t macs = 0;
    for (const ops::Program& program : model->programs) {
        for (const ops::Op& op : program.ops) {
            macs += ops::cost(*model, program, op, {}, quant::Type::f16, quant::Type::f16).macs;
        }
    }
    const auto plan = backend->plan(*model, {16, 1, 2, quant::Type::f16, quant::Type::f16});
    touch(plan);
    if (plan.ok() && plan->total() <= max_bytes && macs <= max_macs) { run(*model, source, *backend, *plan); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto opened = gguf::open_gguf(std::make_unique<base::MemorySource>(std::span(data, size), "fuzz"));
    touch(opened);
    if (!opened.ok()) { return 0; }
    use_tokenizer((*opened)->metadata());
    use_model(**opened);
    return 0;
}
