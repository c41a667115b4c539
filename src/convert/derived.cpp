#include "convert/derived.h"

namespace wallaby::convert {

DerivedSource::DerivedSource(std::shared_ptr<const gguf::WeightSource> source, std::vector<gguf::Tensor> tensors,
                             std::vector<bool> is_computed)
    : source_(std::move(source)), tensors_(std::move(tensors)), is_computed_(std::move(is_computed)) {
    for (size_t i = 0; i < tensors_.size(); i++) { by_name_[tensors_[i].name] = i; }
}

const gguf::Tensor* DerivedSource::find(std::string_view name) const {
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? nullptr : &tensors_[at->second];
}

const std::string& DerivedSource::file_of(const gguf::Tensor& tensor) const {
    return source_->file_of(source_->tensors()[index_of(tensor)]);
}

Result<void> DerivedSource::read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const {
    const size_t i = index_of(tensor);
    if (!is_computed_[i]) { return source_->read(source_->tensors()[i], offset, out); }
    WALLABY_OK(gguf::check_range(*this, tensor, offset, out.size()));
    return compute(i, offset, out);
}

std::span<const uint8_t> DerivedSource::bytes(const gguf::Tensor& tensor) const {
    const size_t i = index_of(tensor);
    return is_computed_[i] ? std::span<const uint8_t>() : source_->bytes(source_->tensors()[i]);
}

Result<void> DerivedSource::check_bytes(const gguf::Tensor& tensor) const {
    return source_->check_bytes(source_->tensors()[index_of(tensor)]);
}

}  // namespace wallaby::convert
