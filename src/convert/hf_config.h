// A model's shape from its config.json, as Hugging Face's Transformers writes them: the keys and tensors that a GGUF
// file of it has, without weights.
//
//     WALLABY_TRY(Shape shape, shape_of_config(text, "config.json"));
//     WALLABY_TRY(auto source, SyntheticSource::create(std::move(shape), "Q4_K_M", 1, "config.json"));
//
// Read are the fields that sizes, attention and rotation depend on; a field that is absent gets what Transformers would
// take for it, where published files leave it out. Of a file with a `text_config` that is read, the language model's
// part of one that sees images. The shape does not depend on the checkpoint's own weight format (torch_dtype,
// quantization_config).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "convert/shapes.h"

namespace wallaby::convert {

inline constexpr uint64_t max_config_bytes = uint64_t(1) << 20;  // real ones stay below 20 KB

// The values of `model_type` that are known.
std::span<const std::string_view> known_model_types();

struct ConfigModel {
    std::string model_type;  // of the language model
    bool is_part = false;    // of one that sees images as well
    std::string quantized;   // how the checkpoint's weights are; empty: they are not
    uint32_t head = 0, n_vocab = 0;
    bool tied = false;  // the output's matrix is the embedding's
    Shape shape;
};

// `text` is the file's content, `file` its name for errors, which name the field as well: not JSON, too large or too
// deep, an unknown model_type, a field that is missing, of another type or out of its bounds, fields that contradict
// each other. Bounds keep the shape below 1024 layers of 20 tensors.
Result<ConfigModel> model_of_config(std::string_view text, const std::string& file, bool with_tokenizer = true);
// Its shape alone; quantisation is not asked.
Result<Shape> shape_of_config(std::string_view text, const std::string& file, bool with_tokenizer = true);

}  // namespace wallaby::convert
