#include "kernels/pages.h"

#include <cstring>
#include <vector>

#include "kernels/tiles.h"

namespace wallaby::kernels {
namespace {

bool is_coded(quant::Type type) { return type == quant::Type::q8_0 || type == quant::Type::q4_0; }

uint32_t padded(uint32_t head) { return (head + 15) / 16 * 16; }

}  // namespace

bool can_page(quant::Type type, uint32_t head) {
    if (is_coded(type)) { return head % 32 == 0; }
    return type == quant::Type::f32 || type == quant::Type::f16 || type == quant::Type::bf16;
}

uint64_t page_bytes(quant::Type type, uint32_t head, PageOf what) {
    const uint32_t width = what == PageOf::values && !is_coded(type) ? padded(head) : head;
    return page_keys / tile_rows * tile_bytes(type, width);
}

Activations query_kind(quant::Type key_type) { return is_coded(key_type) ? Activations::per_32 : Activations::f32; }

uint64_t attend_scratch_bytes(quant::Type value_type, uint32_t head) {
    return is_coded(value_type) ? uint64_t(head) * page_keys * sizeof(float) : 0;  // a page of values, decoded
}

void read_row(quant::Type type, uint32_t head, PageOf what, const uint8_t* page, uint32_t slot, float* out) {
    const quant::Format& format = quant::format_of(type);
    const uint32_t n_blocks = head / format.block_len, block_bytes = format.block_bytes;
    std::vector<uint8_t> row(uint64_t(n_blocks) * block_bytes);
    if (what == PageOf::keys) {
        unpack_row(type, head, page + slot / tile_rows * tile_bytes(type, head), slot % tile_rows, row.data());
    } else if (is_coded(type)) {
        for (uint32_t b = 0; b < n_blocks; b++) {
            const uint8_t* at = page + uint64_t(b) * page_keys * block_bytes;
            uint8_t* block = row.data() + uint64_t(b) * block_bytes;
            std::memcpy(block, at + 2 * slot, 2);
            std::memcpy(block + 2, at + 2 * page_keys + uint64_t(slot) * (block_bytes - 2), block_bytes - 2);
        }
    } else {
        for (uint32_t i = 0; i < head; i++) {
            const uint64_t at = (uint64_t(i) / 16 * page_keys + slot) * 16 + i % 16;
            std::memcpy(row.data() + uint64_t(i) * block_bytes, page + at * block_bytes, block_bytes);
        }
    }
    format.decode(row.data(), out, n_blocks);
}

}  // namespace wallaby::kernels
