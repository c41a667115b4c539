// The arithmetic of the CPU back end, once in source and once per instruction set in the binary: the same bits from
// each (docs/numerics.md). Private to backends and probe. Nothing here allocates, fails or knows threads: whoever calls
// has checked every size.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cpu.h"
#include "base/result.h"
#include "quant/format.h"

namespace wallaby::kernels {

// An instruction set that kernels are compiled for.
struct Isa {
    std::string_view name;
    int rank = 0;  // of those that can be used, the highest is the fastest
    base::CpuFeatures needs = {};
    // Its bits are its own, so it is used only where it is asked for by name (docs/numerics.md).
    bool by_name_only = false;
};

// How a matmul takes its inputs: as they are, rounded to bf16, or as int8 codes with a scale per 16, 32 or 256.
enum class Activations : uint8_t { f32, bf16, per_16, per_32, per_256 };

inline constexpr uint32_t tile_rows = 16;

// Some 16-row tiles (tiles.h) of one matrix times some columns. A lane is an output row.
struct MatmulArgs {
    const uint8_t* tiles = nullptr;  // n_tiles of tile_bytes(type, n_in)
    uint32_t n_in = 0;
    uint32_t n_rows = 0;                   // of these tiles, 16 each but for the last
    const uint8_t* activations = nullptr;  // n_columns of them, as Table::write_activations left them
    uint32_t n_columns = 0;
    float* const* out = nullptr;  // per column
    uint32_t first_out = 0;       // where the first row's result goes in each of them
    // y = (y * scale + bias), or (y + bias) * scale where scale_bias; bias: per row, or nullptr.
    const float* bias = nullptr;
    float scale = 1;
    bool scale_bias = false;
    // Matmul::scratch_bytes(n_in, n_rows), 64-byte aligned; for more than Matmul::narrow_columns, or where n_in is odd.
    uint8_t* scratch = nullptr;
};

struct Matmul {
    Activations activations;
    void (*run)(const MatmulArgs& args) = nullptr;  // nullptr: no kernel for this format yet
    uint64_t panel_bytes_per_256 = 0;               // of scratch: unpacked, 256 weights of 16 rows
    uint32_t narrow_columns = 0;                    // up to so many it unpacks in registers, and uses no scratch
    uint64_t scratch_bytes(uint32_t n_in, uint32_t n_rows) const {
        return (uint64_t(n_in) + 255) / 256 * panel_bytes_per_256 * ((n_rows + tile_rows - 1) / tile_rows);
    }
};

// y = (x - m) / sqrt(sum((x - m)^2) / n + eps) * gain + bias over groups of n = `group` elements of a row; m is their
// mean, or 0 where is_layer is false.
struct NormArgs {
    const float* x = nullptr;     // [width]
    float* out = nullptr;         // [width]; may be x
    const float* gain = nullptr;  // [group], or [width] where per_group
    const float* bias = nullptr;  // likewise, or nullptr
    uint32_t width = 0, group = 0;
    float eps = 0;
    bool is_layer = false;
    bool per_group = false;
};

// Rotates the first n_dims of each head: elements (2i, 2i + 1), or (i, i + n_dims / 2) where halves, become
// (a c - b s, b c + a s) with c = cosines[i], s = sines[i]. The others are copied.
struct RopeArgs {
    const float* x = nullptr;  // [width]
    float* out = nullptr;      // [width]; may be x
    uint32_t width = 0, head = 0, n_dims = 0;
    bool halves = false;
    const float* cosines = nullptr;  // [n_dims / 2], of the row's position
    const float* sines = nullptr;
};

// act(x) * other. clamped_silu: with x = min(x, limit) and u = other held within +-limit:
// x / (1 + exp(-(alpha * x))) * (u + 1).
struct GateArgs {
    enum class Act : uint8_t { silu, gelu_tanh, clamped_silu } act = Act::silu;
    float alpha = 0, limit = 0;
    const float* x = nullptr;      // [n]
    const float* other = nullptr;  // [n]
    float* out = nullptr;          // [n]; may be x or other
    uint32_t n = 0;
};

// Keys and values lie in pages of 64 positions, one page per KV head for each (pages.h); pages form ranges of 256
// positions, which is how far attention sums without a merge (docs/numerics.md).
inline constexpr uint32_t page_keys = 64, range_keys = 256, range_pages = range_keys / page_keys;

// One position's key and value of one KV head, stored in a page's slot. Finite numbers too large for a type become its
// largest ones.
struct AppendArgs {
    quant::Type key_type = quant::Type::f16, value_type = quant::Type::f16;
    uint32_t head = 0;
    uint32_t slot = 0;             // position % page_keys
    const float* key = nullptr;    // [head]
    const float* value = nullptr;  // [head]
    uint8_t* key_page = nullptr;   // page_bytes(key_type, head, PageOf::keys), 64-byte aligned
    uint8_t* value_page = nullptr;
};

// A running softmax of some columns: the largest score, the sum of the weights exp(score - largest), and the values so
// weighted. Empty: maximum = -infinity, whatever the others hold.
struct Gathered {
    float* maximum = nullptr;  // [n_columns]
    float* sum = nullptr;      // [n_columns]
    float* values = nullptr;   // [n_columns][head]
};

// What some columns see in one range of one KV head. A column is one query row of one query head; columns that stand
// side by side share every load of a key and a value, whether they are heads of a group or rows of a prompt. The result
// of a column does not depend on the others.
struct AttendArgs {
    quant::Type key_type = quant::Type::f16, value_type = quant::Type::f16;
    uint32_t head = 0;
    uint32_t n_columns = 0;
    uint32_t first_position = 0;  // of the range, a multiple of range_keys
    // The range's pages. One that no column sees any of is not touched and may be nullptr. Keys that no column sees may
    // hold anything.
    const uint8_t* const* key_pages = nullptr;    // [range_pages]
    const uint8_t* const* value_pages = nullptr;  // [range_pages]
    // Pages that will be read soon after, to be fetched ahead (the next range's first), or nullptr.
    const uint8_t* next_keys = nullptr;
    const uint8_t* next_values = nullptr;
    // n_columns rows [head] as Table::write_activations(query_kind(key_type), ...) left them.
    const uint8_t* queries = nullptr;
    const uint32_t* begin = nullptr;  // [n_columns]: the absolute positions that a column sees, [begin, end); they may
    const uint32_t* end = nullptr;    // lie outside this range, and begin >= end sees nothing
    const float* factor = nullptr;    // [n_columns]: score = (q k) * factor
    float softcap = 0;                // score = softcap * tanh(score / softcap) where it is not 0
    Gathered out;                     // written whole: what this range gives
    uint8_t* scratch = nullptr;       // attend_scratch_bytes(value_type, head), 64-byte aligned
};

// into = into and next, which follows it: ranges are merged from left to right. An empty `into` becomes next.
struct MergeArgs {
    Gathered into, next;
    uint32_t n_columns = 0, head = 0;
};

// out = values / sum, after the sink, where there is one, has taken its part of the sum. A column that saw nothing
// gives +0.
struct FinishArgs {
    Gathered total;  // left as it is
    uint32_t n_columns = 0, head = 0;
    const float* sinks = nullptr;  // [n_columns]: a logit each, or nullptr
    float* const* out = nullptr;   // per column: where its [head] results go
};

// What one processor core can do at most, for the probe. Each loop runs n times through `..._operations`
// (multiplications and additions) and gives a number that depends on all of them.
struct Probe {
    uint64_t (*read)(const uint8_t* bytes, uint64_t n_bytes) = nullptr;  // XOR of the whole dwords
    uint64_t (*int8)(uint64_t n) = nullptr;
    uint64_t (*f32)(uint64_t n) = nullptr;
    uint64_t int8_operations = 0, f32_operations = 0;
    uint64_t (*bf16)(uint64_t n) = nullptr;  // nullptr: no products of bf16 numbers
    uint64_t bf16_operations = 0;
};

struct Table {
    Isa isa;
    uint32_t columns_at_once = 0;  // columns of activations that lie together: for one thread to write
    uint32_t wide_tiles = 0;  // beyond Matmul::narrow_columns so many tiles are taken together, a lone one more slowly
    uint64_t (*activation_bytes)(Activations kind, uint32_t n_in, uint32_t n_columns) = nullptr;
    void (*write_activations)(Activations kind, const float* x, uint32_t n_in, uint32_t n_columns, uint32_t column,
                              uint8_t* out) = nullptr;
    Matmul (*matmul)(quant::Type type) = nullptr;

    void (*norm)(const NormArgs& args) = nullptr;
    void (*rope)(const RopeArgs& args) = nullptr;
    void (*gate)(const GateArgs& args) = nullptr;
    // Elementwise over n numbers; out may be an input.
    void (*add)(const float* a, const float* b, float* out, uint32_t n) = nullptr;
    void (*scale)(const float* x, float factor, float* out, uint32_t n) = nullptr;
    void (*silu)(const float* x, float* out, uint32_t n) = nullptr;
    void (*gelu_tanh)(const float* x, float* out, uint32_t n) = nullptr;
    void (*softcap)(const float* x, float cap, float* out, uint32_t n) = nullptr;  // cap * tanh(x / cap)
    void (*exp)(const float* x, float* out, uint32_t n) = nullptr;
    // out [width] = the sum of results [n_used][width] times weights [n_used], in order. out overlaps nothing.
    void (*combine)(const float* results, const float* weights, uint32_t n_used, float* out, uint32_t width) = nullptr;

    void (*append)(const AppendArgs& args) = nullptr;
    void (*attend)(const AttendArgs& args) = nullptr;
    void (*merge)(const MergeArgs& args) = nullptr;
    void (*finish)(const FinishArgs& args) = nullptr;

    Probe probe;
};

// What a unit (isa/<name>.cpp) exports: a table, or changes to another unit's.
struct IsaUnit {
    Isa isa;
    Table table{};
    const IsaUnit* over = nullptr;
    void (*change)(Table& table) = nullptr;
};

// Those in this binary, best first; the last is the portable one.
std::span<const Table> tables();
const Table& portable();
// By its name, usable here or not; nullptr where this binary has none.
const Table* find_table(std::string_view isa);
// What this CPU lacks for it; empty: nothing.
std::string lacking(const Isa& isa, const base::CpuFeatures& cpu);

// An instruction set that people may name.
struct Known {
    std::string_view name;
    const Table* table = nullptr;
    std::string why_not;  // empty: it can be used here
    bool by_name_only = false;
};
std::vector<Known> known(const base::CpuFeatures& cpu);  // best first
// "auto" or empty: the fastest that is usable. Another name: that one, or an error that says why not.
Result<const Table*> choose(std::string_view name, const base::CpuFeatures& cpu);

}  // namespace wallaby::kernels
