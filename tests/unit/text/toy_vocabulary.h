// Small vocabularies in memory, for tests.
#pragma once
#include <fmt/format.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf/reader.h"
#include "support/gguf_bytes.h"
#include "text/tokenizer.h"

namespace wallaby::testing {

inline Result<std::unique_ptr<text::Tokenizer>> load_tokenizer(const GgufBytes& file) {
    const std::vector<uint8_t> bytes = file.build();
    const base::MemorySource source(bytes, "toy.gguf");
    WALLABY_TRY(const gguf::File read, gguf::read_file(source));
    return text::Tokenizer::load(read.metadata);
}

// The pieces of an encoding, for messages that can be read.
inline std::string pieces(const text::Tokenizer& tokenizer, std::string_view text,
                          text::EncodeOptions options = {.add_special = false, .parse_special = false}) {
    std::string out;
    for (const int32_t id : *tokenizer.encode(text, options)) {
        out += out.empty() ? "" : "|";
        out += tokenizer.token_text(id);
    }
    return out;
}

struct Toy {
    std::string model;
    std::vector<std::string> tokens;
    std::vector<float> scores;
    std::vector<int32_t> types;
    std::vector<std::string> merges;

    int32_t add(std::string_view text, float score = 0, int32_t type = 1) {
        tokens.emplace_back(text);
        scores.push_back(score);
        types.push_back(type);
        return int32_t(tokens.size()) - 1;
    }
    // The keys that every file of this kind has.
    GgufBytes file() const {
        GgufBytes out;
        out.kv("tokenizer.ggml.model", model).array("tokenizer.ggml.tokens", tokens);
        out.array("tokenizer.ggml.token_type", types);
        if (model == "llama" || model == "t5") { out.array("tokenizer.ggml.scores", scores); }
        if (model == "gpt2" || model == "gemma4") { out.array("tokenizer.ggml.merges", merges); }
        return out;
    }
    std::unique_ptr<text::Tokenizer> load() const { return std::move(load_tokenizer(file())).value(); }
};

// <unk> <s> </s>, the 256 byte tokens (3 to 258), and a few pieces.
inline Toy spm_toy() {
    Toy toy{.model = "llama", .tokens = {}, .scores = {}, .types = {}, .merges = {}};
    toy.add("<unk>", 0, 2);
    toy.add("<s>", 0, 3);
    toy.add("</s>", 0, 3);
    for (int byte = 0; byte < 256; byte++) { toy.add(fmt::format("<0x{:02X}>", byte), 0, 6); }
    float score = 0;
    for (const char* piece : {"ab", "▁a", "▁ab", "abab", "▁▁", "a", "b", "c", "▁", "é"}) { toy.add(piece, score--); }
    return toy;
}

// How byte-level vocabularies spell a byte.
inline std::string spelled(int byte) {
    const auto printable = [](int b) { return (b > 32 && b < 127) || (b > 160 && b != 173); };
    int character = byte;
    if (!printable(byte)) {
        character = 256;
        for (int b = 0; b < byte; b++) { character += printable(b) ? 0 : 1; }
    }
    if (character < 128) { return std::string(1, char(character)); }
    return {char(0xC0 | character >> 6), char(0x80 | (character & 63))};
}

// The 256 bytes (byte b is token b), <|end|> (256), and pieces with their merges.
inline Toy bpe_toy(const std::vector<std::string>& merges = {"a b", "Ġ a", "Ġa b", "ab ab"}) {
    Toy toy{.model = "gpt2", .tokens = {}, .scores = {}, .types = {}, .merges = merges};
    for (int byte = 0; byte < 256; byte++) { toy.add(spelled(byte)); }
    toy.add("<|end|>", 0, 3);
    for (std::string merge : merges) {
        merge.erase(merge.find(' '), 1);
        toy.add(merge);
    }
    return toy;
}

// <unk> <s> </s>, the 256 byte tokens (3 to 258), and pieces with their merges.
inline Toy char_bpe_toy(const std::vector<std::string>& merges = {"a b", "▁ a", "▁a b", "ab ab", "\n \n"}) {
    Toy toy{.model = "gemma4", .tokens = {}, .scores = {}, .types = {}, .merges = merges};
    toy.add("<unk>", 0, 2);
    toy.add("<s>", 0, 3);
    toy.add("</s>", 0, 3);
    for (int byte = 0; byte < 256; byte++) { toy.add(fmt::format("<0x{:02X}>", byte), 0, 6); }
    for (const char* piece : {"a", "b", "c", "▁", "é", "\n"}) { toy.add(piece); }
    for (std::string merge : merges) {
        merge.erase(merge.find(' '), 1);
        toy.add(merge);
    }
    return toy;
}

// [PAD] [UNK] [CLS] [SEP], and pieces that begin a word (with a mark) or go on.
inline Toy wordpiece_toy() {
    Toy toy{.model = "bert", .tokens = {}, .scores = {}, .types = {}, .merges = {}};
    for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) { toy.add(special, 0, 3); }
    for (const char* piece : {"▁a", "▁ab", "abc", "b",  "bc", "▁é", "▁e", "▁,", "▁.", "▁'",
                              "▁m", "▁s",  "▁中", "▁ß", "▁[", "▁]", "▁$", "ß",  "€",  "d"}) {
        toy.add(piece);
    }
    return toy;
}

// <pad> </s> <unk>, and pieces with scores.
inline Toy unigram_toy() {
    Toy toy{.model = "t5", .tokens = {}, .scores = {}, .types = {}, .merges = {}};
    toy.add("<pad>", 0, 3);
    toy.add("</s>", 0, 3);
    toy.add("<unk>", 0, 2);
    for (const auto& [piece, score] : std::initializer_list<std::pair<const char*, float>>{{"▁", -3},
                                                                                           {"a", -4},
                                                                                           {"b", -4.5F},
                                                                                           {"c", -5},
                                                                                           {"ab", -6},
                                                                                           {"bc", -5.5F},
                                                                                           {"abc", -13},
                                                                                           {"▁a", -3.5F},
                                                                                           {"▁ab", -9},
                                                                                           {"▁▁", -4},
                                                                                           {"é", -7}}) {
        toy.add(piece, score);
    }
    return toy;
}

}  // namespace wallaby::testing
