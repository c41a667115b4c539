// Reads the header of a GGUF file (versions 2 and 3, little-endian) and checks all of it before any of it is used.
//
//   magic "GGUF" | u32 version | u64 n_tensors | u64 n_kv
//   n_kv times:      string key | u32 value type | value          string = u64 length, bytes
//   n_tensors times: string name | u32 n_dims | u64 dim[n_dims] | u32 type | u64 offset
//   padding to general.alignment, then the data; offsets count from there
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
// Refused, with the key or tensor and the offset: counts, lengths and products beyond the file or the budget; nested
// arrays; unknown types; duplicate keys or names; tensors that are unaligned, overlap or end beyond the file; rows that
// are not whole blocks; control characters in keys and names. A dimension of 0 is refused: no model needs one and every
// division by a shape stays safe.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gguf/metadata.h"
#include "quant/format.h"

namespace wallaby::gguf {

struct Tensor {
    std::string name;
    quant::Type type = quant::Type::f32;
    uint32_t n_dims = 1;
    std::array<uint64_t, 4> dims{1, 1, 1, 1};  // dims[0] is the length of a row: the fastest index
    uint64_t offset = 0;                       // of its first byte in the file
    uint64_t n_bytes = 0;
    uint32_t shard = 0;  // which file of a split set (shards.h) it stands in

    uint64_t n_rows() const { return dims[1] * dims[2] * dims[3]; }
    uint64_t n_elements() const { return dims[0] * n_rows(); }
    uint64_t row_bytes() const { return n_bytes / n_rows(); }
    std::string shape() const;  // "64 x 512"
};

// Together they bound what reading a header holds in memory: the header's own bytes, once, and 64 MiB.
struct Limits {
    uint64_t max_header_bytes = uint64_t(512) << 20;  // real headers reach 16 MiB
    uint64_t max_kv = 1u << 16;                       // real files stay below 200
    uint64_t max_tensors = 1u << 17;                  // 47,000 with one tensor per expert and layer of a large model
    uint64_t max_key_bytes = 65535;                   // the format's
    uint64_t max_shards = 512;                        // files of a set, each held open; real sets stay below 200
    uint64_t max_tensor_name_bytes = 63;              // what every reader takes: 64 with the zero that ggml adds
    bool data_may_be_missing = false;  // tensors may lie beyond the file's end: only the header is wanted
};

struct File {
    uint32_t version = 3;
    uint64_t alignment = 32;
    uint64_t data_offset = 0;  // where tensor data starts; the header's size rounded up to the alignment
    Metadata metadata;
    std::vector<Tensor> tensors;  // in file order

    const Tensor* find(std::string_view name) const;
    std::vector<uint32_t> by_name;  // places in `tensors`, sorted by name
};

// Reads as much of the source as the header needs. Does not read tensor data.
Result<File> read_file(const base::ByteSource& source, const Limits& limits = {});
// The same of a file's beginning: nothing where the bytes end inside the header, and more of them could complete it.
// limits.data_may_be_missing is taken as set.
Result<std::optional<File>> read_beginning(const base::ByteSource& source, const Limits& limits);

}  // namespace wallaby::gguf
