#include "convert/quantized_source.h"

#include <algorithm>

#include "convert/recode.h"

namespace wallaby::convert {
namespace {

constexpr uint64_t piece_weights = uint64_t(1) << 15;

}  // namespace

QuantizedSource::QuantizedSource(const gguf::WeightSource& source, const QuantizePlan& plan)
    : source_(source), plan_(plan) {
    for (size_t i = 0; i < plan.layout.tensors.size(); i++) { by_name_.emplace(plan.layout.tensors[i].name, i); }
}

const gguf::Tensor* QuantizedSource::find(std::string_view name) const {
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? nullptr : &plan_.layout.tensors[at->second];
}

const std::string& QuantizedSource::file_of(const gguf::Tensor& tensor) const {
    const gguf::Tensor* const original = source_.find(tensor.name);
    return original == nullptr ? source_.metadata().file() : source_.file_of(*original);
}

Result<void> QuantizedSource::read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const {
    const size_t index = by_name_.at(tensor.name);
    const gguf::Tensor& original = source_.tensors()[index];
    if (original.type == tensor.type) { return source_.read(original, offset, out); }
    const quant::Format& from = quant::format_of(original.type);
    const quant::Format& to = quant::format_of(tensor.type);
    // Whole blocks of both types; a length of one divides the other's.
    const uint64_t unit = std::max(from.block_len, to.block_len), unit_bytes = unit / to.block_len * to.block_bytes;
    const uint64_t end = offset + out.size(), step = piece_weights / unit * unit_bytes;
    std::vector<uint8_t> blocks;
    RecodeBuffers buffers;
    for (uint64_t begin = offset / unit_bytes * unit_bytes; begin < end; begin += step) {
        const uint64_t n_units = (std::min(end - begin, step) + unit_bytes - 1) / unit_bytes;
        blocks.resize(n_units * unit_bytes);
        const WeightRange range{begin / unit_bytes * unit, n_units * unit};
        WALLABY_TRY([[maybe_unused]] const Recoded recoded, recode(source_, original, range, tensor.type, plan_.importance[index], blocks, buffers));
        const uint64_t first = std::max(begin, offset), last = std::min(begin + blocks.size(), end);
        std::copy_n(blocks.begin() + std::ptrdiff_t(first - begin), last - first, out.begin() + std::ptrdiff_t(first - offset));
    }
    return {};
}

}  // namespace wallaby::convert
