#include "convert/encoded.h"

#include <algorithm>

#include "base/checked.h"
#include "base/math.h"

namespace wallaby::convert {
namespace {

constexpr uint64_t super_block = 256;      // a whole number of blocks of every format
constexpr uint64_t chunk_weights = 32768;  // decoded and encoded at a time

// Weights first … first + n - 1, encoded. Super-blocks but for the last.
class Encoder {
  public:
    Encoder(const gguf::WeightSource& source, const gguf::Tensor& from, const quant::Format& to)
        : source_(source), from_(from), decoded_(quant::format_of(from.type)), to_(to) {}

    Result<void> encode(uint64_t first, uint64_t n, std::span<uint8_t> out) {
        bytes_.resize(n / decoded_.block_len * decoded_.block_bytes);
        values_.resize(n);
        WALLABY_OK(source_.read(from_, first / decoded_.block_len * decoded_.block_bytes, bytes_));
        decoded_.decode(bytes_.data(), values_.data(), n / decoded_.block_len);
        if (const size_t i = base::first_not_finite(values_); i < n) {
            const uint64_t at = first + i;
            return Error{ErrorCode::numeric,
                         fmt::format("is {} at row {}, column {}", values_[i], at / from_.dims[0], at % from_.dims[0]),
                         {source_.file_of(from_), fmt::format("tensor '{}'", from_.name), {}},
                         "The file is damaged"};
        }
        to_.encode(values_.data(), out.data(), n / to_.block_len, nullptr);
        return {};
    }

  private:
    const gguf::WeightSource& source_;
    const gguf::Tensor& from_;
    const quant::Format& decoded_;
    const quant::Format& to_;
    std::vector<uint8_t> bytes_;
    std::vector<float> values_;
};

}  // namespace

EncodedSource::EncodedSource(std::unique_ptr<gguf::WeightSource> source, QuantizePlan plan, gguf::Metadata metadata)
    : source_(std::move(source)), plan_(std::move(plan)), metadata_(std::move(metadata)) {
    const auto& tensors = plan_.layout.tensors;
    for (size_t i = 0; i < tensors.size(); i++) { by_name_[tensors[i].name] = i; }
}

Result<std::unique_ptr<EncodedSource>> EncodedSource::create(std::unique_ptr<gguf::WeightSource> source,
                                                             std::string_view type) {
    const std::string& name = source->metadata().file();
    WALLABY_TRY(QuantizePlan plan, plan_quantize(*source, type, {}, name));
    WALLABY_TRY(gguf::Metadata metadata, gguf::metadata_of(plan.draft, name));
    return std::unique_ptr<EncodedSource>(new EncodedSource(std::move(source), std::move(plan), std::move(metadata)));
}

const gguf::Tensor* EncodedSource::find(std::string_view name) const {
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? nullptr : &plan_.layout.tensors[at->second];
}

const gguf::Tensor& EncodedSource::before(const gguf::Tensor& tensor) const {
    return source_->tensors()[by_name_.at(tensor.name)];
}

const std::string& EncodedSource::file_of(const gguf::Tensor& tensor) const { return source_->file_of(before(tensor)); }

Result<void> EncodedSource::read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const {
    const gguf::Tensor& from = before(tensor);
    if (from.type == tensor.type) { return source_->read(from, offset, out); }
    const auto end = base::checked_add(offset, out.size());
    if (!end || *end > tensor.n_bytes) {
        return Error{ErrorCode::argument,
                     fmt::format("bytes {} to {} asked of its {}", offset, offset + out.size(), tensor.n_bytes),
                     {file_of(tensor), fmt::format("tensor '{}'", tensor.name), {}},
                     ""};
    }
    const quant::Format& to = quant::format_of(tensor.type);
    Encoder encoder(*source_, from, to);
    std::vector<uint8_t> encoded;
    while (!out.empty()) {
        const uint64_t weight = offset / to.block_bytes * to.block_len, first = weight - weight % super_block;
        const uint64_t begin = first / to.block_len * to.block_bytes, skipped = offset - begin;
        const uint64_t wanted = (skipped + out.size() + to.block_bytes - 1) / to.block_bytes * to.block_len;
        const uint64_t rounded = (wanted + super_block - 1) / super_block * super_block;
        const uint64_t n = std::min({rounded, chunk_weights, tensor.n_elements() - first});
        encoded.resize(n / to.block_len * to.block_bytes);
        WALLABY_OK(encoder.encode(first, n, encoded));
        const uint64_t n_copied = std::min<uint64_t>(encoded.size() - skipped, out.size());
        std::copy_n(encoded.begin() + ptrdiff_t(skipped), n_copied, out.begin());
        offset += n_copied;
        out = out.subspan(n_copied);
    }
    return {};
}

std::span<const uint8_t> EncodedSource::bytes(const gguf::Tensor& tensor) const {
    const gguf::Tensor& from = before(tensor);
    return from.type == tensor.type ? source_->bytes(from) : std::span<const uint8_t>();
}

Result<void> EncodedSource::check_bytes(const gguf::Tensor& tensor) const {
    return source_->check_bytes(before(tensor));
}

}  // namespace wallaby::convert
