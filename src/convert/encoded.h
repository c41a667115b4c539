// A model in another type or mix as it is read, for whoever needs no file of it: what quantize.h writes, weight for
// weight.
#pragma once
#include <memory>
#include <string_view>

#include "convert/derived.h"
#include "convert/quantize.h"

namespace wallaby::convert {

class EncodedSource final : public DerivedSource {
  public:
    // `type` is a format or mix of quantize_names().
    static Result<std::unique_ptr<EncodedSource>> create(std::shared_ptr<const gguf::WeightSource> source,
                                                         std::string_view type);
    // `plan` is one of the source.
    static Result<std::unique_ptr<EncodedSource>> create(std::shared_ptr<const gguf::WeightSource> source,
                                                         QuantizePlan plan);

    const gguf::Metadata& metadata() const override { return metadata_; }

  private:
    EncodedSource(std::shared_ptr<const gguf::WeightSource> source, QuantizePlan plan, gguf::Metadata metadata);
    // Decodes and encodes the blocks that the bytes are of, each time it is called.
    Result<void> compute(size_t i, uint64_t offset, std::span<uint8_t> out) const override;

    QuantizePlan plan_;
    gguf::Metadata metadata_;
};

}  // namespace wallaby::convert
