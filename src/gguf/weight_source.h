// Where weights come from: name → type and shape, and their bytes by range. A GGUF file is one; synthetic models,
// safetensors and a header from the network are others.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "gguf/reader.h"

namespace wallaby::gguf {

class WeightSource {
  public:
    virtual ~WeightSource() = default;
    virtual const Metadata& metadata() const = 0;
    virtual std::span<const Tensor> tensors() const = 0;
    virtual const Tensor* find(std::string_view name) const = 0;  // nullptr when there is none of that name
    // The file that the tensor's bytes and offset are of, for messages.
    virtual const std::string& file_of(const Tensor&) const { return metadata().file(); }
    // Fills `out` with the tensor's bytes from `offset` (bytes within the tensor). Thread-safe.
    virtual Result<void> read(const Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const = 0;
    // The tensor's bytes where they lie in memory or are mapped into it, for as long as the source does; empty where
    // there is no such place. Thread-safe. A file may lose bytes meanwhile: whoever has used some asks check_bytes()
    // before relying on what came of it.
    virtual std::span<const uint8_t> bytes(const Tensor&) const { return {}; }
    virtual Result<void> check_bytes(const Tensor&) const { return {}; }
};

// Opens a GGUF file; reads its header, no tensor data. The first file of a split set opens the whole set (shards.h).
Result<std::unique_ptr<WeightSource>> open_gguf(const std::string& path, const Limits& limits = {});
// One whole file over any bytes; takes the source over.
Result<std::unique_ptr<WeightSource>> open_gguf(std::unique_ptr<base::ByteSource> source, const Limits& limits = {});

// An error where bytes [offset, offset + n) are not all the tensor's.
Result<void> check_range(const WeightSource& source, const Tensor& tensor, uint64_t offset, uint64_t n);

// All of a tensor, decoded to float32 in file order. For small tensors (norms, biases, tables): at most max_elements.
Result<std::vector<float>> read_floats(const WeightSource& source, const Tensor& tensor, uint64_t max_elements);

}  // namespace wallaby::gguf
