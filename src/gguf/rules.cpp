#include "gguf/rules.h"

#include <algorithm>

#include "base/checked.h"

namespace wallaby::gguf {

Problem name_problem(std::string_view what, std::string_view name, uint64_t max_bytes) {
    if (name.empty() || name.size() > max_bytes) {
        return fmt::format("{} of {} bytes: 1 to {} are allowed", what, name.size(), max_bytes);
    }
    const auto is_control = [](char c) { return uint8_t(c) < 0x20 || c == 0x7f; };
    if (std::ranges::any_of(name, is_control)) { return fmt::format("{} with control characters", what); }
    return std::nullopt;
}

Problem alignment_problem(const Value& value) {
    if (value.type != ValueType::u32) { return fmt::format("is of type {}, but must be a u32", name_of(value.type)); }
    const auto n = uint64_t(*value.integer());
    if (n < 1 || n > 65536 || (n & (n - 1)) != 0) {
        return fmt::format("is {}: a power of two from 1 to 65536 is required", n);
    }
    return std::nullopt;
}

Problem shape_problem(const Tensor& tensor) {
    if (tensor.n_dims < 1 || tensor.n_dims > tensor.dims.size()) {
        return fmt::format("has {} dimensions: 1 to 4 are allowed", tensor.n_dims);
    }
    uint64_t n_elements = 1;
    for (uint32_t i = 0; i < tensor.n_dims; i++) {
        const auto product = base::checked_mul(n_elements, tensor.dims[i]);
        if (tensor.dims[i] == 0 || !product || *product > uint64_t(1) << 62) {
            return fmt::format("dimension {} is {}: the shape is empty or overflows", i, tensor.dims[i]);
        }
        n_elements = *product;
    }
    return std::nullopt;
}

Problem size_problem(Tensor& tensor) {
    const quant::Format& format = quant::format_of(tensor.type);
    if (tensor.dims[0] % format.block_len != 0) {
        return fmt::format("has rows of {}, not a multiple of the {} weights in a block of {}", tensor.dims[0],
                           format.block_len, format.name);
    }
    const auto n_bytes = base::checked_mul(tensor.n_elements() / format.block_len, format.block_bytes);
    if (!n_bytes) { return "its size in bytes overflows"; }
    tensor.n_bytes = *n_bytes;
    return std::nullopt;
}

}  // namespace wallaby::gguf
