#include "gguf/shards.h"

#include <algorithm>
#include <numeric>

namespace wallaby::gguf {
namespace {

constexpr std::string_view no_key = split_keys[0];
constexpr std::string_view count_key = split_keys[1];
constexpr std::string_view tensors_key = split_keys[2];
constexpr std::string_view mixed = "The files beside each other are not of one set: fetch them again";

// The path without "-00001-of-00003.gguf"; nothing where it does not end so.
std::optional<std::string> prefix_of(const std::string& path, uint32_t no, uint32_t count) {
    const std::string ending = shard_path("", no, count);
    if (!path.ends_with(ending)) { return std::nullopt; }
    return path.substr(0, path.size() - ending.size());
}

Error not_first(const Metadata& metadata, const Split& split) {
    const auto prefix = prefix_of(metadata.file(), split.no, split.count);
    return metadata.error(
        ErrorCode::format, no_key,
        fmt::format("is {}: this is file {} of {}, not the first", split.no, split.no + 1, split.count),
        prefix ? "Name the first: " + shard_path(*prefix, 0, split.count) : "Name the first file of the set");
}

// The keys of file `no` of the set, against those of the first.
Result<void> check_member(const Metadata& metadata, uint32_t no, const Split& first) {
    WALLABY_TRY(const auto split, split_of(metadata));
    if (!split) {
        return metadata.error(ErrorCode::format, count_key,
                              fmt::format("does not say that this is file {} of {}", no + 1, first.count),
                              std::string(mixed));
    }
    const auto differs = [&](std::string_view key, uint32_t is, uint32_t wanted) {
        return metadata.error(ErrorCode::format, key, fmt::format("is {}, but must be {} here", is, wanted),
                              std::string(mixed));
    };
    if (split->count != first.count) { return differs(count_key, split->count, first.count); }
    if (split->no != no) { return differs(no_key, split->no, no); }
    if (split->n_tensors != first.n_tensors) { return differs(tensors_key, split->n_tensors, first.n_tensors); }
    return {};
}

Result<void> add_file(ShardSet& set, const std::string& path, uint32_t no, const Split& split, const Limits& limits) {
    auto opened = base::open_file(path);
    if (!opened.ok()) {
        opened.error().where.field = fmt::format("file {} of {}", no + 1, split.count);
        opened.error().remedy = "All files of the set must stand beside the first";
        return std::move(opened).error();
    }
    WALLABY_TRY(File part, read_file(**opened, limits));
    WALLABY_OK(check_member(part.metadata, no, split));
    if (part.tensors.size() > limits.max_tensors - set.file.tensors.size()) {
        return part.metadata.error(ErrorCode::format, tensors_key,
                                   fmt::format("the set has more than {} tensors", limits.max_tensors));
    }
    for (Tensor& tensor : part.tensors) {
        tensor.shard = no;
        set.file.tensors.push_back(std::move(tensor));
    }
    set.sources.push_back(*std::move(opened));
    return {};
}

// Sorts the names of all files' tensors; each must stand once.
Result<void> index_set(ShardSet& set) {
    const std::vector<Tensor>& tensors = set.file.tensors;
    std::vector<uint32_t>& order = set.file.by_name;
    order.resize(tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
        const int compared = tensors[a].name.compare(tensors[b].name);
        return compared != 0 ? compared < 0 : a < b;
    });
    const auto name_of = [&](uint32_t i) -> const std::string& { return tensors[i].name; };
    const auto twice = std::ranges::adjacent_find(order, {}, name_of);
    if (twice == order.end()) { return {}; }
    const Tensor &before = tensors[*twice], &second = tensors[*(twice + 1)];
    return Error{ErrorCode::format,
                 fmt::format("stands in {} already", set.sources[before.shard]->name()),
                 {set.sources[second.shard]->name(), fmt::format("tensor '{}'", second.name), {}},
                 std::string(mixed)};
}

}  // namespace

std::string shard_path(const std::string& prefix, uint32_t no, uint32_t count) {
    return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, no + 1, count);
}

Result<std::optional<Split>> split_of(const Metadata& metadata) {
    Split split;
    WALLABY_TRY(split.count, metadata.u32_or(count_key, 0));
    if (split.count <= 1) { return std::optional<Split>(); }
    WALLABY_TRY(split.no, metadata.u32(no_key));
    if (split.no >= split.count) {
        return metadata.error(ErrorCode::format, no_key,
                              fmt::format("is {}, but there are {} files: they count from 0", split.no, split.count));
    }
    WALLABY_TRY(split.n_tensors, metadata.u32(tensors_key));
    return std::optional<Split>(split);
}

Result<ShardSet> read_set(std::unique_ptr<base::ByteSource> first, File file, const std::optional<Split>& split,
                          const Limits& limits) {
    ShardSet set;
    set.file = std::move(file);
    set.sources.push_back(std::move(first));
    if (!split) { return set; }
    const Metadata& metadata = set.file.metadata;
    const uint32_t count = split->count;
    if (count > limits.max_shards) {
        return metadata.error(ErrorCode::unsupported, count_key,
                              fmt::format("is {}: at most {} files are read", count, limits.max_shards));
    }
    if (split->no != 0) { return not_first(metadata, *split); }
    const auto prefix = prefix_of(set.sources[0]->name(), 0, count);
    if (!prefix) {
        return metadata.error(
            ErrorCode::format, count_key,
            fmt::format("is {}, but the file's name does not end in {}", count, shard_path("", 0, count)),
            "The names of a set tell its files apart: rename them as they were");
    }
    for (uint32_t no = 1; no < count; no++) {
        WALLABY_OK(add_file(set, shard_path(*prefix, no, count), no, *split, limits));
    }
    WALLABY_OK(index_set(set));
    if (set.file.tensors.size() != split->n_tensors) {
        return metadata.error(
            ErrorCode::format, tensors_key,
            fmt::format("is {}, but the {} files hold {} tensors", split->n_tensors, count, set.file.tensors.size()),
            std::string(mixed));
    }
    return set;
}

}  // namespace wallaby::gguf
