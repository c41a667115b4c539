// The merges of a checkpoint's BPE.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "convert/vocabulary_parts.h"

namespace wallaby::convert {

// The lines of a merges.txt, but those that are empty and a first one that begins with "#version".
Result<std::vector<std::string>> read_merges_text(std::string_view text, const std::string& file);

// Gives each token the score that puts it where its merges stand in their list, as SentencePiece's BPE scores do, and
// says whether merging neighbours by these scores gives what merging by the list gives: all merges that make one token
// stand together, and every two tokens that joined are a token have a merge. (Left is then which of several merges to
// the same token comes first: SentencePiece's model, from which such lists are made, takes the leftmost.) Refuses
// merges of or to what is no token, and tokens over 512 bytes.
Result<bool> set_merge_scores(VocabularyParts& parts);

// Whether a token has a space (U+2581) after another character.
bool has_inner_space(const std::vector<Token>& tokens);

}  // namespace wallaby::convert
