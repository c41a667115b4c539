// Which keys and tensors a model file of a given size has: by a known model's name, or as an existing file has them.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/weight_source.h"
#include "gguf/writer.h"

namespace wallaby::convert {

struct TensorShape {
    std::string name;
    std::vector<uint64_t> dims;            // dims[0] is the length of a row
    std::vector<float> values = {};        // RoPE factors and the like, F32: part of the shape, not random. Else empty
    std::optional<quant::Type> type = {};  // of the file it was taken from
};

// Without values.
TensorShape shape_of(const gguf::Tensor& tensor);

struct Shape {
    gguf::Draft metadata;  // every key, the tokenizer's too
    std::vector<TensorShape> tensors;
};

struct NamedShape {
    std::string_view name;
    std::string_view summary;
};
std::span<const NamedShape> named_shapes();
// With a placeholder tokenizer, or without one: it takes 10 ms to make and is the most of what there is to copy.
Result<Shape> named_shape(std::string_view name, bool with_tokenizer = true);
// Keys, tensor names and shapes of a file; reads its small constant tensors. The keys of split files are left out.
Result<Shape> shape_like(const gguf::WeightSource& source);

inline constexpr uint32_t min_placeholder_vocab = 355;
// A tokenizer for a vocabulary of any size from that on: SentencePiece BPE with the 256 bytes, the printable ASCII
// characters, and words over a … z, the shorter first, up to n_vocab. It encodes any text; what it decodes is no
// language.
void set_placeholder_tokenizer(gguf::Draft& metadata, uint32_t n_vocab);

}  // namespace wallaby::convert
