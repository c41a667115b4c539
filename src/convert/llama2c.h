// Models of llama2.c (https://github.com/karpathy/llama2.c, export.py, version 0):
//
//   7 x i32: width, feed-forward width, layers, heads, KV heads, vocabulary (negative: with a matrix of its own for the
//            output, else the embedding's), context
//   f32:     the embedding; then, each for all layers, attention's norm, q, k, v, output, feed-forward's norm, gate,
//            down, up; the last norm; context x head of rotary frequencies, not used; the output's matrix
//
// Rows of q and k are in the order that our programs rotate, which LLaMA's own checkpoints have.
#pragma once
#include <memory>
#include <string>

#include "gguf/weight_source.h"

namespace wallaby::convert {

// The model in the file `path` with llama2.c's tokenizer from the file `vocabulary` (tok512.bin), or with no tokenizer
// where that is empty.
Result<std::unique_ptr<gguf::WeightSource>> open_llama2c(const std::string& path, const std::string& vocabulary);

}  // namespace wallaby::convert
