#include "gguf/weight_source.h"

#include "base/checked.h"

namespace wallaby::gguf {
namespace {

class GgufSource final : public WeightSource {
  public:
    GgufSource(std::unique_ptr<base::ByteSource> source, File file)
        : source_(std::move(source)), file_(std::move(file)) {}

    const Metadata& metadata() const override { return file_.metadata; }
    std::span<const Tensor> tensors() const override { return file_.tensors; }
    const Tensor* find(std::string_view name) const override { return file_.find(name); }

    Result<void> read(const Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const override {
        const auto end = base::checked_add(offset, out.size());
        if (!end || *end > tensor.n_bytes) {
            return Error{ErrorCode::argument,
                         fmt::format("bytes {} to {} asked of its {}", offset, offset + out.size(), tensor.n_bytes),
                         {source_->name(), fmt::format("tensor '{}'", tensor.name), {}},
                         ""};
        }
        return source_->read(tensor.offset + offset, out);
    }

  private:
    std::unique_ptr<base::ByteSource> source_;
    File file_;
};

}  // namespace

Result<std::unique_ptr<WeightSource>> open_gguf(std::unique_ptr<base::ByteSource> source, const Limits& limits) {
    WALLABY_TRY(File file, read_file(*source, limits));
    return std::unique_ptr<WeightSource>(new GgufSource(std::move(source), std::move(file)));
}

Result<std::unique_ptr<WeightSource>> open_gguf(const std::string& path, const Limits& limits) {
    WALLABY_TRY(std::unique_ptr<base::ByteSource> source, base::open_file(path));
    return open_gguf(std::move(source), limits);
}

Result<std::vector<float>> read_floats(const WeightSource& source, const Tensor& tensor, uint64_t max_elements) {
    const auto refuse = [&](std::string what) {
        return Error{ErrorCode::model,
                     std::move(what),
                     {source.metadata().file(), fmt::format("tensor '{}'", tensor.name), tensor.offset},
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
