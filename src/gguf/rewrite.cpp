#include "gguf/rewrite.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "gguf/rules.h"
#include "gguf/shards.h"

namespace wallaby::gguf {
namespace {

constexpr uint64_t piece_bytes = uint64_t(4) << 20;

// Reads all tensors piece by piece: use(tensor, bytes) for each piece, in order.
template <class Use>
Result<void> for_each_piece(const WeightSource& source, const base::Progress& progress, const std::stop_token& stop,
                            const Use& use) {
    uint64_t n_done = 0, n_total = 0;
    for (const Tensor& tensor : source.tensors()) { n_total += tensor.n_bytes; }
    std::vector<uint8_t> buffer(std::min(piece_bytes, n_total));
    for (const Tensor& tensor : source.tensors()) {
        for (uint64_t at = 0; at < tensor.n_bytes;) {
            if (stop.stop_requested()) { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }
            const auto piece = std::span(buffer).first(std::min<uint64_t>(buffer.size(), tensor.n_bytes - at));
            WALLABY_OK(source.read(tensor, at, piece));
            WALLABY_OK(use(tensor, piece));
            at += piece.size();
            n_done += piece.size();
            if (progress) { progress(n_done, n_total); }
        }
    }
    return {};
}

// --- Keys

Error about(std::string_view key, std::string what, std::string remedy) {
    return {ErrorCode::argument, std::move(what), {"", fmt::format("key '{}'", key), {}}, std::move(remedy)};
}

Result<void> check_may_change(std::string_view key, bool force) {
    const bool is_layout = key == alignment_key || std::ranges::find(split_keys, key) != split_keys.end();
    if (is_layout) { return about(key, "says how the file is laid out, which writing it decides", ""); }
    // Of any architecture: what the shapes of tensors follow from.
    constexpr std::string_view endings[] = {
        ".block_count",
        ".embedding_length",
        ".feed_forward_length",
        ".vocab_size",
        ".expert_count",
        ".attention.head_count",
        ".attention.head_count_kv",
        ".attention.key_length",
        ".attention.value_length",
    };
    const bool is_shape = key == "general.architecture" ||
                          std::ranges::any_of(endings, [&](std::string_view ending) { return key.ends_with(ending); });
    if (is_shape && !force) {
        return about(key, "must agree with the file's tensors", "Use --force where it does not agree today");
    }
    return {};
}

template <class T>
Result<void> set_number(Draft& draft, std::string_view key, std::string_view text) {
    T value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    bool good = problem == std::errc() && end == text.data() + text.size() && !text.empty();
    if constexpr (std::is_floating_point_v<T>) { good = good && std::isfinite(value); }
    if (!good) { return about(key, fmt::format("'{}' is no {}", text, name_of(value_type<T>())), ""); }
    draft.set(key, value);
    return {};
}

Result<void> set_typed(Draft& draft, std::string_view key, ValueType type, std::string_view text) {
    switch (type) {
        case ValueType::u8: return set_number<uint8_t>(draft, key, text);
        case ValueType::i8: return set_number<int8_t>(draft, key, text);
        case ValueType::u16: return set_number<uint16_t>(draft, key, text);
        case ValueType::i16: return set_number<int16_t>(draft, key, text);
        case ValueType::u32: return set_number<uint32_t>(draft, key, text);
        case ValueType::i32: return set_number<int32_t>(draft, key, text);
        case ValueType::u64: return set_number<uint64_t>(draft, key, text);
        case ValueType::i64: return set_number<int64_t>(draft, key, text);
        case ValueType::f32: return set_number<float>(draft, key, text);
        case ValueType::f64: return set_number<double>(draft, key, text);
        case ValueType::string: draft.set(key, text); return {};
        case ValueType::boolean:
            if (text != "true" && text != "false") { return about(key, fmt::format("'{}' is no bool", text), ""); }
            draft.set(key, text == "true");
            return {};
        case ValueType::array: break;
    }
    return about(key, "is an array, which cannot be set here", "");
}

std::optional<ValueType> type_named(std::string_view name) {
    for (uint32_t i = 0; i <= uint32_t(ValueType::f64); i++) {
        if (name_of(ValueType(i)) == name) { return ValueType(i); }
    }
    return std::nullopt;
}

}  // namespace

Draft draft_of(const WeightSource& source) {
    Draft draft;
    draft.copy(source.metadata());
    for (const std::string_view key : split_keys) { draft.remove(key); }
    for (const Tensor& t : source.tensors()) { draft.tensor(t.name, t.type, std::span(t.dims).first(t.n_dims)); }
    return draft;
}

Result<std::vector<size_t>> tensors_of_files(const WeightSource& source) {
    WALLABY_TRY(const auto split, split_of(source.metadata()));
    std::vector<size_t> n_tensors(split ? split->count : 1);
    for (const Tensor& tensor : source.tensors()) { n_tensors[tensor.shard]++; }
    return n_tensors;
}

Result<void> copy_tensors(const WeightSource& source, SetWriter writer, const base::Progress& progress,
                          const std::stop_token& stop) {
    WALLABY_OK(for_each_piece(source, progress, stop, [&](const Tensor& tensor, std::span<const uint8_t> bytes) {
        return writer.write(tensor.name, bytes);
    }));
    return writer.commit();
}

Result<void> set_key(Draft& draft, const Metadata& metadata, std::string_view assignment, bool force) {
    const size_t sign = assignment.find('=');
    if (sign == std::string_view::npos || sign == 0) {
        return Error{ErrorCode::argument, fmt::format("'{}' is not KEY=VALUE or KEY:TYPE=VALUE", assignment), {}, ""};
    }
    std::string_view key = assignment.substr(0, sign);
    const std::string_view text = assignment.substr(sign + 1);
    std::optional<ValueType> type;
    if (const size_t colon = key.rfind(':'); colon != std::string_view::npos) {
        type = type_named(key.substr(colon + 1));
        if (!type) { return about(key, "has no type of GGUF's behind the colon", "For example KEY:u32=5"); }
        key = key.substr(0, colon);
    }
    WALLABY_OK(check_may_change(key, force));
    if (!type) {
        const Value* const value = metadata.find(key);
        if (value == nullptr) {
            return about(key, "is not in the file, so that its type is not known", "Write KEY:TYPE=VALUE");
        }
        type = value->type;
    }
    return set_typed(draft, key, *type, text);
}

Result<void> remove_key(Draft& draft, const Metadata& metadata, std::string_view key, bool force) {
    if (!metadata.has(key)) { return about(key, "is not in the file", "wallaby inspect shows the keys"); }
    WALLABY_OK(check_may_change(key, force));
    draft.remove(key);
    return {};
}

Result<std::vector<NamedDigest>> digests_of(const WeightSource& source, std::string_view algorithm,
                                            const base::Progress& progress, const std::stop_token& stop) {
    const auto all = base::make_digest(algorithm);
    auto one = base::make_digest(algorithm);
    if (!all) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no digest", algorithm),
                     {},
                     fmt::format("Use one of {}", fmt::join(base::digest_names, ", "))};
    }
    std::vector<NamedDigest> digests;
    uint64_t n_seen = 0;  // of the tensor
    WALLABY_OK(for_each_piece(source, progress, stop, [&](const Tensor& tensor, std::span<const uint8_t> bytes) {
        all->add(bytes);
        one->add(bytes);
        n_seen += bytes.size();
        if (n_seen == tensor.n_bytes) {
            digests.push_back({tensor.name, one->finish()});
            one = base::make_digest(algorithm);
            n_seen = 0;
        }
        return Result<void>();
    }));
    digests.push_back({"", all->finish()});
    return digests;
}

}  // namespace wallaby::gguf
