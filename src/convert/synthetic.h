// A model that was never trained: the keys and tensors of a shape, random weights in any format, made when they are
// read. The weights depend on (seed, tensor's name, place) alone, so that every reader of every part sees the same
// model.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "convert/random_blocks.h"
#include "convert/shapes.h"
#include "gguf/weight_source.h"
#include "gguf/writer.h"

namespace wallaby::convert {

class SyntheticSource final : public gguf::WeightSource {
  public:
    // `type`: a format or a mix (mixes.h), or empty for the types that the shape came with. `name` stands for the file
    // in messages. Scales are such that activations stay near 1 and logits finite and spread.
    static Result<std::unique_ptr<SyntheticSource>> create(Shape shape, std::string_view type, uint64_t seed,
                                                           const std::string& name);

    const gguf::Metadata& metadata() const override { return metadata_; }
    std::span<const gguf::Tensor> tensors() const override { return layout_.tensors; }
    const gguf::Tensor* find(std::string_view name) const override;
    Result<void> read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const override;

    // The file that holds it.
    const gguf::Draft& draft() const { return draft_; }
    const gguf::Layout& layout() const { return layout_; }
    // Tensors whose rows are no whole blocks of the type asked for, and got another.
    size_t n_replaced() const { return n_replaced_; }

  private:
    struct Content {
        const RandomBlocks* blocks = nullptr;
        uint64_t key = 0;
        std::vector<uint8_t> given = {};  // instead of random blocks
    };
    SyntheticSource() = default;

    gguf::Draft draft_;
    gguf::Layout layout_;
    gguf::Metadata metadata_;
    size_t n_replaced_ = 0;
    std::map<std::string, size_t, std::less<>> by_name_;
    std::vector<Content> contents_;  // of each tensor
    std::vector<std::unique_ptr<RandomBlocks>> blocks_;
};

// A synthetic model of a known name: what benches and tests load in place of a file.
Result<std::unique_ptr<SyntheticSource>> open_synthetic(std::string_view shape, std::string_view type, uint64_t seed);

}  // namespace wallaby::convert
