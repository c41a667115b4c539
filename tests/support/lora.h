// LoRA adapters for models made here: random factors for every matrix that a program of the model multiplies by.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gguf/adapter.h"
#include "gguf/weight_source.h"
#include "sampling/random.h"
#include "support/gguf_bytes.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace wallaby::testing {

struct TinyAdapter {
    uint64_t rank = 3;
    float alpha = 0;  // 0: the key is left out
    quant::Type type = quant::Type::f32;
    double spread = 0.3;  // of what is added, as a part of a matrix's own
    uint64_t seed = 7;
    std::function<bool(const std::string& name)> wants = [](const std::string&) { return true; };

    std::vector<uint8_t> build(const gguf::WeightSource& base) const {
        GgufBytes file;
        file.kv("general.type", "adapter").kv("adapter.type", "lora");
        file.kv("general.architecture", *base.metadata().string("general.architecture"));
        if (alpha != 0) { file.kv("adapter.lora.alpha", alpha); }
        sampling::Random random(seed);
        const auto put = [&](const std::string& name, std::vector<uint64_t> dims, double size) {
            std::vector<float> values(dims[0] * dims[1] * (dims.size() > 2 ? dims[2] : 1));
            for (float& v : values) { v = float(size * (2 * random.uniform() - 1)); }
            const quant::Format& format = quant::format_of(type);
            std::vector<uint8_t> bytes(values.size() / format.block_len * format.block_bytes);
            format.encode(values.data(), bytes.data(), values.size() / format.block_len, nullptr);
            file.tensor(name, dims, uint32_t(type), bytes);
        };
        for (const gguf::Tensor& t : base.tensors()) {
            const bool is_matrix = t.n_dims >= 2 && t.name.ends_with(".weight") && t.name != "token_embd.weight" &&
                                   t.name != "position_embd.weight" && t.name.find("conv1d") == std::string::npos;
            if (!is_matrix || !wants(t.name)) { continue; }
            std::vector<uint64_t> a{t.dims[0], rank}, b{rank, t.dims[1]};
            if (t.n_dims > 2) {
                a.push_back(t.dims[2]);
                b.push_back(t.dims[2]);
            }
            // Uniform numbers have a third of their range's square as variance.
            put(t.name + ".lora_a", a, 3 / std::sqrt(double(t.dims[0])));
            put(t.name + ".lora_b", b, spread / std::sqrt(double(rank)));
        }
        return file.build();
    }
    std::shared_ptr<const gguf::Adapter> open(const gguf::WeightSource& base) const {
        return must(gguf::Adapter::read(*TinyModel::open_bytes(build(base)), base));
    }
};

}  // namespace wallaby::testing
