// What is to become of a model file when it is quantised: which type each tensor gets, by a format's or mix's name
// (mixes.h) and what is asked besides. Known before a weight is read, and by the tensors alone, so that files of
// families that this build cannot run are quantised as well.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/imatrix.h"
#include "gguf/weight_source.h"
#include "gguf/writer.h"

namespace wallaby::convert {

// Matrices in whose names the regular expression is found become `type`.
struct TypeRule {
    std::string pattern;
    quant::Type type = quant::Type::f32;
};

struct QuantizeOptions {
    bool pure = false;                 // a mix gives every matrix the format of most of its matrices
    bool allow_requantize = false;     // matrices that are quantised already, and have lost what they had to lose
    const Imatrix* imatrix = nullptr;  // by which errors are weighed; nullptr: all alike
    bool leave_output = false;         // output.weight stays as it is
    // In the place of what the mix says: of output.weight (of the token embedding where that is the output's matrix
    // too), and of the token embedding.
    std::optional<quant::Type> output = {}, embedding = {};
    // And of other matrices: the first rule that fits. One that fits no matrix is an error.
    std::vector<TypeRule> rules = {};
    // Of tensors that stay as they are, in the source's order; empty: the types that they have in the source.
    std::vector<quant::Type> own_types = {};
};

struct QuantizePlan {
    gguf::Draft draft;
    gguf::Layout layout;  // its tensors are the source's, in the source's order
    // Matrices whose rows are no whole blocks of the type asked for, and get another.
    size_t n_replaced = 0;
    // Of each tensor, factors of its weights' squared errors, by matrix and column; empty: all alike.
    std::vector<std::vector<float>> importance;
    size_t n_unweighted = 0;  // matrices that become blocks, of which the importance matrix says nothing
    // Matrices without importance that become a type of so few bits that it needs to know which weights matter.
    size_t n_wanting_importance = 0;
};

// As a type: every tensor stays as it is.
inline constexpr std::string_view copy_name = "COPY";
// The types and mixes that can be written: those whose format for most matrices has an encoder.
std::vector<std::string_view> quantize_names();

// `type` is a name of mixes.h, or copy_name. All metadata is kept, but for general.file_type and
// general.quantization_version, and what says that the source was split. Tensors that are no matrices stay as they are.
// An importance matrix is named as llama.cpp names it, in keys quantize.imatrix.*; one whose sizes are not the
// source's, or that names none of its matrices, is an error. `file` names the file to be written in messages.
Result<QuantizePlan> plan_quantize(const gguf::WeightSource& source, std::string_view type,
                                   const QuantizeOptions& options, const std::string& file);
struct TypesOptions {
    bool allow_requantize = false;
    const Imatrix* imatrix = nullptr;
    std::optional<uint32_t> file_type = {};  // general.file_type; nothing: what the source says
};
// The same with the type of each tensor given; an importance matrix need not name those that change.
Result<QuantizePlan> plan_types(const gguf::WeightSource& source, std::span<const quant::Type> types,
                                const TypesOptions& options, const std::string& file);
// An error where the plan was made with an importance matrix that names none of the matrices that become blocks.
Result<void> check_importance(const gguf::WeightSource& source, const QuantizePlan& plan, const Imatrix* imatrix);
// The types that tensors have: a source's, or those of a plan's layout.
std::vector<quant::Type> tensor_types(std::span<const gguf::Tensor> tensors);
// The types, ascending, that plan_types takes for this tensor: its own, and where it is a matrix all those that can be
// encoded and whose blocks divide its rows.
std::vector<quant::Type> possible_types(const gguf::Tensor& tensor, bool allow_requantize);

}  // namespace wallaby::convert
