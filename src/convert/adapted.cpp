#include "convert/adapted.h"

#include <algorithm>
#include <cstring>

namespace wallaby::convert {
namespace {

constexpr uint64_t chunk_weights = 32768;  // computed at a time

// sums [n] += factor * B A, of weights from `first` on.
void add(const gguf::LowRank& factors, double factor, uint64_t first, std::span<double> sums) {
    const uint64_t n_in = factors.n_in, rank = factors.rank, end = first + sums.size();
    std::vector<float> a(n_in), b;
    for (uint64_t at = first; at < end;) {  // matrix by matrix
        const uint64_t matrix = at / n_in / factors.n_out, last = std::min(end, (matrix + 1) * factors.n_out * n_in);
        const uint64_t first_row = at / n_in, n_rows = (last - 1) / n_in + 1 - first_row;
        b.resize(n_rows * rank);
        factors.b.decode(first_row, n_rows, b.data());
        for (uint64_t k = 0; k < rank; k++) {
            factors.a.decode(matrix * rank + k, 1, a.data());
            for (uint64_t row = first_row; row < first_row + n_rows; row++) {
                const double times = factor * b[(row - first_row) * rank + k];
                const uint64_t begin = std::max(at, row * n_in), stop = std::min(last, (row + 1) * n_in);
                for (uint64_t i = begin; i < stop; i++) { sums[i - first] += times * a[i - row * n_in]; }
            }
        }
        at = last;
    }
}

// The tensors, those with changes as F32.
std::vector<gguf::Tensor> widened(std::span<const gguf::Tensor> tensors, const auto& changes) {
    std::vector<gguf::Tensor> out(tensors.begin(), tensors.end());
    for (size_t i = 0; i < out.size(); i++) {
        if (changes[i].empty()) { continue; }
        out[i].type = quant::Type::f32;
        out[i].n_bytes = out[i].n_elements() * sizeof(float);
    }
    return out;
}

std::vector<bool> which_have(const auto& changes) {
    std::vector<bool> out;
    for (const auto& each : changes) { out.push_back(!each.empty()); }
    return out;
}

}  // namespace

AdaptedSource::AdaptedSource(std::shared_ptr<const gguf::WeightSource> source,
                             std::vector<gguf::ScaledAdapter> adapters)
    : AdaptedSource(source, adapters, changes_of(*source, adapters)) {}

AdaptedSource::AdaptedSource(std::shared_ptr<const gguf::WeightSource> source,
                             std::vector<gguf::ScaledAdapter> adapters, Changes changes)
    : DerivedSource(source, widened(source->tensors(), changes), which_have(changes)),
      adapters_(std::move(adapters)),
      changes_(std::move(changes)) {}

AdaptedSource::Changes AdaptedSource::changes_of(const gguf::WeightSource& source,
                                                 std::span<const gguf::ScaledAdapter> adapters) {
    Changes out;
    for (const gguf::Tensor& tensor : source.tensors()) {
        out.emplace_back();
        for (const auto& [adapter, scale] : adapters) {
            const auto at = adapter->changes().find(tensor.name);
            if (at == adapter->changes().end()) { continue; }
            out.back().push_back({&at->second, scale * adapter->strength(at->second)});
        }
    }
    return out;
}

Result<void> AdaptedSource::compute_weights(size_t i, uint64_t first, std::span<float> out) const {
    const gguf::Tensor& stored = source().tensors()[i];
    const quant::Format& format = quant::format_of(stored.type);
    const uint64_t end = first + out.size();
    // Whole blocks, of which the first and the last may be wanted in part.
    const uint64_t begin = first / format.block_len * format.block_len;
    const uint64_t n = (end - begin + format.block_len - 1) / format.block_len * format.block_len;
    std::vector<uint8_t> bytes(n / format.block_len * format.block_bytes);
    std::vector<float> weights(n);
    WALLABY_OK(source().read(stored, begin / format.block_len * format.block_bytes, bytes));
    format.decode(bytes.data(), weights.data(), n / format.block_len);
    std::vector<double> sums(weights.begin() + ptrdiff_t(first - begin), weights.begin() + ptrdiff_t(end - begin));
    for (const auto& [factors, factor] : changes_[i]) { add(*factors, factor, first, sums); }
    std::ranges::transform(sums, out.begin(), [](double x) { return float(x); });
    return {};
}

Result<void> AdaptedSource::compute(size_t i, uint64_t offset, std::span<uint8_t> out) const {
    std::vector<float> weights;
    while (!out.empty()) {
        const uint64_t skipped = offset % sizeof(float);
        const uint64_t n = std::min(chunk_weights, (skipped + out.size() + sizeof(float) - 1) / sizeof(float));
        weights.resize(n);
        WALLABY_OK(compute_weights(i, offset / sizeof(float), weights));
        const uint64_t n_copied = std::min<uint64_t>(n * sizeof(float) - skipped, out.size());
        std::memcpy(out.data(), reinterpret_cast<const uint8_t*>(weights.data()) + skipped, n_copied);
        offset += n_copied;
        out = out.subspan(n_copied);
    }
    return {};
}

}  // namespace wallaby::convert
