#include "text/char_bpe.h"

#include <algorithm>

#include "text/space_mark.h"
#include "text/utf8.h"

namespace wallaby::text {

namespace {

constexpr int32_t no_symbol = -1;

// Where the first word of `text` ends: a run of newlines, or what stands before the next one.
size_t word_end(std::string_view text) {
    const size_t end = text[0] == '\n' ? text.find_first_not_of('\n') : text.find('\n');
    return std::min(end, text.size());
}

}  // namespace

Result<std::unique_ptr<Encoder>> CharBpeEncoder::load(const gguf::Metadata& metadata, const Vocabulary& vocabulary) {
    std::unique_ptr<CharBpeEncoder> encoder(new CharBpeEncoder(vocabulary));
    encoder->index_tokens();
    WALLABY_OK(read_merges(
        metadata, [&](size_t n_merges) { encoder->merges_.reserve(n_merges); },
        [&](std::string_view left, std::string_view right, uint32_t rank) { encoder->add_merge(left, right, rank); }));
    return std::unique_ptr<Encoder>(std::move(encoder));
}

void CharBpeEncoder::index_tokens() {
    for (int32_t id = 0; id < vocabulary_.n_tokens(); id++) {
        const std::string_view text = vocabulary_.text(id);
        if (vocabulary_.is_plain(id) && !text.empty()) { symbols_.add_token(text, id); }
    }
}

void CharBpeEncoder::add_merge(std::string_view left, std::string_view right, uint32_t rank) {
    const std::string joint = std::string(left) + std::string(right);
    // Text must not become a control token by merging, nor fall apart on the way to one.
    const auto merged = vocabulary_.find(joint);
    if (merged && !vocabulary_.is_plain(*merged)) { return; }
    const int32_t from_left = symbols_.intern(left);
    const int32_t from_right = symbols_.intern(right);
    merges_.insert(from_left, from_right, {rank, symbols_.intern(joint)});
}

Result<void> CharBpeEncoder::encode(std::string_view text, std::vector<int32_t>& out) const {
    Merger merger;
    std::string word;
    while (!text.empty()) {
        const size_t n = word_end(text);
        word.clear();
        append_marking_spaces(text.substr(0, n), word);
        encode_word(word, merger, out);
        text.remove_prefix(n);
    }
    return {};
}

void CharBpeEncoder::encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const {
    merger.start(word.size());
    for (size_t at = 0; at < word.size();) {
        const utf8::Part part = utf8::first_part(word.substr(at));
        const size_t n = part.kind == utf8::Kind::valid ? part.n_bytes : 1;
        merger.add(uint32_t(at), symbols_.find(word.substr(at, n)).value_or(no_symbol));
        at += n;
    }
    merger.run(
        uint32_t(word.size()),
        [&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id).rank; },
        [&](const Symbol& left, const Symbol& right, uint32_t) { return merges_.find(left.id, right.id).symbol; });
    merger.for_each([&](const Symbol& symbol) {
        const int32_t token = symbol.id == no_symbol ? no_token : symbols_.token(symbol.id);
        if (token != no_token) {
            out.push_back(token);
        } else {
            append_bytes(word.substr(symbol.begin, symbol.n_bytes), out);
        }
    });
}

// A byte that the vocabulary lacks is unknown; where it has no such token either, the byte is dropped.
void CharBpeEncoder::append_bytes(std::string_view bytes, std::vector<int32_t>& out) const {
    for (const char byte : bytes) {
        if (const auto token = vocabulary_.byte_token(uint8_t(byte))) {
            out.push_back(*token);
        } else if (const auto unknown = vocabulary_.role(Role::unk)) {
            out.push_back(*unknown);
        }
    }
}

}  // namespace wallaby::text
