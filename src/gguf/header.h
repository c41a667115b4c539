// The header of a GGUF file alone: keys and tensors, for whoever plans and does not run. The data may be missing: a
// file's first bytes are enough, as `curl --range 0-16777215` fetches them, and of a stream no more is read than the
// header needs, rounded up.
#pragma once
#include <memory>
#include <string>

#include "gguf/weight_source.h"

namespace wallaby::gguf {

inline constexpr Limits header_limits{.max_header_bytes = uint64_t(64) << 20};  // real ones reach 16 MiB

// Sources without weights: to read some is an error that says so. The exception are tensors in F32 whose names begin
// with "rope_", the small constants that a program is built with: they read as ones, whatever the file has, since no
// plan depends on their values. A program built from such a source must not run.
//
// A file. The first of a split set opens the set, of which each file may be cut: all of them must be there.
Result<std::unique_ptr<WeightSource>> open_gguf_header(const std::string& path, const Limits& limits = header_limits);
// Any bytes, of one whole file's beginning; what is kept of them is the header.
Result<std::unique_ptr<WeightSource>> open_gguf_header(std::unique_ptr<base::ByteSource> source,
                                                       const Limits& limits = header_limits);
// The same from the descriptor of a stream, 0 for standard input, read until the header is complete or
// limits.max_header_bytes are read. It stays the caller's; `name` stands for it in messages.
Result<std::unique_ptr<WeightSource>> open_gguf_header(int fd, const std::string& name,
                                                       const Limits& limits = header_limits);

}  // namespace wallaby::gguf
