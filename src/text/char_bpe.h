// BPE over characters ("gemma4"): spaces become U+2581, neighbouring characters merge in the order of the file's
// merges, words reach as far as a line, and characters without a token become byte tokens.
// Definition: https://huggingface.co/google/gemma-3-1b-it (tokenizer.json: normalizer Replace, model BPE with
// byte_fallback); that runs of newlines are words of their own was found by asking llama.cpp v0.5.0.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"
#include "text/encoder.h"
#include "text/merge_table.h"
#include "text/symbols.h"
#include "text/vocabulary.h"

namespace wallaby::text {

class CharBpeEncoder final : public Encoder {
  public:
    // `vocabulary` outlives the encoder. Refuses what read_merges refuses.
    static Result<std::unique_ptr<Encoder>> load(const gguf::Metadata& metadata, const Vocabulary& vocabulary);

    Result<void> encode(std::string_view text, std::vector<int32_t>& out) const override;

  private:
    explicit CharBpeEncoder(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}
    void index_tokens();
    void add_merge(std::string_view left, std::string_view right, uint32_t rank);
    void encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const;
    void append_bytes(std::string_view bytes, std::vector<int32_t>& out) const;

    const Vocabulary& vocabulary_;
    SymbolTable symbols_;  // texts of characters
    MergeTable merges_;
};

}  // namespace wallaby::text
