#include "text/charsmap.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace wallaby::text {

namespace {

constexpr std::string_view charsmap_key = "tokenizer.ggml.precompiled_charsmap";

bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t label_of(uint32_t unit) { return unit & 0x800000FFu; }
size_t offset_of(uint32_t unit) { return size_t(unit >> 10) << ((unit & 0x200u) != 0 ? 8 : 0); }

}  // namespace

Result<Charsmap> Charsmap::load(const gguf::Metadata& metadata) {
    Charsmap out;
    out.broken_ = metadata.error(ErrorCode::model, charsmap_key, "the table points outside itself");
    const gguf::Value* value = metadata.find(charsmap_key);
    if (value == nullptr) { return out; }
    if (!value->is_array_of(gguf::ValueType::u8) && !value->is_array_of(gguf::ValueType::i8)) {
        return metadata.error(ErrorCode::model, charsmap_key, "is not an array of bytes");
    }
    const std::span<const uint8_t> bytes = value->bytes;
    if (bytes.empty()) { return out; }
    const uint64_t n_trie = bytes.size() < 4 ? 0 : base::load_le<uint32_t>(bytes.data());
    if (n_trie == 0 || n_trie % 4 != 0 || n_trie >= bytes.size() - 4) {
        return metadata.error(ErrorCode::model, charsmap_key,
                              fmt::format("{} bytes do not hold a trie of {} and its strings", bytes.size(), n_trie));
    }
    out.units_.resize(n_trie / 4);
    for (size_t i = 0; i < out.units_.size(); i++) {
        out.units_[i] = base::load_le<uint32_t>(bytes.data() + 4 + 4 * i);
    }
    const auto strings = bytes.subspan(4 + n_trie);
    out.strings_.assign(strings.begin(), strings.end());
    return out;
}

Result<uint32_t> Charsmap::unit(size_t at) const {
    if (at >= units_.size()) { return broken_; }
    return units_[at];
}

Result<std::string_view> Charsmap::string_at(size_t at) const {
    const size_t end = at < strings_.size() ? strings_.find('\0', at) : std::string::npos;
    if (end == std::string::npos) { return broken_; }
    return std::string_view(strings_).substr(at, end - at);
}

Result<Charsmap::Match> Charsmap::longest(std::string_view text) const {
    Match found{0, {}};
    if (units_.empty()) { return found; }
    size_t place = offset_of(units_[0]);
    std::optional<size_t> string;
    for (size_t i = 0; i < text.size(); i++) {
        const auto byte = uint8_t(text[i]);
        if (byte == 0) { break; }  // the trie's own end mark
        place ^= byte;
        WALLABY_TRY(const uint32_t node, unit(place));
        if (label_of(node) != byte) { break; }
        place ^= offset_of(node);
        if (!has_value(node)) { continue; }
        WALLABY_TRY(const uint32_t leaf, unit(place));
        string = leaf & 0x7FFFFFFFu;
        found.n_bytes = i + 1;
    }
    if (string) { WALLABY_TRY(found.replacement, string_at(*string)); }
    return found;
}

}  // namespace wallaby::text
