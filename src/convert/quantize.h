// A model file in another format: every matrix decoded, and encoded as a format or mix (mixes.h) says. Works from the
// tensors alone, so that files of families that this build cannot run are quantised as well.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "gguf/set_writer.h"
#include "gguf/weight_source.h"
#include "threads/pool.h"

namespace wallaby::convert {

// Matrices in whose names the regular expression is found become `type`.
struct TensorRule {
    std::string pattern;
    quant::Type type = quant::Type::f32;
};

struct QuantizeOptions {
    bool pure = false;              // a mix gives every matrix the format of most of its matrices
    bool allow_requantize = false;  // matrices that are quantised already, and have lost what they had to lose
    bool leave_output = false;      // output.weight stays as it is
    // In the place of what the mix says: of output.weight (of the token embedding where that is the output's matrix
    // too), and of the token embedding.
    std::optional<quant::Type> output = {}, embedding = {};
    // And of other matrices: the first rule that fits. One that fits no matrix is an error.
    std::vector<TensorRule> rules = {};
};

// What is to become of a file: known before a weight is read.
struct QuantizePlan {
    gguf::Draft draft;
    gguf::Layout layout;  // its tensors are the source's, in the source's order
    // Matrices whose rows are no whole blocks of the type asked for, and get another.
    size_t n_replaced = 0;
    // Matrices that become a type of so few bits that it needs to know which weights matter.
    size_t n_wanting_importance = 0;
};

// As a type: every tensor stays as it is.
inline constexpr std::string_view copy_name = "COPY";
// The types and mixes that can be written: those whose format for most matrices has an encoder.
std::vector<std::string_view> quantize_names();

// `type` is a name of mixes.h, or copy_name. All metadata is kept, but for general.file_type and
// general.quantization_version, and what says that the source was split. Tensors that are no matrices stay as they are.
// `file` names the file to be written in messages.
Result<QuantizePlan> plan_quantize(const gguf::WeightSource& source, std::string_view type,
                                   const QuantizeOptions& options, const std::string& file);
// The same with the type of each tensor given. `file_type`: general.file_type, or nothing for what the source says.
Result<QuantizePlan> plan_types(const gguf::WeightSource& source, std::span<const quant::Type> types,
                                std::optional<uint32_t> file_type, bool allow_requantize, const std::string& file);
// The types, ascending, that plan_types takes for this tensor: its own, and where it is a matrix all those that can be
// encoded and whose blocks divide its rows.
std::vector<quant::Type> possible_types(const gguf::Tensor& tensor, bool allow_requantize);

// What became of the tensors that have one type now.
struct QuantizedType {
    quant::Type type = quant::Type::f32;
    uint64_t n_tensors = 0, n_bytes = 0;
    // Of those that were encoded, |out - in| and |in|, squared.
    double error_squared = 0, size_squared = 0;
};
// One entry a type, ascending. Without errors where nothing was encoded yet.
std::vector<QuantizedType> types_of(const QuantizePlan& plan);

// Streams the file or set of files: memory is a few MiB for each thread and 16 bytes for 32,768 weights; bytes do not
// depend on the number of threads. Weights that are not finite, or become so in the new type, are errors that name
// tensor, row and column. A stop request ends it within a few milliseconds; then, and after an error, nothing is left
// behind.
Result<std::vector<QuantizedType>> quantize(const gguf::WeightSource& source, const QuantizePlan& plan,
                                            gguf::SetWriter writer, threads::Pool& pool, const base::Progress& progress,
                                            const std::stop_token& stop);

}  // namespace wallaby::convert
