// A model as it would be after quantising, without writing it: tensors are encoded as they are read.
#pragma once
#include <string_view>
#include <unordered_map>

#include "convert/quantize.h"
#include "gguf/weight_source.h"

namespace wallaby::convert {

class QuantizedSource final : public gguf::WeightSource {
  public:
    // The bytes that quantize() would write for the plan, which is one of this source. Both must outlive it.
    QuantizedSource(const gguf::WeightSource& source, const QuantizePlan& plan);

    // The source's own: what it says of its types is not changed.
    const gguf::Metadata& metadata() const override { return source_.metadata(); }
    std::span<const gguf::Tensor> tensors() const override { return plan_.layout.tensors; }
    const gguf::Tensor* find(std::string_view name) const override;
    const std::string& file_of(const gguf::Tensor& tensor) const override;
    Result<void> read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const override;

  private:
    const gguf::WeightSource& source_;
    const QuantizePlan& plan_;
    std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace wallaby::convert
