// A model with LoRA adapters merged into it as it is read: what quantize writes then needs no adapter any more.
#pragma once
#include <memory>
#include <vector>

#include "convert/derived.h"
#include "gguf/adapter.h"

namespace wallaby::convert {

class AdaptedSource final : public DerivedSource {
  public:
    // The adapters are the source's: Adapter::open says which they are. What they change becomes F32, each weight being
    // computed in double and rounded once; the rest stays as it is.
    AdaptedSource(std::shared_ptr<const gguf::WeightSource> source, std::vector<gguf::ScaledAdapter> adapters);

    const gguf::Metadata& metadata() const override { return source().metadata(); }

  private:
    struct Change {
        const gguf::LowRank* factors = nullptr;
        double factor = 1;
    };
    using Changes = std::vector<std::vector<Change>>;  // by tensor
    AdaptedSource(std::shared_ptr<const gguf::WeightSource> source, std::vector<gguf::ScaledAdapter> adapters,
                  Changes changes);
    static Changes changes_of(const gguf::WeightSource& source, std::span<const gguf::ScaledAdapter> adapters);

    Result<void> compute(size_t i, uint64_t offset, std::span<uint8_t> out) const override;
    // Weights [first, first + out.size()) of a tensor, in the order of its data.
    Result<void> compute_weights(size_t i, uint64_t first, std::span<float> out) const;

    std::vector<gguf::ScaledAdapter> adapters_;  // have the factors of the changes
    Changes changes_;
};

}  // namespace wallaby::convert
