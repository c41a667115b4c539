// Reads safetensors files, in which checkpoints are published:
//
//   u64 header length | header: a JSON object | data
//   header: "name": {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [begin, end]} …, "__metadata__": {…}
//
// Format: https://github.com/huggingface/safetensors. Offsets count from the header's end; tensors follow each other
// without gaps from the first byte of the data to the last. All of it is checked before any of it is used: what breaks
// a rule is refused with the tensor and the file.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "quant/format.h"

namespace wallaby::convert {

// What the elements of a stored tensor are.
struct StoredType {
    std::string_view name;                    // as the file has it
    uint32_t n_bytes;                         // of an element
    std::optional<quant::Type> weights = {};  // the format that they have as weights
};

struct StoredTensor {
    std::string name;
    const StoredType* type = nullptr;
    std::vector<uint64_t> dims;        // outermost first: the last is the length of a row
    uint64_t offset = 0, n_bytes = 0;  // in its file
    const base::ByteSource* file = nullptr;

    uint64_t n_elements() const { return n_bytes / type->n_bytes; }
    std::string shape() const;  // "[512, 64]"
};

// The format's own limit is 100,000,000; the headers of the largest models stay below 10 MB.
inline constexpr uint64_t max_safetensors_header = 100'000'000;
inline constexpr size_t max_stored_tensors = size_t(1) << 18;

// The tensors of one file, sorted by name. They point to `file`. Reads the header alone.
Result<std::vector<StoredTensor>> read_safetensors(const base::ByteSource& file);

// The weights of a checkpoint, in one file or several.
struct Safetensors {
    std::vector<std::unique_ptr<base::ByteSource>> files;
    std::vector<StoredTensor> tensors;  // sorted by name

    const StoredTensor* find(std::string_view name) const;
};

// `path` is a file, or a directory with model.safetensors or, of several files, model.safetensors.index.json: names of
// tensors and of the files that they are in, which must lie beside it. A directory with PyTorch's pickles alone is
// refused with the reason.
Result<Safetensors> open_safetensors(const std::string& path);

// Nothing, or that this file, whatever its name, is a pickle. For files that are not what they should be.
Result<void> refuse_pickle(const base::ByteSource& file);

}  // namespace wallaby::convert
