#include "text/bpe.h"

#include <fmt/format.h>

#include <bit>
#include <string>

#include "text/byte_level.h"
#include "text/utf8.h"

namespace wallaby::text {

namespace {

constexpr std::string_view merges_key = "tokenizer.ggml.merges";
constexpr int32_t no_token = -1;

uint64_t pair_of(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

}  // namespace

void MergeTable::reserve(size_t n_merges) {
    slots_.assign(std::bit_ceil(std::max<size_t>(16, 2 * n_merges)), Slot{0, {}});
}

size_t MergeTable::slot_of(uint64_t pair) const {
    const size_t mask = slots_.size() - 1;
    uint64_t mixed = pair * 0x9E3779B97F4A7C15u;  // 2^64 over the golden ratio
    mixed ^= mixed >> 32;
    size_t slot = mixed & mask;
    while (slots_[slot].merge.rank != no_merge && slots_[slot].pair != pair) { slot = (slot + 1) & mask; }
    return slot;
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
    Slot& slot = slots_[slot_of(pair_of(left, right))];
    if (slot.merge.rank == no_merge) { slot = {pair_of(left, right), merge}; }
}

Merge MergeTable::find(int32_t left, int32_t right) const { return slots_[slot_of(pair_of(left, right))].merge; }

Result<std::unique_ptr<Encoder>> BpeEncoder::load(const gguf::Metadata& metadata, const Vocabulary& vocabulary,
                                                  const PretokenizerRule& rule) {
    std::unique_ptr<BpeEncoder> encoder(new BpeEncoder(vocabulary, rule));
    WALLABY_TRY(encoder->pretokenizer_, Pretokenizer::compile(rule));
    encoder->index_symbols();
    WALLABY_OK(encoder->load_merges(metadata));
    return std::unique_ptr<Encoder>(std::move(encoder));
}

void BpeEncoder::index_symbols() {
    std::string bytes;
    for (int32_t id = 0; id < vocabulary_.n_tokens(); id++) {
        bytes.clear();
        if (!vocabulary_.is_plain(id) || !append_spelled_bytes(vocabulary_.text(id), bytes) || bytes.empty()) {
            continue;
        }
        if (symbol_index_.find(symbols_, bytes)) { continue; }
        tokens_[size_t(intern(bytes))] = id;
    }
    for (size_t byte = 0; byte < 256; byte++) {
        const char c = char(byte);
        byte_symbols_[byte] = intern({&c, 1});
    }
}

// The symbol of these bytes, made if there is none.
int32_t BpeEncoder::intern(std::string_view bytes) {
    if (const auto symbol = symbol_index_.find(symbols_, bytes)) { return *symbol; }
    const auto symbol = int32_t(symbols_.size());
    symbols_.add(bytes);
    tokens_.push_back(no_token);
    symbol_index_.insert(symbols_, symbol);
    return symbol;
}

Result<void> BpeEncoder::load_merges(const gguf::Metadata& metadata) {
    WALLABY_TRY(const gguf::StringArray merges, metadata.strings(merges_key));
    if (merges.size() > max_tokens) {
        return metadata.error(ErrorCode::unsupported, merges_key,
                              fmt::format("{} merges are more than the {} supported", merges.size(), max_tokens));
    }
    merges_.reserve(merges.size());
    uint32_t rank = 0;
    for (const std::string_view merge : merges) {
        const size_t space = merge.find(' ');
        if (space == std::string_view::npos || space == 0 || space + 1 == merge.size() ||
            merge.find(' ', space + 1) != std::string_view::npos || merge.size() > 2 * max_piece_bytes) {
            return metadata.error(ErrorCode::model, merges_key,
                                  fmt::format("merge {} is not two pieces with one space between them", rank));
        }
        add_merge(merge.substr(0, space), merge.substr(space + 1), rank++);
    }
    return {};
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
    const int32_t from_left = intern(std::string_view(bytes).substr(0, n_left));
    const int32_t from_right = intern(std::string_view(bytes).substr(n_left));
    merges_.insert(from_left, from_right, {rank, intern(bytes)});
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
        const auto symbol = symbol_index_.find(symbols_, word);
        if (symbol && tokens_[size_t(*symbol)] != no_token) {
            out.push_back(tokens_[size_t(*symbol)]);
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
        const int32_t token = tokens_[size_t(symbol.id)];
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
        const int32_t token = tokens_[size_t(byte_symbols_[uint8_t(byte)])];
        if (token != no_token) {
            out.push_back(token);
        } else if (const auto unknown = vocabulary_.role(Role::unk)) {
            out.push_back(*unknown);
        }
    }
}

}  // namespace wallaby::text
