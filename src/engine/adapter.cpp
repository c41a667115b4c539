#include "engine/adapter.h"

#include "base/system.h"

namespace wallaby::engine {
namespace {

// Read and packed: twice its bytes while it is loaded.
Result<void> check_memory(const std::string& name, uint64_t n_bytes) {
    const std::optional<uint64_t> available = base::available_memory();
    if (!available || n_bytes <= *available / 2) { return {}; }
    return Error{ErrorCode::capacity,
                 fmt::format("has {:.1f} MB of factors, which take twice that to load, but {:.1f} MB are available",
                             double(n_bytes) / 1e6, double(*available) / 1e6),
                 {name, "", {}},
                 "Merge it into a file of the model: wallaby quantize --lora"};
}

}  // namespace

Result<std::shared_ptr<const Adapter>> Adapter::load(std::shared_ptr<const Model> model, const std::string& path) {
    WALLABY_TRY(const std::unique_ptr<gguf::WeightSource> file, gguf::open_gguf(path));
    uint64_t n_bytes = 0;
    for (const gguf::Tensor& tensor : file->tensors()) { n_bytes += tensor.n_bytes; }
    WALLABY_OK(check_memory(path, n_bytes));
    WALLABY_TRY(std::unique_ptr<gguf::Adapter> adapter, gguf::Adapter::read(*file, *model->source_));
    return load(std::move(model), std::shared_ptr<const gguf::Adapter>(std::move(adapter)));
}

Result<std::shared_ptr<const Adapter>> Adapter::load(std::shared_ptr<const Model> model,
                                                     std::shared_ptr<const gguf::Adapter> file) {
    std::shared_ptr<Adapter> out(new Adapter());
    out->name_ = file->file();
    out->model_ = std::move(model);
    WALLABY_TRY(out->adapter_, out->model_->executable_->adapt(std::move(file)));
    return std::shared_ptr<const Adapter>(std::move(out));
}

}  // namespace wallaby::engine
