#include "convert/synthetic.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "base/checked.h"
#include "convert/mixes.h"

namespace wallaby::convert {
namespace {

struct Spread {
    double mean = 0, sigma = 0;
};

// Mean and standard deviation by what a tensor is. Matrices keep a vector's size: sigma is 1 / sqrt(inputs). The
// embedding sets the residual stream's size; where it is the output's matrix too it must be small for the logits to be
// of ordinary size, and what layers add to the stream is smaller with it.
Spread spread_of(const gguf::Tensor& t, bool tied) {
    const auto ends = [&](std::string_view ending) { return t.name.ends_with(ending); };
    const double of_inputs = 1 / std::sqrt(double(t.dims[0]));
    if (t.name == "token_embd.weight") { return {0, tied ? of_inputs : 1}; }
    if (ends("_norm.weight") || ends(".scale") || ends(".input_scale") || ends(".ssm_d")) { return {1, 0.1}; }
    if (ends(".ssm_a")) { return {-1, 0.2}; }           // decay rates
    if (ends(".attn_sinks.weight")) { return {0, 1}; }  // of the size of attention scores
    if (t.n_dims == 1 || ends(".bias")) { return {0, 0.1}; }
    const bool adds_to_stream = ends(".attn_output.weight") || ends(".ffn_down.weight") ||
                                ends(".ffn_down_exps.weight") || ends(".ssm_out.weight");
    return {0, adds_to_stream && tied ? of_inputs / 4 : of_inputs};
}

}  // namespace

Result<std::unique_ptr<SyntheticSource>> SyntheticSource::create(Shape shape, std::string_view type, uint64_t seed,
                                                                 const std::string& name) {
    std::unique_ptr<SyntheticSource> source(new SyntheticSource());
    Types types;
    if (!type.empty()) {
        WALLABY_TRY(types, choose_types(type, shape.tensors, {.pure = quant::find_format(type) != nullptr}));
        shape.metadata.set("general.file_type", types.file_type).set("general.quantization_version", 2u);
        source->n_replaced_ = types.n_replaced;
    } else {
        for (const TensorShape& t : shape.tensors) {
            types.of.push_back(t.values.empty() ? t.type.value_or(quant::Type::f32) : quant::Type::f32);
        }
    }
    WALLABY_TRY(source->metadata_, gguf::metadata_of(shape.metadata, name));
    source->draft_ = std::move(shape.metadata);
    for (size_t i = 0; i < shape.tensors.size(); i++) {
        source->draft_.tensor(shape.tensors[i].name, types.of[i], shape.tensors[i].dims);
    }
    WALLABY_TRY(source->layout_, source->draft_.layout(name));

    const bool tied =
        std::ranges::none_of(shape.tensors, [](const TensorShape& t) { return t.name == "output.weight"; });
    std::map<std::tuple<quant::Type, double, double>, const RandomBlocks*> known;
    for (size_t i = 0; i < shape.tensors.size(); i++) {
        const gguf::Tensor& tensor = source->layout_.tensors[i];
        source->by_name_[tensor.name] = i;
        Content& content = source->contents_.emplace_back();
        if (const auto& values = shape.tensors[i].values; !values.empty()) {
            content.given.resize(tensor.n_bytes);
            std::memcpy(content.given.data(), values.data(),
                        std::min<uint64_t>(tensor.n_bytes, values.size() * sizeof(float)));
            continue;
        }
        const Spread spread = spread_of(tensor, tied);
        const RandomBlocks*& blocks = known[{tensor.type, spread.mean, spread.sigma}];
        if (blocks == nullptr) {
            source->blocks_.push_back(std::make_unique<RandomBlocks>(tensor.type, spread.mean, spread.sigma));
            blocks = source->blocks_.back().get();
        }
        content.blocks = blocks;
        content.key = stream_key(seed, tensor.name);
    }
    return source;
}

const gguf::Tensor* SyntheticSource::find(std::string_view name) const {
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? nullptr : &layout_.tensors[at->second];
}

Result<void> SyntheticSource::read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const {
    const auto at = by_name_.find(tensor.name);
    const auto end = base::checked_add(offset, out.size());
    if (at == by_name_.end() || !end || *end > layout_.tensors[at->second].n_bytes) {
        return Error{ErrorCode::argument,
                     fmt::format("bytes {} to {} are not all in this model", offset, offset + out.size()),
                     {metadata_.file(), fmt::format("tensor '{}'", tensor.name), {}},
                     ""};
    }
    const Content& content = contents_[at->second];
    if (content.blocks != nullptr) {
        content.blocks->fill(content.key, offset, out);
    } else if (!out.empty()) {
        std::memcpy(out.data(), content.given.data() + offset, out.size());
    }
    return {};
}

Result<std::unique_ptr<SyntheticSource>> open_synthetic(std::string_view shape, std::string_view type, uint64_t seed) {
    WALLABY_TRY(Shape known, named_shape(shape));
    return SyntheticSource::create(std::move(known), type, seed, fmt::format("{}:{}", shape, type));
}

}  // namespace wallaby::convert
