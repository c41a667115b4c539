// Any bytes at all as a GGUF file, and as the beginning of one: it is refused with an Error or opened, and then
// everything it offers can be read.
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gguf/header.h"
#include "gguf/weight_source.h"

namespace {

using namespace wallaby;

uint64_t seen = 0;  // what is read is added up here, so that no read is optimised away

void touch(std::string_view text) { seen = std::accumulate(text.begin(), text.end(), seen); }

template <class T>
void touch(const Result<T>& result) {
    if (!result.ok()) { touch(result.error().message()); }
}

void touch_key(const gguf::Metadata& metadata, const gguf::Metadata::Entry& entry) {
    const std::string_view key = entry.key;
    touch(key);
    if (!metadata.has(key)) { __builtin_trap(); }
    touch(metadata.u32(key));
    touch(metadata.number(key));
    touch(metadata.boolean(key));
    touch(metadata.floats(key));
    touch(metadata.integers(key));
    touch(metadata.u32_or(key, 1));
    touch(metadata.number_or(key, 1));
    touch(metadata.boolean_or(key, true));
    touch(metadata.string_or(key, ""));
    const auto text = metadata.string(key);
    touch(text);
    if (text.ok()) { touch(text.value()); }
    const auto strings = metadata.strings(key);
    touch(strings);
    if (strings.ok()) {
        uint64_t n = 0;
        for (const std::string_view each : strings.value()) {
            touch(each);
            n++;
        }
        if (n != strings->size()) { __builtin_trap(); }
    }
    if (entry.value.count > 0) {
        for (const uint64_t i : {uint64_t(0), entry.value.count - 1, entry.value.count}) {
            seen += uint64_t(entry.value.integer(i).value_or(0));
            seen += entry.value.number(i).has_value();
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    auto bytes = std::make_unique<base::MemorySource>(std::span(data, size), "fuzz");
    const auto opened = gguf::open_gguf(std::move(bytes));
    // Of the header alone less is asked, so that whatever opens whole opens so too.
    const auto header = gguf::open_gguf_header(std::make_unique<base::MemorySource>(std::span(data, size), "fuzz"));
    const auto beginning = gguf::read_beginning(base::MemorySource(std::span(data, size), "fuzz"), {});
    touch(header);
    touch(beginning);
    if (opened.ok() && !(header.ok() && beginning.ok() && beginning.value().has_value())) { __builtin_trap(); }
    if (!opened.ok()) {
        touch(opened);
        return 0;
    }
    const gguf::WeightSource& source = **opened;
    for (const auto& entry : source.metadata().entries()) { touch_key(source.metadata(), entry); }
    touch(source.metadata().u32("no such key"));
    for (const gguf::Tensor& tensor : source.tensors()) {
        if (source.find(tensor.name) != &tensor) { __builtin_trap(); }
        touch(tensor.shape());
        seen += tensor.row_bytes() + tensor.n_elements();
        const auto floats = gguf::read_floats(source, tensor, 1 << 16);
        touch(floats);
        if (floats.ok() && floats->size() != tensor.n_elements()) { __builtin_trap(); }
        uint8_t last = 0;
        if (!source.read(tensor, tensor.n_bytes - 1, {&last, 1}).ok()) { __builtin_trap(); }
        if (source.read(tensor, tensor.n_bytes, {&last, 1}).ok()) { __builtin_trap(); }
        seen += last;
    }
    return 0;
}
