// Takes away the spaces that WordPiece puts around punctuation: "i ' m here ." becomes "i'm here." It guesses, as every
// decoder of such vocabularies does: where the text had spaces is lost.
// The replacements: https://github.com/huggingface/transformers (clean_up_tokenization), in the order llama.cpp has
// them.
#pragma once
#include <array>
#include <string>
#include <string_view>

namespace wallaby::text {

// Works on a stream: what is given out does not depend on how the text is cut.
class SpaceCleaner {
  public:
    // Appends to `out` what is certain; up to nine bytes wait for what follows.
    void push(std::string_view text, std::string& out);
    // Appends what waits, at the end of a text.
    void flush(std::string& out);

  private:
    static constexpr size_t num_passes = 3;
    void push_pass(size_t pass, std::string_view text, std::string& out);
    std::array<std::string, num_passes> waiting_;
};

}  // namespace wallaby::text
