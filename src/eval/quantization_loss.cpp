#include "eval/quantization_loss.h"

#include "convert/encoded.h"
#include "eval/divergence.h"

namespace wallaby::eval {

Result<QuantizationLoss> QuantizationLoss::create(const gguf::WeightSource& source, const LossText& text,
                                                  const engine::LoadOptions& options,
                                                  const engine::Resources& resources) {
    QuantizationLoss loss(source, options, resources);
    loss.options_.n_ctx = text.n_ctx;
    WALLABY_TRY(const convert::QuantizePlan as_it_is,
                convert::plan_types(source, convert::tensor_types(source.tensors()), {}, ""));
    WALLABY_TRY(const auto model, loss.load(as_it_is));
    WALLABY_TRY(loss.chunks_, cut_text(*model, text.text, text.n_ctx, text.n_chunks));
    loss.logits_.reserve(loss.chunks_.n_chunks() * loss.chunks_.n_scored() * model->n_vocab());
    const auto keep = [&](const ScoredRow& row) -> Result<void> {
        loss.logits_.insert(loss.logits_.end(), row.logits.begin(), row.logits.end());
        return {};
    };
    WALLABY_OK(loss.score(model, keep));
    return loss;
}

Result<std::shared_ptr<engine::Model>> QuantizationLoss::load(const convert::QuantizePlan& plan) const {
    const std::shared_ptr<const gguf::WeightSource> borrowed(std::shared_ptr<void>(), source_);
    WALLABY_TRY(auto encoded, convert::EncodedSource::create(borrowed, plan));
    return engine::Model::load(std::move(encoded), options_, *resources_);
}

Result<void> QuantizationLoss::score(const std::shared_ptr<engine::Model>& model, const RowSink& sink) const {
    WALLABY_TRY(const auto session, engine::Session::create(model, {}));
    for (size_t chunk = 0; chunk < chunks_.n_chunks(); chunk++) {
        WALLABY_OK(eval::score(*session, chunks_, chunk, sink, resources_->stop));
    }
    return {};
}

Result<double> QuantizationLoss::measure(const convert::QuantizePlan& plan) const {
    WALLABY_TRY(const auto model, load(plan));
    DivergenceSum sum;
    const size_t n_vocab = model->n_vocab();
    const auto compare = [&](const ScoredRow& row) {
        const size_t index = row.chunk * chunks_.n_scored() + row.index;
        return sum.add(std::span(logits_).subspan(index * n_vocab, n_vocab), row.logits, row.next);
    };
    WALLABY_OK(score(model, compare));
    return sum.result().kld.value;
}

}  // namespace wallaby::eval
