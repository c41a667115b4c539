// Any bytes as a GGUF file with a vocabulary: it is refused with an Error, or a tokenizer that can be used.
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "gguf/reader.h"
#include "text/tokenizer.h"

namespace {

using namespace wallaby;

constexpr std::string_view sample = "ab AB caf\u00e9 <s>a\u4e2d</s> 123  \n\n\t[CLS]'s \xFF\xE2\x96 \u2581x";

void use(const text::Tokenizer& tokenizer) {
    for (const bool parse_special : {false, true}) {
        const auto ids = tokenizer.encode(sample, {.add_special = true, .parse_special = parse_special});
        if (!ids.ok()) {  // a normaliser that points outside itself
            if (ids.error().message().empty()) { __builtin_trap(); }
            continue;
        }
        for (const int32_t id : *ids) {
            if (!tokenizer.is_special(id) && tokenizer.token_text(id).empty()) { __builtin_trap(); }
            if (id < 0 || id >= tokenizer.n_tokens()) { __builtin_trap(); }
        }
        (void)tokenizer.decode(*ids, parse_special);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const base::MemorySource source(std::span(data, size), "fuzz");
    const auto file = gguf::read_file(source);
    if (!file.ok()) { return 0; }
    const auto tokenizer = text::Tokenizer::load(file->metadata);
    if (tokenizer.ok()) {
        use(**tokenizer);
    } else if (tokenizer.error().message().empty()) {
        __builtin_trap();
    }
    return 0;
}
