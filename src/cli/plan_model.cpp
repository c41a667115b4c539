#include "cli/plan_model.h"

#include <algorithm>
#include <filesystem>

#include "assets/joey.h"
#include "base/bytes.h"
#include "convert/hf_config.h"
#include "gguf/header.h"

namespace wallaby::cli {
namespace {

Result<convert::Shape> read_config(const std::string& path) {
    WALLABY_TRY(const auto file, base::open_file(path));
    if (file->size() > convert::max_config_bytes) {
        return Error{ErrorCode::format,
                     fmt::format("has {} bytes, more than the {} that a config.json may have", file->size(),
                                 convert::max_config_bytes),
                     {path, "", {}},
                     ""};
    }
    std::string text(file->size(), '\0');
    WALLABY_OK(file->read(0, std::span(reinterpret_cast<uint8_t*>(text.data()), text.size())));
    return convert::shape_of_config(text, path, false);
}

// The vocabulary's texts are of no use to a plan, and the most of what there is to copy.
void remove_texts(convert::Shape& shape) {
    for (const char* key :
         {"tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"}) {
        shape.metadata.remove(key);
    }
}

bool is_named_shape(std::string_view name) {
    return std::ranges::any_of(convert::named_shapes(), [&](const convert::NamedShape& s) { return s.name == name; });
}

}  // namespace

Result<std::unique_ptr<PlanModel>> PlanModel::open(const std::string& name) {
    std::unique_ptr<PlanModel> model(new PlanModel());
    model->name_ = name;
    if (name == "-") {
        WALLABY_TRY(model->source_, gguf::open_gguf_header(0, "standard input"));
    } else if (is_named_shape(name)) {
        WALLABY_TRY(model->shape_, convert::named_shape(name, false));
    } else if (name.ends_with(".json")) {
        WALLABY_TRY(model->shape_, read_config(name));
    } else if (std::error_code ignored; std::filesystem::is_directory(name, ignored)) {
        WALLABY_TRY(model->shape_, read_config(name + "/config.json"));
    } else if (name == "joey") {
        WALLABY_TRY(model->source_, assets::open_joey());
    } else {
        WALLABY_TRY(model->source_, gguf::open_gguf_header(name));
    }
    return model;
}

Result<const PlanModel::Typed*> PlanModel::typed(std::string_view type, uint32_t n_ctx) {
    const std::pair key{std::string(type), n_ctx};
    if (const auto found = built_.find(key); found != built_.end()) { return const_cast<const Typed*>(&found->second); }
    Typed made;
    const gguf::WeightSource* source = source_.get();
    if (!type.empty() || source == nullptr) {
        if (!shape_) {
            WALLABY_TRY(shape_, convert::shape_like(*source_));
            remove_texts(*shape_);
        }
        WALLABY_TRY(made.source, convert::SyntheticSource::create(*shape_, type, 1, name_));
        source = made.source.get();
    }
    WALLABY_TRY(made.model, models::build(*source, {.n_ctx = n_ctx}));
    for (const gguf::Tensor& t : source->tensors()) {
        made.n_bytes += t.n_bytes;
        made.n_params += t.n_elements();
    }
    return const_cast<const Typed*>(&built_.emplace(key, std::move(made)).first->second);
}

}  // namespace wallaby::cli
