// Cuts text into the words that byte-level BPE works on. A file names its rule in tokenizer.ggml.pre; a rule is a list
// of regular expressions, each applied to the pieces that the one before has left: its matches and the gaps between
// them become pieces of their own.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;

namespace wallaby::text {

// One rule. Patterns are written as tokenizer.json files write them; \s is Unicode's White_Space.
struct PretokenizerRule {
    std::vector<std::string_view> names;  // values of tokenizer.ggml.pre
    std::vector<std::string_view> patterns;
    bool whole_words = false;  // a word that is a token is taken as it is, whatever merges would give ("ignore_merges")
    bool add_bos = false;      // unless the file says otherwise
    bool add_sep = false;      // the same
};

std::span<const PretokenizerRule> pretokenizer_rules();
// nullptr for a name no rule has.
const PretokenizerRule* find_pretokenizer_rule(std::string_view name);
// All names, separated by ", ".
std::string pretokenizer_names();

// Compiled patterns: immutable, shared by any number of threads.
class Pretokenizer {
  public:
    // Fails only if the regular expression library refuses a pattern.
    static Result<Pretokenizer> compile(const PretokenizerRule& rule);

  private:
    friend class WordSplitter;
    struct FreeCode {
        void operator()(pcre2_real_code_8* code) const;
    };
    using Code = std::unique_ptr<pcre2_real_code_8, FreeCode>;

    std::vector<Code> codes_;
};

// One thread's use of a pretokenizer, which outlives it.
class WordSplitter {
  public:
    // For texts of at most `max_bytes`.
    WordSplitter(const Pretokenizer& pretokenizer, size_t max_bytes);

    // Fills `ends` with where the words of `text`, valid UTF-8 of less than 2^32 bytes, end: ascending, the last one is
    // text.size(). Words are never empty.
    Result<void> split(std::string_view text, std::vector<uint32_t>& ends);

  private:
    struct FreeMatch {
        void operator()(pcre2_real_match_data_8* data) const;
        void operator()(pcre2_real_match_context_8* context) const;
    };
    int find(const pcre2_real_code_8* code, std::string_view piece, size_t from, size_t& begin, size_t& end);
    Result<void> split_piece(const pcre2_real_code_8* code, std::string_view text, uint32_t begin, uint32_t end,
                             std::vector<uint32_t>& ends);

    const Pretokenizer& pretokenizer_;
    std::unique_ptr<pcre2_real_match_data_8, FreeMatch> data_;
    std::unique_ptr<pcre2_real_match_context_8, FreeMatch> context_;
    std::vector<uint32_t> pieces_;
};

}  // namespace wallaby::text
