// The rules of the format that the reader enforces and the writer obeys, each in one place. A rule gives what is wrong,
// to be put behind the key's or tensor's name, or nothing.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "gguf/reader.h"

namespace wallaby::gguf {

using Problem = std::optional<std::string>;

constexpr std::string_view alignment_key = "general.alignment";

// A key's or a tensor's name; `what` says which.
Problem name_problem(std::string_view what, std::string_view name, uint64_t max_bytes);
// The value of general.alignment.
Problem alignment_problem(const Value& value);
// n_dims and dims.
Problem shape_problem(const Tensor& tensor);
// Of a tensor with a good shape: its type against its rows and size. Sets n_bytes.
Problem size_problem(Tensor& tensor);

}  // namespace wallaby::gguf
