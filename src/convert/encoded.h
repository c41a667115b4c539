// A model in another type or mix as it is read, for whoever needs no file of it: what quantize.h writes, weight for
// weight.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "convert/quantize.h"
#include "gguf/weight_source.h"

namespace wallaby::convert {

class EncodedSource final : public gguf::WeightSource {
  public:
    // `type` is a format or mix of quantize_names().
    static Result<std::unique_ptr<EncodedSource>> create(std::shared_ptr<const gguf::WeightSource> source,
                                                         std::string_view type);
    // `plan` is one of the source.
    static Result<std::unique_ptr<EncodedSource>> create(std::shared_ptr<const gguf::WeightSource> source,
                                                         QuantizePlan plan);

    const gguf::Metadata& metadata() const override { return metadata_; }
    std::span<const gguf::Tensor> tensors() const override { return plan_.layout.tensors; }
    const gguf::Tensor* find(std::string_view name) const override;
    const std::string& file_of(const gguf::Tensor& tensor) const override;
    // Decodes and encodes the blocks that the bytes are of, each time it is called.
    Result<void> read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const override;
    std::span<const uint8_t> bytes(const gguf::Tensor& tensor) const override;
    Result<void> check_bytes(const gguf::Tensor& tensor) const override;

  private:
    EncodedSource(std::shared_ptr<const gguf::WeightSource> source, QuantizePlan plan, gguf::Metadata metadata);
    // The same tensor as it is in the source.
    const gguf::Tensor& before(const gguf::Tensor& tensor) const;

    std::shared_ptr<const gguf::WeightSource> source_;
    QuantizePlan plan_;
    gguf::Metadata metadata_;
    std::map<std::string_view, size_t, std::less<>> by_name_;
};

}  // namespace wallaby::convert
