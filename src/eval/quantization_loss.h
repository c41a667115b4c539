// What a model loses by quantising, before any file is written: the KL divergence of its next tokens from those that
// the source itself finds on the same text. The source's logits are kept in memory: 4 bytes × n_vocab a scored token.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "convert/quantize.h"
#include "engine/model.h"
#include "eval/chunks.h"

namespace wallaby::eval {

// A text in chunks, as cut_text cuts it.
struct LossText {
    std::string_view text;
    uint32_t n_ctx = 512;
    uint32_t n_chunks = 1;  // at most
};

class QuantizationLoss {
  public:
    // Evaluates the source as it is. It is read again for each measurement: source and resources must outlive this.
    static Result<QuantizationLoss> create(const gguf::WeightSource& source, const LossText& text,
                                           const engine::LoadOptions& options, const engine::Resources& resources);

    // The mean KL divergence, in nats, of the source in the plan's types. Costs a load and an evaluation.
    Result<double> measure(const convert::QuantizePlan& plan) const;

  private:
    QuantizationLoss(const gguf::WeightSource& source, const engine::LoadOptions& options,
                     const engine::Resources& resources)
        : source_(&source), options_(options), resources_(&resources) {}
    Result<std::shared_ptr<engine::Model>> load(const convert::QuantizePlan& plan) const;
    Result<void> score(const std::shared_ptr<engine::Model>& model, const RowSink& sink) const;

    const gguf::WeightSource* source_;
    engine::LoadOptions options_;
    const engine::Resources* resources_;
    Chunks chunks_;
    std::vector<float> logits_;  // [scored token][n_vocab]
};

}  // namespace wallaby::eval
