#include "convert/bind.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

#include "convert/hf_tensors.h"
#include "convert/mixes.h"

namespace wallaby::convert {
namespace {

using quant::Type;
using Dims = std::vector<uint64_t>;

// What a checkpoint's tensor must look like, but for dimensions of 1.
Dims without_ones(Dims dims) {
    std::erase(dims, 1u);
    return dims;
}

std::string numbered(std::string_view name, uint64_t expert) {
    const size_t at = name.find('%');
    if (at == std::string_view::npos) { return std::string(name); }
    return fmt::format("{}{}{}", name.substr(0, at), expert, name.substr(at + 1));
}

// Finds the tensors of a checkpoint that ours are made of.
class Binder {
  public:
    Binder(const Safetensors& stored, const std::string& path, const HfFamily& family, const ConfigModel& model)
        : stored_(stored), path_(path), family_(family), model_(model), is_used_(stored.tensors.size()) {
        root_ = family.roots.front();
        for (const Root& root : family.roots) {
            if (stored.find(sources_of(family, root, "token_embd.weight").front().name) != nullptr) {
                root_ = root;
                break;
            }
        }
    }

    Result<AssembledTensor> bind(const TensorShape& ours, bool is_matrix) {
        AssembledTensor made{ours.name, Type::f32, ours.dims, {}};
        if (!ours.values.empty()) {
            made.recipe.given.resize(ours.values.size() * sizeof(float));
            std::memcpy(made.recipe.given.data(), ours.values.data(), made.recipe.given.size());
            return made;
        }
        WALLABY_TRY(const Source source, source_of(ours));
        const TensorRule& rule = *source.rule;
        Recipe& recipe = made.recipe;
        recipe.order = {rule.order, model_.head};
        recipe.transposed = rule.form == TensorRule::Form::columns;
        recipe.change = rule.change;
        const Layout layout(ours, rule);
        recipe.width = layout.width;
        if (rule.form == TensorRule::Form::mxfp4) {
            made.type = recipe.stored = Type::mxfp4;
            return bind_mxfp4(source.name, layout, std::move(made));
        }
        WALLABY_TRY(recipe.parts, places_of(source.name, layout, recipe.stored));
        if (is_matrix) { made.type = recipe.stored; }
        return made;
    }

    // Whatever has no use would be left out silently otherwise.
    Result<void> check_rest() const {
        size_t n_unknown = 0;
        const StoredTensor* unknown = nullptr;
        for (size_t i = 0; i < stored_.tensors.size(); i++) {
            const StoredTensor& tensor = stored_.tensors[i];
            const bool is_tied_output = model_.tied && tensor.name == fmt::format("{}lm_head.weight", root_.head);
            if (is_used_[i] || is_left_out(tensor.name) || is_tied_output) { continue; }
            if (n_unknown++ == 0) { unknown = &tensor; }
        }
        if (unknown == nullptr) { return {}; }
        return refuse(
            *unknown,
            fmt::format("is not known: a {} as config.json describes it has no such tensor{}", model_.model_type,
                        n_unknown == 1 ? "" : fmt::format(", nor {} others that are here", n_unknown - 1)),
            "Check that config.json and the weights are of one model");
    }

  private:
    // What a tensor of ours needs of theirs.
    struct Layout {
        Layout(const TensorShape& ours, const TensorRule& rule) {
            Dims part = ours.dims;
            if (ours.name.ends_with("_exps.weight") || ours.name.ends_with("_exps.bias")) {
                n_parts = part.back();
                part.pop_back();
            }
            width = part.size() == 1 && rule.order != RowOrder::Kind::same ? 1 : part[0];
            part.back() *= RowOrder{rule.order}.step();
            dims.assign(part.rbegin(), part.rend());
            if (rule.form == TensorRule::Form::columns) { std::ranges::reverse(dims); }
            if (rule.form == TensorRule::Form::flat) {
                dims = {std::accumulate(dims.begin(), dims.end(), uint64_t(1), std::multiplies())};
            }
        }
        Dims dims;  // of a part, in their order
        uint64_t width = 1, n_parts = 1;
    };

    Error refuse(const StoredTensor& tensor, std::string what, std::string remedy = "",
                 ErrorCode code = ErrorCode::model) const {
        return {code,
                std::move(what),
                {tensor.file->name(), fmt::format("tensor '{}'", tensor.name), {}},
                std::move(remedy)};
    }
    Error missing(const std::string& name) const {
        return {
            ErrorCode::model,
            "is missing",
            {stored_.files.size() == 1 ? stored_.files.front()->name() : path_, fmt::format("tensor '{}'", name), {}},
            fmt::format("A {} as config.json describes it needs it", model_.model_type)};
    }

    Result<Source> source_of(const TensorShape& ours) const {
        std::vector<Source> sources = sources_of(family_, root_, ours.name);
        if (sources.empty()) {
            return Error{ErrorCode::unsupported,
                         fmt::format("has no name in checkpoints of a {}", model_.model_type),
                         {path_, fmt::format("tensor '{}'", ours.name), {}},
                         ""};
        }
        for (Source& source : sources) {
            if (stored_.find(numbered(source.name, 0)) != nullptr) { return std::move(source); }
        }
        return missing(numbered(sources.front().name, 0));
    }

    Result<const StoredTensor*> take(const std::string& name, const Dims& dims) {
        const StoredTensor* const tensor = stored_.find(name);
        if (tensor == nullptr) { return missing(name); }
        is_used_[size_t(tensor - stored_.tensors.data())] = true;
        if (without_ones(tensor->dims) != without_ones(dims)) {
            return refuse(*tensor, fmt::format("has the shape {}, but config.json makes it [{}]", tensor->shape(),
                                               fmt::join(dims, ", ")));
        }
        return tensor;
    }

    // Each part a tensor, or all of them one.
    Result<std::vector<Place>> places_of(const std::string& name, const Layout& layout, Type& type) {
        std::vector<Place> places;
        const bool is_each = name.find('%') != std::string::npos;
        Dims dims = layout.dims;
        if (!is_each && layout.n_parts != 1) { dims.insert(dims.begin(), layout.n_parts); }
        for (uint64_t i = 0; i < (is_each ? layout.n_parts : 1); i++) {
            WALLABY_TRY(const StoredTensor* const tensor, take(numbered(name, i), dims));
            if (!tensor->type->weights) { return no_weights(*tensor); }
            if (i != 0 && *tensor->type->weights != type) {
                return refuse(*tensor, fmt::format("is {}, and other experts' are {}", tensor->type->name,
                                                   quant::format_of(type).name));
            }
            type = *tensor->type->weights;
            add_parts(places, *tensor, is_each ? 1 : layout.n_parts);
        }
        return places;
    }

    static void add_parts(std::vector<Place>& places, const StoredTensor& tensor, uint64_t n_parts) {
        for (uint64_t i = 0; i < n_parts; i++) {
            places.push_back({tensor.file, tensor.offset + i * (tensor.n_bytes / n_parts)});
        }
    }

    Error no_weights(const StoredTensor& tensor) const {
        const std::string_view type = tensor.type->name;
        const bool is_f8 = type.starts_with("F8");
        return refuse(tensor,
                      is_f8 ? fmt::format("is {}, whose values count only with scales of their own", type)
                            : fmt::format("is {}, which is no type of weights here", type),
                      "Use the checkpoint in BF16, F16 or F32", ErrorCode::unsupported);
    }

    Result<AssembledTensor> bind_mxfp4(std::string name, const Layout& layout, AssembledTensor made) {
        constexpr std::string_view blocks_end = "blocks", scales_end = "scales";
        const uint64_t n_block = quant::format_of(Type::mxfp4).block_len, n_in = layout.dims[1];
        Dims dims{layout.n_parts, layout.dims[0], n_in / n_block, n_block / 2};
        for (std::vector<Place>* const places : {&made.recipe.parts, &made.recipe.scales}) {
            WALLABY_TRY(const StoredTensor* const tensor, take(name, dims));
            if (tensor->type->name != "U8" || n_in % n_block != 0) {
                return refuse(*tensor, fmt::format("is {} for rows of {}, not bytes of blocks of {}",
                                                   tensor->type->name, n_in, n_block));
            }
            add_parts(*places, *tensor, layout.n_parts);
            dims.pop_back();
            name.replace(name.size() - blocks_end.size(), blocks_end.size(), scales_end);
        }
        return made;
    }

    const Safetensors& stored_;
    const std::string& path_;
    const HfFamily& family_;
    const ConfigModel& model_;
    Root root_;
    std::vector<bool> is_used_;
};

}  // namespace

Result<std::vector<AssembledTensor>> bind_tensors(const Safetensors& stored, const std::string& path,
                                                  const ConfigModel& model) {
    const HfFamily* const family = find_hf_family(model.model_type);
    if (family == nullptr) {
        return Error{ErrorCode::unsupported,
                     fmt::format("holds a {}, whose tensors' names are not known", model.model_type),
                     {path, "", {}},
                     ""};
    }
    WALLABY_TRY(const Types types, choose_types("F32", model.shape.tensors));
    Binder binder(stored, path, *family, model);
    std::vector<AssembledTensor> tensors;
    for (size_t i = 0; i < model.shape.tensors.size(); i++) {
        WALLABY_TRY(AssembledTensor made, binder.bind(model.shape.tensors[i], types.is_matrix[i]));
        tensors.push_back(std::move(made));
    }
    WALLABY_OK(binder.check_rest());
    return tensors;
}

}  // namespace wallaby::convert
