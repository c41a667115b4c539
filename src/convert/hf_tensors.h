// How the tensors of Hugging Face's checkpoints are named and laid out, beside GGUF's: one table of rules a family
// (hf_tensors.cpp). Names on the right are those of the modules in Transformers
// (https://github.com/huggingface/transformers, src/transformers/models/*/modeling_*.py).
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "convert/assembled.h"

namespace wallaby::convert {

// One of our tensors, or a kind of them, and where it is in a checkpoint. In the names
//   #       is a layer's number
//   %       an expert's: our tensor is a stack of those of all experts
//   a final .* is .weight and .bias, on both sides
//   @       in theirs is what stands before all names of the decoder ("model.")
// The first rule that fits our name, and whose tensor is there, holds.
struct TensorRule {
    enum class Form : uint8_t {
        rows,     // of inputs, as ours
        columns,  // the same transposed
        flat,     // one row of all that ours has in several
        mxfp4,    // blocks without their scales, which are in a tensor beside them, named _scales for _blocks
    };
    std::string_view ours, theirs;
    RowOrder::Kind order = RowOrder::Kind::same;
    Form form = Form::rows;
    Recipe::Change change = Recipe::Change::none;
};

// What stands before the names of the decoder, and before that of the output's matrix.
struct Root {
    std::string_view decoder, head;
};

struct HfFamily {
    std::span<const std::string_view> model_types;  // of config.json
    std::span<const TensorRule> own, common;        // asked in this order
    std::span<const Root> roots;                    // the first whose embedding is there
};

// nullptr where no table has this model_type.
const HfFamily* find_hf_family(std::string_view model_type);

// The rules of a family for one of our tensors, in order: what they call it, with % for an expert where it is a stack
// of tensors.
struct Source {
    const TensorRule* rule = nullptr;
    std::string name;
};
std::vector<Source> sources_of(const HfFamily& family, const Root& root, std::string_view our_name);

// Whether a checkpoint's tensor is one that the model is run without: masks and frequencies that follow from the
// hyper-parameters, and the parts of a model that sees images besides its decoder.
bool is_left_out(std::string_view their_name);

}  // namespace wallaby::convert
