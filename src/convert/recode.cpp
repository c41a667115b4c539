#include "convert/recode.h"

#include <algorithm>

#include "base/math.h"

namespace wallaby::convert {
namespace {

Error at_weight(const gguf::WeightSource& source, const gguf::Tensor& tensor, uint64_t index, std::string what,
                std::string remedy) {
    return {ErrorCode::numeric,
            fmt::format("{} at row {}, column {}", what, index / tensor.dims[0], index % tensor.dims[0]),
            {source.file_of(tensor), fmt::format("tensor '{}'", tensor.name), {}},
            std::move(remedy)};
}

// A factor for each weight of the range.
void lay_out(const gguf::Tensor& tensor, const WeightRange& range, std::span<const float> factors,
             std::vector<float>& out) {
    const uint64_t n_in = tensor.dims[0], per_matrix = n_in * tensor.dims[1];
    out.clear();
    for (uint64_t at = range.first; at < range.first + range.n;) {
        const uint64_t column = at % n_in, n = std::min(n_in - column, range.first + range.n - at);
        const auto row = factors.subspan(at / per_matrix * n_in + column, n);
        out.insert(out.end(), row.begin(), row.end());
        at += n;
    }
}

}  // namespace

Result<Recoded> recode(const gguf::WeightSource& source, const gguf::Tensor& tensor, const WeightRange& range,
                       quant::Type to_type, std::span<const float> factors, std::span<uint8_t> blocks,
                       RecodeBuffers& buffers) {
    const quant::Format& from = quant::format_of(tensor.type);
    const quant::Format& to = quant::format_of(to_type);
    buffers.bytes.resize(range.n / from.block_len * from.block_bytes);
    buffers.in.resize(range.n);
    buffers.out.resize(range.n);
    WALLABY_OK(source.read(tensor, range.first / from.block_len * from.block_bytes, buffers.bytes));
    from.decode(buffers.bytes.data(), buffers.in.data(), range.n / from.block_len);
    if (const size_t i = base::first_not_finite(buffers.in); i < range.n) {
        return at_weight(source, tensor, range.first + i, fmt::format("is {}", buffers.in[i]), "The file is damaged");
    }
    const float* importance = nullptr;
    if (!factors.empty()) {
        lay_out(tensor, range, factors, buffers.importance);
        importance = buffers.importance.data();
    }
    to.encode(buffers.in.data(), blocks.data(), range.n / to.block_len, importance);
    to.decode(blocks.data(), buffers.out.data(), range.n / to.block_len);
    if (const size_t i = base::first_not_finite(buffers.out); i < range.n) {
        return at_weight(source, tensor, range.first + i,
                         fmt::format("is {}, beyond the reach of {},", buffers.in[i], to.name), "Use BF16 or F32");
    }
    return Recoded{buffers.in, buffers.out, std::span(importance, importance == nullptr ? 0 : range.n)};
}

}  // namespace wallaby::convert
