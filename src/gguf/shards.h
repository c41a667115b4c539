// Models split over several files, as llama.cpp's gguf-split makes them: PREFIX-00001-of-00003.gguf and so on. Every
// file has the keys split.no (from 0), split.count and split.tensors.count (of all files together); the first has all
// other metadata, and may have no tensors. A split.count of 0 marks files that were merged again: they are whole.
//
// Convention: https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/reader.h"

namespace wallaby::gguf {

// The keys that say so; a file made of the whole set leaves them out.
inline constexpr std::array<std::string_view, 3> split_keys = {"split.no", "split.count", "split.tensors.count"};

struct Split {
    uint32_t no = 0, count = 0, n_tensors = 0;
};

// What the file's keys say; nothing for a file that is whole.
Result<std::optional<Split>> split_of(const Metadata& metadata);

// PREFIX-00001-of-00003.gguf for no = 0, count = 3.
std::string shard_path(const std::string& prefix, uint32_t no, uint32_t count);

// All files of a set as one: the first's metadata, every tensor with its shard's number.
struct ShardSet {
    File file;
    std::vector<std::unique_ptr<base::ByteSource>> sources;
};

// Reads the rest of the set whose first file has been read. Each file must say that it is its place's, and the tensors
// must be as many as promised and each stand once. Without a split the set is the one file.
Result<ShardSet> read_set(std::unique_ptr<base::ByteSource> first, File file, const std::optional<Split>& split,
                          const Limits& limits);

}  // namespace wallaby::gguf
