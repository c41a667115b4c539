#include "text/bpe.h"

#include <string>

#include "text/byte_level.h"
#include "text/utf8.h"

namespace wallaby::text {

Result<std::unique_ptr<Encoder>> BpeEncoder::load(const gguf::Metadata& metadata, const Vocabulary& vocabulary,
                                                  const PretokenizerRule& rule) {
    std::unique_ptr<BpeEncoder> encoder(new BpeEncoder(vocabulary, rule));
    WALLABY_TRY(encoder->pretokenizer_, Pretokenizer::compile(rule));
    encoder->index_symbols();
    WALLABY_OK(read_merges(
        metadata, [&](size_t n_merges) { encoder->merges_.reserve(n_merges); },
        [&](std::string_view left, std::string_view right, uint32_t rank) { encoder->add_merge(left, right, rank); }));
    return std::unique_ptr<Encoder>(std::move(encoder));
}

void BpeEncoder::index_symbols() {
    std::string bytes;
    for (int32_t id = 0; id < vocabulary_.n_tokens(); id++) {
        bytes.clear();
        if (!vocabulary_.is_plain(id) || !append_spelled_bytes(vocabulary_.text(id), bytes) || bytes.empty()) {
            continue;
        }
        symbols_.add_token(bytes, id);
    }
    for (size_t byte = 0; byte < 256; byte++) {
        const char c = char(byte);
        byte_symbols_[byte] = symbols_.intern({&c, 1});
    }
}

void BpeEncoder::add_merge(std::string_view left, std::string_view right, uint32_t rank) {
    std::string bytes;
    // Pieces outside the alphabet never arise from bytes, so neither does their merge.
    if (!append_spelled_bytes(left, bytes)) { return; }
    const size_t n_left = bytes.size();
    if (!append_spelled_bytes(right, bytes)) { return; }
    // Text must not become a control token by merging, nor fall apart on the way to one.
    const auto merged = vocabulary_.find(std::string(left) + std::string(right));
    if (merged && !vocabulary_.is_plain(*merged)) { return; }
    const int32_t from_left = symbols_.intern(std::string_view(bytes).substr(0, n_left));
    const int32_t from_right = symbols_.intern(std::string_view(bytes).substr(n_left));
    merges_.insert(from_left, from_right, {rank, symbols_.intern(bytes)});
}

Result<void> BpeEncoder::encode(std::string_view text, std::vector<int32_t>& out) const {
    WordSplitter splitter(pretokenizer_, text.size());
    Merger merger;
    std::vector<uint32_t> ends;
    while (!text.empty()) {
        const size_t n_valid = utf8::valid_prefix(text);
        const std::string_view valid = text.substr(0, n_valid);
        WALLABY_OK(splitter.split(valid, ends));
        size_t begin = 0;
        for (const uint32_t end : ends) {
            encode_word(valid.substr(begin, end - begin), merger, out);
            begin = end;
        }
        text.remove_prefix(n_valid);
        if (text.empty()) { break; }
        append_bytes(text.substr(0, 1), out);
        text.remove_prefix(1);
    }
    return {};
}

void BpeEncoder::encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const {
    if (rule_.whole_words) {
        const auto symbol = symbols_.find(word);
        if (symbol && symbols_.token(*symbol) != no_token) {
            out.push_back(symbols_.token(*symbol));
            return;
        }
    }
    merger.start(word.size());
    for (size_t i = 0; i < word.size(); i++) { merger.add(uint32_t(i), byte_symbols_[uint8_t(word[i])]); }
    merger.run(
        uint32_t(word.size()),
        [&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id).rank; },
        [&](const Symbol& left, const Symbol& right, uint32_t) { return merges_.find(left.id, right.id).symbol; });
    merger.for_each([&](const Symbol& symbol) {
        const int32_t token = symbols_.token(symbol.id);
        if (token != no_token) {
            out.push_back(token);
        } else {
            append_bytes(word.substr(symbol.begin, symbol.n_bytes), out);
        }
    });
}

// A byte that the vocabulary lacks is unknown; where it has no such token either, the byte is dropped.
void BpeEncoder::append_bytes(std::string_view bytes, std::vector<int32_t>& out) const {
    for (const char byte : bytes) {
        const int32_t token = symbols_.token(byte_symbols_[uint8_t(byte)]);
        if (token != no_token) {
            out.push_back(token);
        } else if (const auto unknown = vocabulary_.role(Role::unk)) {
            out.push_back(*unknown);
        }
    }
}

}  // namespace wallaby::text
