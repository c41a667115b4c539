#include "backends/finite.h"

#include <algorithm>
#include <atomic>

#include "base/bytes.h"
#include "base/math.h"
#include "quant/format.h"

namespace wallaby::backends {
namespace {

constexpr uint64_t piece_len = 2048;         // weights decoded at a time: whole blocks of every format, 8 KiB
constexpr uint64_t chunk_len = 1024 * 1024;  // weights that a thread takes at a time: milliseconds

// Whether no exponent is all ones. Adding one to such an exponent carries into the sign bit.
bool scales_finite(const quant::Format& format, const uint8_t* blocks, uint64_t n_blocks) {
    const quant::F16Scales& scales = format.f16_scales;
    uint32_t carried = 0;
    for (uint64_t i = 0; i < n_blocks; i++, blocks += format.block_bytes) {
        carried |= (base::load_le<uint16_t>(blocks + scales.first) & 0x7c00u) + 0x0400u;
        carried |= (base::load_le<uint16_t>(blocks + scales.second) & 0x7c00u) + 0x0400u;
    }
    return (carried >> 15) == 0;
}

}  // namespace

std::optional<NotFinite> find_not_finite(const quant::Format& format, const uint8_t* bytes, uint64_t n_blocks) {
    const uint64_t step = piece_len / format.block_len;
    float values[piece_len];
    for (uint64_t i = 0; i < n_blocks; i += step) {
        const uint64_t n = std::min(step, n_blocks - i);
        const uint8_t* blocks = bytes + i * format.block_bytes;
        if (format.f16_scales.known && scales_finite(format, blocks, n)) { continue; }
        format.decode(blocks, values, n);
        const uint64_t n_values = n * format.block_len;
        const size_t bad = base::first_not_finite({values, n_values});
        if (bad < n_values) { return NotFinite{i * format.block_len + bad, values[bad]}; }
    }
    return std::nullopt;
}

Error not_finite(const gguf::Tensor& tensor, const std::string& file, uint64_t element, float value) {
    const uint64_t row = element / tensor.dims[0];
    return Error{
        ErrorCode::numeric,
        fmt::format("row {} of {} holds {} at column {}", row, tensor.n_rows(), value, element % tensor.dims[0]),
        {file, fmt::format("tensor '{}'", tensor.name), tensor.offset + row * tensor.row_bytes()},
        "The file is damaged, or was made from a model that is: fetch it again"};
}

Result<void> check_finite(const gguf::Tensor& tensor, const uint8_t* bytes, const std::string& file,
                          threads::Pool& pool, const std::stop_token& stop) {
    const quant::Format& format = quant::format_of(tensor.type);
    const uint64_t n_elements = tensor.n_elements();
    const uint64_t n_blocks = n_elements / format.block_len, chunk_blocks = chunk_len / format.block_len;
    const auto search_chunk = [&](uint64_t chunk) {
        const uint64_t first = chunk * chunk_blocks;
        return find_not_finite(format, bytes + first * format.block_bytes, std::min(chunk_blocks, n_blocks - first));
    };
    std::atomic<uint64_t> first_chunk = UINT64_MAX;  // the lowest chunk with such a weight, whichever thread is first
    const auto look = [&](uint64_t chunk, unsigned) {
        if (chunk > first_chunk.load() || !search_chunk(chunk)) { return; }
        uint64_t known = first_chunk.load();
        while (chunk < known && !first_chunk.compare_exchange_weak(known, chunk)) {}
    };
    WALLABY_OK(pool.run((n_blocks + chunk_blocks - 1) / chunk_blocks, stop, look));
    if (first_chunk == UINT64_MAX) { return {}; }
    const NotFinite found = *search_chunk(first_chunk);
    return not_finite(tensor, file, first_chunk * chunk_len + found.element, found.value);
}

}  // namespace wallaby::backends
