// Pages of keys and values: 64 positions of one KV head, in the order in which attention reads them.
//
// Keys: four tiles of 16 positions, each as tiles.h packs 16 rows of `head` numbers, so a lane is a position.
// Values, a lane is a dimension:
//   F32, F16, BF16   [head / 16, rounded up][64 positions][16 dimensions]; lanes beyond the head are zero
//   Q8_0, Q4_0       per 32 dimensions: scales [64 positions] f16, then [64 positions] blocks of codes as in the file
// A page holds the same bytes as its rows in the file but for those lanes, and its size is a multiple of 64.
#pragma once
#include <cstdint>

#include "kernels/kernels.h"

namespace wallaby::kernels {

enum class PageOf : uint8_t { keys, values };

// Of the orders above: a saved page carries it.
inline constexpr uint32_t page_version = 1;

// Whether keys or values of this type can be kept for this head: F32, F16, BF16; Q8_0 and Q4_0 where head % 32 == 0.
bool can_page(quant::Type type, uint32_t head);

// Of one page; can_page must hold.
uint64_t page_bytes(quant::Type type, uint32_t head, PageOf what);

// How Table::write_activations shall write the queries that read keys of this type.
Activations query_kind(quant::Type key_type);

// Of AttendArgs::scratch.
uint64_t attend_scratch_bytes(quant::Type value_type, uint32_t head);

// One position's row back, decoded; out [head].
void read_row(quant::Type type, uint32_t head, PageOf what, const uint8_t* page, uint32_t slot, float* out);

}  // namespace wallaby::kernels
