// Any bytes as a safetensors file, and any text as the header of one: it is refused with an Error, or its tensors lie
// in it one behind the other.
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "convert/safetensors.h"
#include "fuzz/outcome.h"

namespace {

using namespace wallaby;

constexpr size_t n_data = 64;

void read(std::span<const uint8_t> bytes) {
    const base::MemorySource file(bytes, "fuzz");
    const auto tensors = convert::read_safetensors(file);
    if (!fuzz::is_good(tensors)) { return; }
    uint64_t n_bytes = 0;
    for (const convert::StoredTensor& t : *tensors) {
        if (t.offset > bytes.size() || t.n_bytes > bytes.size() - t.offset || t.name.empty()) { __builtin_trap(); }
        uint64_t n = t.type->n_bytes;
        for (const uint64_t dim : t.dims) { n *= dim; }
        if (n != t.n_bytes) { __builtin_trap(); }
        n_bytes += n;
    }
    if (n_bytes > bytes.size()) { __builtin_trap(); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    read(std::span(data, size));
    std::vector<uint8_t> whole(sizeof(uint64_t) + size + n_data);
    const uint64_t n_header = size;
    std::memcpy(whole.data(), &n_header, sizeof(n_header));
    if (size != 0) { std::memcpy(whole.data() + sizeof(n_header), data, size); }
    read(whole);
    return 0;
}
