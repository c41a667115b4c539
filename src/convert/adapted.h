// A model with LoRA adapters merged into it as it is read: what quantize writes then needs no adapter any more.
#pragma once
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "gguf/adapter.h"
#include "gguf/weight_source.h"

namespace wallaby::convert {

class AdaptedSource final : public gguf::WeightSource {
  public:
    // The adapters are the source's: Adapter::open says which they are. What they change becomes F32, each weight being
    // computed in double and rounded once; the rest stays as it is.
    AdaptedSource(std::shared_ptr<const gguf::WeightSource> source, std::vector<gguf::ScaledAdapter> adapters);

    const gguf::Metadata& metadata() const override { return source_->metadata(); }
    std::span<const gguf::Tensor> tensors() const override { return tensors_; }
    const gguf::Tensor* find(std::string_view name) const override;
    const std::string& file_of(const gguf::Tensor& tensor) const override;
    Result<void> read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const override;
    std::span<const uint8_t> bytes(const gguf::Tensor& tensor) const override;
    Result<void> check_bytes(const gguf::Tensor& tensor) const override;

  private:
    struct Change {
        const gguf::LowRank* factors = nullptr;
        double factor = 1;
    };
    // The same tensor as it is in the source.
    const gguf::Tensor& before(const gguf::Tensor& tensor) const;
    // Weights [first, first + out.size()) of a tensor, in the order of its data.
    Result<void> read_weights(const gguf::Tensor& tensor, uint64_t first, std::span<float> out) const;

    std::shared_ptr<const gguf::WeightSource> source_;
    std::vector<gguf::ScaledAdapter> adapters_;  // have the factors of the changes
    std::vector<gguf::Tensor> tensors_;
    std::map<std::string_view, size_t, std::less<>> by_name_;
    std::vector<std::vector<Change>> changes_;  // by tensor
};

}  // namespace wallaby::convert
