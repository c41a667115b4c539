// What byte-pair encodings merge: symbols, which are texts by number. Some are tokens; others only merges speak of.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/pieces.h"

namespace wallaby::text {

inline constexpr int32_t no_token = -1;

class SymbolTable {
  public:
    std::optional<int32_t> find(std::string_view text) const { return index_.find(texts_, text); }
    // The symbol of this text, made if there is none.
    int32_t intern(std::string_view text) {
        if (const auto symbol = find(text)) { return *symbol; }
        const auto symbol = int32_t(texts_.size());
        texts_.add(text);
        tokens_.push_back(no_token);
        index_.insert(texts_, symbol);
        return symbol;
    }
    // The token that a symbol is, or no_token.
    int32_t token(int32_t symbol) const { return tokens_[size_t(symbol)]; }
    // Makes the text's symbol the token `id`, unless the text has a symbol already.
    void add_token(std::string_view text, int32_t id) {
        if (!find(text)) { tokens_[size_t(intern(text))] = id; }
    }

  private:
    Pieces texts_;
    PieceIndex index_;
    std::vector<int32_t> tokens_;  // by symbol
};

}  // namespace wallaby::text
