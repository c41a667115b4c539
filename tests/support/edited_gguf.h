// A GGUF file taken apart, changed at any place, and put together again.
#pragma once
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gguf/weight_source.h"
#include "gguf/writer.h"
#include "support/memory_sink.h"

namespace wallaby::testing {

class EditedGguf {
  public:
    struct Part {
        std::string name;
        std::vector<uint64_t> dims;
        quant::Type type;
        std::vector<uint8_t> bytes;

        // Makes room for what the shape and type need, with zeros.
        void resize(quant::Type as, std::vector<uint64_t> shape) {
            type = as;
            dims = std::move(shape);
            const quant::Format& format = quant::format_of(type);
            uint64_t n = 1;
            for (const uint64_t d : dims) { n *= d; }
            bytes.assign(n / format.block_len * format.block_bytes, 0);
        }
    };

    explicit EditedGguf(const gguf::WeightSource& source) {
        keys.copy(source.metadata());
        for (const gguf::Tensor& t : source.tensors()) {
            Part& part = parts.emplace_back(Part{t.name, {t.dims.begin(), t.dims.begin() + t.n_dims}, t.type, {}});
            part.bytes.resize(t.n_bytes);
            if (!source.read(t, 0, part.bytes).ok()) { throw std::runtime_error("cannot read " + t.name); }
        }
    }

    Part& part(std::string_view name) {
        for (Part& p : parts) {
            if (p.name == name) { return p; }
        }
        throw std::runtime_error("no tensor " + std::string(name));
    }
    void remove(std::string_view name) {
        std::erase_if(parts, [&](const Part& p) { return p.name == name; });
    }
    std::vector<uint8_t> build() const {
        gguf::Draft draft = keys;
        for (const Part& p : parts) { draft.tensor(p.name, p.type, p.dims); }
        MemorySink::Seen seen;
        auto writer = gguf::Writer::create(std::make_unique<MemorySink>(seen), draft);
        if (!writer.ok()) { throw std::runtime_error(writer.error().message()); }
        for (const Part& p : parts) { (void)writer->write(p.name, p.bytes); }
        if (const auto done = writer->commit(); !done.ok()) { throw std::runtime_error(done.error().message()); }
        return std::move(seen.bytes);
    }

    gguf::Draft keys;
    std::vector<Part> parts;
};

}  // namespace wallaby::testing
