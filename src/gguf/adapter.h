// LoRA adapters (Hu et al. 2021, arXiv 2106.09685) as llama.cpp's convert_lora_to_gguf.py writes them: a GGUF file that
// holds, of each matrix W that it changes, name.lora_a, rank rows of n_in weights, and name.lora_b, n_out rows of rank
// weights; of stacked matrices (experts), as many of both. W + scale * alpha / rank * B A takes the place of W.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gguf/weight_source.h"

namespace wallaby::gguf {

// Matrices of plain numbers, one after the other, in one of the types that a product can take them in.
struct Factor {
    quant::Type type = quant::Type::f32;  // F32, F16 or BF16; what a file has in others is decoded to F32
    uint64_t width = 0;                   // weights in a row
    std::vector<uint8_t> bytes;

    uint64_t row_bytes() const { return width * quant::format_of(type).block_bytes; }
    const uint8_t* row(uint64_t r) const { return bytes.data() + r * row_bytes(); }
    // Rows [first, first + n), decoded to out [n][width].
    void decode(uint64_t first, uint64_t n, float* out) const;
};

// What an adapter adds to one tensor.
struct LowRank {
    uint32_t rank = 0;
    uint64_t n_in = 0, n_out = 0, n_matrices = 1;
    Factor a;  // [n_matrices][rank][n_in]
    Factor b;  // [n_matrices][n_out][rank]
};

class Adapter {
  public:
    // `base`: the model's tensors. Errors name the file and the tensor or key: a file that is no LoRA adapter, or is
    // one of another architecture; factors without their partner, of other shapes than the matrix, or not finite;
    // changes of the token embedding, and adapters that begin at a word (aLoRA), which are not implemented.
    static Result<std::unique_ptr<Adapter>> open(const std::string& path, const WeightSource& base);
    static Result<std::unique_ptr<Adapter>> read(const WeightSource& file, const WeightSource& base);

    const std::string& file() const { return file_; }
    const std::map<std::string, LowRank, std::less<>>& changes() const { return changes_; }  // by the tensor's name
    // What B A of a change is multiplied by where the adapter's own scale is 1.
    double strength(const LowRank& change) const { return alpha_ == 0 ? 1 : alpha_ / change.rank; }
    uint64_t n_bytes() const;  // of all factors

  private:
    Adapter() = default;
    std::string file_;
    double alpha_ = 0;  // 0: B A is taken as it is
    std::map<std::string, LowRank, std::less<>> changes_;
};

// An adapter and how much of it is wanted.
struct ScaledAdapter {
    std::shared_ptr<const Adapter> adapter;
    float scale = 1;
};

}  // namespace wallaby::gguf
