// Which weight format each tensor of a quantised model gets: one format throughout, or a mix under llama.cpp's name.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "convert/shapes.h"

namespace wallaby::convert {

struct Types {
    std::vector<quant::Type> of;  // of each tensor
    std::vector<bool> is_matrix;  // of each tensor; the others stay F32
    uint32_t file_type = 0;       // general.file_type: llama_ftype
    // Tensors whose rows are not whole blocks, and got another format.
    size_t n_replaced = 0;
};

// `name` in any case: a format ("Q4_K", for every matrix) or a mix ("Q4_K_M"). Norms, biases, routers, convolutions and
// position tables stay F32. A row that is no whole number of blocks gets the next best format of 32 weights, or F16.
// `pure`: a mix gives every matrix the format of most of its matrices.
Result<Types> choose_types(std::string_view name, std::span<const TensorShape> tensors, bool pure = false);
// What general.file_type says in a word ("Q4_K_M", "Q8_0"); empty for a number that is neither.
std::string_view file_type_name(uint32_t file_type);
// The mixes' names, and the formats' that a matrix can have.
std::vector<std::string_view> type_names();

}  // namespace wallaby::convert
