// Another source's tensors, some of which are computed as they are read: what a model with other types and one with
// adapters have in common.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/weight_source.h"

namespace wallaby::convert {

class DerivedSource : public gguf::WeightSource {
  public:
    std::span<const gguf::Tensor> tensors() const final { return tensors_; }
    const gguf::Tensor* find(std::string_view name) const final;
    const std::string& file_of(const gguf::Tensor& tensor) const final;
    Result<void> read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const final;
    std::span<const uint8_t> bytes(const gguf::Tensor& tensor) const final;
    Result<void> check_bytes(const gguf::Tensor& tensor) const final;

  protected:
    // `tensors` are the source's in its order, `is_computed` those that are not taken from it as they are.
    DerivedSource(std::shared_ptr<const gguf::WeightSource> source, std::vector<gguf::Tensor> tensors,
                  std::vector<bool> is_computed);
    // Bytes [offset, offset + out.size()) of tensor i, which are all its own. Called from any thread.
    virtual Result<void> compute(size_t i, uint64_t offset, std::span<uint8_t> out) const = 0;

    const gguf::WeightSource& source() const { return *source_; }

  private:
    size_t index_of(const gguf::Tensor& tensor) const { return by_name_.at(tensor.name); }

    std::shared_ptr<const gguf::WeightSource> source_;
    std::vector<gguf::Tensor> tensors_;
    std::vector<bool> is_computed_;
    std::map<std::string_view, size_t, std::less<>> by_name_;
};

}  // namespace wallaby::convert
