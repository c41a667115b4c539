// Byte-level BPE: text is cut into words, a word into bytes, and neighbours merge in the order of the file's merges.
// Bytes that are not UTF-8 are kept: each is a word of its own, so decoding gives any input back byte for byte (as
// long as the vocabulary has all 256 bytes).
// Definition: https://github.com/openai/gpt-2 (encoder.py); https://github.com/huggingface/tokenizers (BPE, ByteLevel).
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "gguf/metadata.h"
#include "text/encoder.h"
#include "text/merge.h"
#include "text/merge_table.h"
#include "text/pretokenizer.h"
#include "text/symbols.h"
#include "text/vocabulary.h"

namespace wallaby::text {

class BpeEncoder final : public Encoder {
  public:
    // `vocabulary` and `rule` outlive the encoder. Refuses merges that are not two pieces with one space between them.
    static Result<std::unique_ptr<Encoder>> load(const gguf::Metadata& metadata, const Vocabulary& vocabulary,
                                                 const PretokenizerRule& rule);

    Result<void> encode(std::string_view text, std::vector<int32_t>& out) const override;

  private:
    BpeEncoder(const Vocabulary& vocabulary, const PretokenizerRule& rule) : vocabulary_(vocabulary), rule_(rule) {}
    void index_symbols();
    void add_merge(std::string_view left, std::string_view right, uint32_t rank);
    void encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const;
    void append_bytes(std::string_view bytes, std::vector<int32_t>& out) const;

    const Vocabulary& vocabulary_;
    const PretokenizerRule& rule_;
    Pretokenizer pretokenizer_;
    SymbolTable symbols_;  // byte strings
    std::array<int32_t, 256> byte_symbols_{};
    MergeTable merges_;
};

}  // namespace wallaby::text
