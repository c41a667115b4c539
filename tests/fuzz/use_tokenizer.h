// A tokenizer that was made from hostile bytes does what its interface says.
#pragma once
#include <cstdint>
#include <string_view>

#include "fuzz/outcome.h"
#include "text/tokenizer.h"

namespace wallaby::fuzz {

inline void use(const text::Tokenizer& tokenizer) {
    constexpr std::string_view sample = "ab AB caf\u00e9 <s>a\u4e2d</s> 123  \n\n\t[CLS]'s \xFF\xE2\x96 \u2581x";
    for (const bool parse_special : {false, true}) {
        const auto ids = tokenizer.encode(sample, {.add_special = true, .parse_special = parse_special});
        if (!is_good(ids)) { continue; }  // a normaliser that points outside itself
        for (const int32_t id : *ids) {
            if (id < 0 || id >= tokenizer.n_tokens()) { __builtin_trap(); }
            if (!tokenizer.is_special(id) && tokenizer.token_text(id).empty()) { __builtin_trap(); }
        }
        (void)tokenizer.decode(*ids, parse_special);
    }
}

}  // namespace wallaby::fuzz
