#include "convert/encoded.h"

#include <algorithm>

#include "convert/recode.h"

namespace wallaby::convert {
namespace {

constexpr uint64_t super_block = 256;      // a whole number of blocks of every format
constexpr uint64_t chunk_weights = 32768;  // decoded and encoded at a time

std::vector<bool> changed(std::span<const gguf::Tensor> before, std::span<const gguf::Tensor> after) {
    std::vector<bool> out(after.size());
    for (size_t i = 0; i < out.size(); i++) { out[i] = before[i].type != after[i].type; }
    return out;
}

}  // namespace

EncodedSource::EncodedSource(std::shared_ptr<const gguf::WeightSource> source, QuantizePlan plan,
                             gguf::Metadata metadata)
    : DerivedSource(source, plan.layout.tensors, changed(source->tensors(), plan.layout.tensors)),
      plan_(std::move(plan)),
      metadata_(std::move(metadata)) {}

Result<std::unique_ptr<EncodedSource>> EncodedSource::create(std::shared_ptr<const gguf::WeightSource> source,
                                                             std::string_view type) {
    WALLABY_TRY(QuantizePlan plan, plan_quantize(*source, type, {}, source->metadata().file()));
    return create(std::move(source), std::move(plan));
}

Result<std::unique_ptr<EncodedSource>> EncodedSource::create(std::shared_ptr<const gguf::WeightSource> source,
                                                             QuantizePlan plan) {
    WALLABY_TRY(gguf::Metadata metadata, gguf::metadata_of(plan.draft, source->metadata().file()));
    return std::unique_ptr<EncodedSource>(new EncodedSource(std::move(source), std::move(plan), std::move(metadata)));
}

Result<void> EncodedSource::compute(size_t i, uint64_t offset, std::span<uint8_t> out) const {
    const gguf::Tensor& tensor = tensors()[i];
    const quant::Format& to = quant::format_of(tensor.type);
    const std::span<const float> factors = plan_.importance[i];
    RecodeBuffers buffers;
    std::vector<uint8_t> encoded;
    while (!out.empty()) {
        const uint64_t weight = offset / to.block_bytes * to.block_len, first = weight - weight % super_block;
        const uint64_t begin = first / to.block_len * to.block_bytes, skipped = offset - begin;
        const uint64_t wanted = (skipped + out.size() + to.block_bytes - 1) / to.block_bytes * to.block_len;
        const uint64_t rounded = (wanted + super_block - 1) / super_block * super_block;
        const uint64_t n = std::min({rounded, chunk_weights, tensor.n_elements() - first});
        encoded.resize(n / to.block_len * to.block_bytes);
        WALLABY_TRY([[maybe_unused]] const Recoded recoded,
                    recode(source(), source().tensors()[i], {first, n}, tensor.type, factors, encoded, buffers));
        const uint64_t n_copied = std::min<uint64_t>(encoded.size() - skipped, out.size());
        std::copy_n(encoded.begin() + ptrdiff_t(skipped), n_copied, out.begin());
        offset += n_copied;
        out = out.subspan(n_copied);
    }
    return {};
}

}  // namespace wallaby::convert
