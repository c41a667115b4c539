#include "gguf/weight_source.h"

#include "base/checked.h"
#include "gguf/shards.h"

namespace wallaby::gguf {
namespace {

class GgufSource final : public WeightSource {
  public:
    explicit GgufSource(ShardSet set) : set_(std::move(set)) {}

    const Metadata& metadata() const override { return set_.file.metadata; }
    std::span<const Tensor> tensors() const override { return set_.file.tensors; }
    const Tensor* find(std::string_view name) const override { return set_.file.find(name); }
    const std::string& file_of(const Tensor& tensor) const override { return set_.sources.at(tensor.shard)->name(); }

    Result<void> read(const Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const override {
        WALLABY_OK(check_range(*this, tensor, offset, out.size()));
        return set_.sources.at(tensor.shard)->read(tensor.offset + offset, out);
    }
    std::span<const uint8_t> bytes(const Tensor& tensor) const override {
        const std::span<const uint8_t> all = set_.sources.at(tensor.shard)->bytes();
        const auto end = base::checked_add(tensor.offset, tensor.n_bytes);
        return end && *end <= all.size() ? all.subspan(tensor.offset, tensor.n_bytes) : std::span<const uint8_t>();
    }
    Result<void> check_bytes(const Tensor& tensor) const override {
        return set_.sources.at(tensor.shard)->check_bytes();
    }

  private:
    ShardSet set_;
};

}  // namespace

Result<std::unique_ptr<WeightSource>> open_gguf(std::unique_ptr<base::ByteSource> source, const Limits& limits) {
    ShardSet set;
    WALLABY_TRY(set.file, read_file(*source, limits));
    WALLABY_TRY(const auto split, split_of(set.file.metadata));
    if (split) {
        return set.file.metadata.error(ErrorCode::unsupported, "split.count",
                                       fmt::format("is {}: these bytes are one file of a set", split->count),
                                       "Open the set by the path of its first file");
    }
    set.sources.push_back(std::move(source));
    return std::unique_ptr<WeightSource>(new GgufSource(std::move(set)));
}

Result<std::unique_ptr<WeightSource>> open_gguf(const std::string& path, const Limits& limits) {
    WALLABY_TRY(std::unique_ptr<base::ByteSource> source, base::open_file(path));
    WALLABY_TRY(File file, read_file(*source, limits));
    WALLABY_TRY(const auto split, split_of(file.metadata));
    WALLABY_TRY(ShardSet set, read_set(std::move(source), std::move(file), split, limits));
    return std::unique_ptr<WeightSource>(new GgufSource(std::move(set)));
}

Result<void> check_range(const WeightSource& source, const Tensor& tensor, uint64_t offset, uint64_t n) {
    const auto end = base::checked_add(offset, n);
    if (end && *end <= tensor.n_bytes) { return {}; }
    return Error{ErrorCode::argument,
                 fmt::format("{} bytes from {} on asked of its {}", n, offset, tensor.n_bytes),
                 {source.file_of(tensor), fmt::format("tensor '{}'", tensor.name), {}},
                 ""};
}

Result<std::vector<float>> read_floats(const WeightSource& source, const Tensor& tensor, uint64_t max_elements) {
    const auto refuse = [&](std::string what) {
        return Error{ErrorCode::model,
                     std::move(what),
                     {source.file_of(tensor), fmt::format("tensor '{}'", tensor.name), tensor.offset},
                     ""};
    };
    if (tensor.n_elements() > max_elements) {
        return refuse(fmt::format("has {} elements where at most {} are expected", tensor.n_elements(), max_elements));
    }
    std::vector<uint8_t> bytes(tensor.n_bytes);
    WALLABY_OK(source.read(tensor, 0, bytes));
    const quant::Format& format = quant::format_of(tensor.type);
    std::vector<float> out(tensor.n_elements());
    format.decode(bytes.data(), out.data(), out.size() / format.block_len);
    return out;
}

}  // namespace wallaby::gguf
