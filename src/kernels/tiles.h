// Packed weights: a matrix in tiles of 16 rows, so that a lane is an output row. A tile holds the same bytes as its 16
// rows in the file, in another order: block by block along the row, and within a block unit by unit (a scale, four
// bytes of codes), each unit of all 16 rows side by side. The last tile of a matrix is filled up with zeros.
//
// The order is the same for every instruction set, so a packed image can be kept and used elsewhere. Formats without a
// matmul kernel keep their rows as they are, one after the other.
#pragma once
#include <cstdint>

#include "quant/format.h"

namespace wallaby::kernels {

// Of the order below: an image carries it.
inline constexpr uint32_t tile_version = 2;

// Of a matrix of n_out rows.
uint32_t n_tiles(uint32_t n_out);
uint64_t tile_bytes(quant::Type type, uint32_t n_in);
// All tiles of a matrix of n_out rows.
uint64_t packed_bytes(quant::Type type, uint32_t n_in, uint32_t n_out);

// rows: n_rows <= 16 rows as in the file. tile: tile_bytes, written whole.
void pack_tile(quant::Type type, uint32_t n_in, const uint8_t* rows, uint32_t n_rows, uint8_t* tile);
// Whether all weights of a tile are seen to be finite by its scales, or by the weights where they are plain numbers. No
// also for formats whose rows stay as they are: only their decoders can tell.
bool is_tile_finite(quant::Type type, uint32_t n_in, const uint8_t* tile);
// Copies packed tiles to where they will stay, past the caches where the instruction set can: what is written once and
// read much later need not be fetched first. to: 16-byte aligned; n_bytes: a multiple of 16.
void store_tiles(const uint8_t* from, uint64_t n_bytes, uint8_t* to);
// One row back as it is in the file; out: its bytes.
void unpack_row(quant::Type type, uint32_t n_in, const uint8_t* tile, uint32_t row, uint8_t* out);

}  // namespace wallaby::kernels
