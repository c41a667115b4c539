// Any bytes as a text, through small vocabularies of every scheme. The first byte chooses the vocabulary, the second
// the options.
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/charsmap_bytes.h"
#include "text/detokenizer.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"
#include "unit/text/toy_vocabulary.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Tokenizers = std::vector<std::unique_ptr<text::Tokenizer>>;

// What every vocabulary has besides its own tokens: some that are found in any text, some that are parsed.
Toy with_specials(Toy toy) {
    toy.add("<|end|>", 0, 3);
    toy.add("<tool>", 0, 4);
    toy.add("<tool>s", 0, 4);
    return toy;
}

Tokenizers make_tokenizers() {
    Tokenizers out;
    const auto add = [&](const GgufBytes& file) {
        auto loaded = load_tokenizer(file);
        if (!loaded.ok()) { __builtin_trap(); }
        out.push_back(std::move(loaded).value());
    };
    add(with_specials(spm_toy()).file());
    add(with_specials(spm_toy()).file().kv("general.name", "phi-3").kv("tokenizer.ggml.add_space_prefix", false));
    add(with_specials(char_bpe_toy()).file());
    add(with_specials(wordpiece_toy()).file());
    add(with_specials(wordpiece_toy()).file().kv("tokenizer.ggml.normalizer.lowercase", false));
    add(with_specials(unigram_toy()).file());
    const auto charsmap = CharsmapBytes({{"A", "a"}, {"AB", "bc"}, {"\t", " "}, {"\u00e9", "e"}, {"x", ""}}).build();
    add(with_specials(unigram_toy())
            .file()
            .array("tokenizer.ggml.precompiled_charsmap", charsmap)
            .kv("tokenizer.ggml.remove_extra_whitespaces", false));
    const std::string names = text::pretokenizer_names() + ", ";
    for (size_t at = 0; at < names.size();) {
        const size_t end = names.find(", ", at);
        const Toy toy = with_specials(bpe_toy({"a b", "\u0120 a", "\u0120a b", "ab ab", "\u010A \u010A", "1 2"}));
        add(toy.file().kv("tokenizer.ggml.pre", std::string_view(names).substr(at, end - at)));
        at = end + 2;
    }
    return out;
}

void check(const text::Tokenizer& tokenizer, std::string_view text, text::EncodeOptions options) {
    const auto ids = tokenizer.encode(text, options);
    if (!ids.ok()) { __builtin_trap(); }
    for (const int32_t id : *ids) {
        if (id < 0 || id >= tokenizer.n_tokens()) { __builtin_trap(); }
    }
    const std::string decoded = tokenizer.decode(*ids, true);
    const bool keeps_all = tokenizer.scheme() == text::Scheme::bpe && !options.add_special;
    if (keeps_all && decoded != text) { __builtin_trap(); }

    text::StreamDecoder decoder(tokenizer, true, true);
    std::string streamed;
    for (const int32_t id : *ids) { streamed += decoder.push(id); }
    streamed += decoder.flush();
    if (streamed != text::utf8::replace_invalid(decoded)) { __builtin_trap(); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Tokenizers tokenizers = make_tokenizers();
    if (size < 2) { return 0; }
    const text::Tokenizer& tokenizer = *tokenizers[data[0] % tokenizers.size()];
    const text::EncodeOptions options = {.add_special = (data[1] & 1) != 0, .parse_special = (data[1] & 2) != 0};
    check(tokenizer, {reinterpret_cast<const char*>(data) + 2, size - 2}, options);
    return 0;
}
