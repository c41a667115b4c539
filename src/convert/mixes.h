// Which weight format each tensor of a quantised model gets: one format throughout, or a mix under llama.cpp's name.
#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "convert/shapes.h"

namespace wallaby::convert {

struct MixOptions {
    // Every matrix gets the format that the name is of, or that most matrices of the mix have.
    bool pure = false;
    bool has_importance = false;  // the encoders will be given one: some mixes then spend fewer bits
    // Of each tensor, the type that a matrix gets in the place of what the mix says; or empty.
    std::span<const std::optional<quant::Type>> asked = {};
};

struct Types {
    std::vector<quant::Type> of;  // of each tensor
    std::vector<bool> is_matrix;  // of each tensor; the others stay F32
    uint32_t file_type = 0;       // general.file_type: llama_ftype
    // Tensors whose rows are not whole blocks, and got another format.
    size_t n_replaced = 0;
};

// `name` in any case: what llama.cpp's quantiser means by it ("Q4_K_M"; "Q4_0" has a Q6_K output, "Q4_K" is Q4_K_M), or
// a format that is no mix of llama.cpp's ("MXFP4"), for every matrix. Norms, biases, routers, convolutions and position
// tables stay F32. A row that is no whole number of blocks gets the next best format of 32 weights, or F16.
Result<Types> choose_types(std::string_view name, std::span<const TensorShape> tensors, const MixOptions& options = {});
// Whether a tensor is one that mixes speak of: more than one row, and none of the small ones that stay as they are.
bool is_matrix(const TensorShape& tensor);
// Whether it is one of the formats that matrices can have: integers and F64 are not.
bool is_weight_type(quant::Type type);
// The type itself where its blocks divide rows of this length, else what choose_types puts in its place.
quant::Type for_rows_of(uint64_t row, quant::Type wanted);
// Whether two names of types are the same but for upper and lower case.
bool same_name(std::string_view a, std::string_view b);
// The format of most matrices under a name that choose_types knows; nothing for other names.
std::optional<quant::Type> main_type(std::string_view name);
// The layer of "blk.12.attn_v.weight"; nothing where the name has none.
std::optional<uint32_t> layer_of(std::string_view name);
// What general.file_type says in a word ("Q4_K_M", "Q8_0"); empty for a number that is neither.
std::string_view file_type_name(uint32_t file_type);
// What it says of a file that is mostly of one type; nothing for types that weights cannot have.
std::optional<uint32_t> file_type_of(quant::Type type);
// The formats that a matrix can have, and the mixes' names that are none of theirs.
std::vector<std::string_view> type_names();

}  // namespace wallaby::convert
