// Attention over the pages of one range (docs/numerics.md, Attention). Columns go in groups as a matmul's do; for each
// page a group takes three steps: scores = keys times queries (a lane is a key), weights = exp(score - maximum), and
// values += weights times values (a lane is a dimension). Scores and weights of a group lie as [width][64] floats,
// which is how a matmul takes its inputs, so the second product is the first one again with another tile.
//
// A hidden key takes no part: its weight is +0 in the sum, and the chain over the values leaves it out.
#pragma once
#include "kernels/text/elementary.h"
#include "kernels/text/matmul.h"

namespace wallaby::kernels {
namespace {

// How many tiles a group of n columns takes at once. The narrowest wait for memory, which is fastest when a page is
// read from its start to its end: measured at one column, 88 % of the bandwidth against 66 % with four tiles.
constexpr int tiles_at_once(int n) {
    if (n <= 3) { return 1; }
    return 4 * n <= sums_at_once ? 4 : (2 * n <= sums_at_once ? 2 : 1);
}
// While one page is used, the next to be read is fetched.
constexpr bool fetches_ahead(int n) { return n <= 8; }

// --- Scores.

struct ScoreArgs {
    const uint8_t* page;
    uint32_t head;
    const uint8_t* queries;         // of the group
    uint32_t first_tile, end_tile;  // of 16 keys
    float* scores;                  // [width][64]
    const uint8_t* ahead;           // or nullptr
};

// sums[t][c] += weight * x[c][k] for k in [begin, end), ascending; weight(t, k) gives tile t's sixteen lanes. Narrow
// groups wait for memory: for every n_bytes that they use, they fetch as many from `ahead` on.
template <int n_bytes, int T, int n, class Weight>
WALLABY_KERNEL void add_tiles(Weight weight, const uint8_t* ahead, const float* x, uint32_t begin, uint32_t end,
                              F32 (&sums)[T][n]) {
    for (uint32_t k = begin; k < end; k++) {
        if constexpr (fetches_ahead(n)) {
            WALLABY_UNROLL
            for (int i = 0; i < n_bytes; i += 64) { prefetch_later(ahead + uint64_t(k) * n_bytes + i); }
        }
        F32 w[T];
        WALLABY_UNROLL
        for (int t = 0; t < T; t++) { w[t] = weight(t, k); }
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) {
            const F32 shared = splat(x[64 * c + k]);
            WALLABY_UNROLL
            for (int t = 0; t < T; t++) { sums[t][c] = fma(w[t], shared, sums[t][c]); }
        }
    }
}

template <class Plain, int T, int n>
WALLABY_KERNEL void score_tiles(const ScoreArgs& args, uint32_t tile) {
    const uint64_t tile_bytes = uint64_t(args.head) * Plain::step_bytes, offset = tile * tile_bytes;
    const uint8_t* keys = args.page + offset;
    const uint8_t* ahead = args.ahead == nullptr ? keys : args.ahead + offset;
    F32 sums[T][n] = {};
    for (uint32_t k = 0; k < args.head; k += 64) {
        const auto* x = reinterpret_cast<const float*>(args.queries + uint64_t(k) * (4 * n));
        const auto weight = [=](int t, uint32_t i) WALLABY_INLINE {
            return Plain::at(keys + uint64_t(t) * tile_bytes + (uint64_t(k) + i) * Plain::step_bytes);
        };
        constexpr int n_bytes = T * Plain::step_bytes;
        add_tiles<n_bytes>(weight, ahead + uint64_t(k) * n_bytes, x, 0, args.head - k < 64 ? args.head - k : 64, sums);
    }
    WALLABY_UNROLL
    for (int t = 0; t < T; t++) {
        WALLABY_UNROLL
        for (int c = 0; c < n; c++) { store(args.scores + 64 * c + 16 * (tile + uint32_t(t)), sums[t][c]); }
    }
}

template <class Plain, int n>
struct PlainScores {
    static void run(const ScoreArgs& args) {
        constexpr int T = tiles_at_once(n);
        uint32_t tile = args.first_tile;
        for (; tile + T <= args.end_tile; tile += T) { score_tiles<Plain, T, n>(args, tile); }
        if constexpr (T > 1) {
            for (; tile < args.end_tile; tile++) { score_tiles<Plain, 1, n>(args, tile); }
        }
    }
};

// A format whose blocks are read without fetching what lies behind them: a page ends soon.
template <class Format>
struct Alone : Format {
    static constexpr bool is_fetched_ahead = false;
};

template <class Format, int n>
struct CodedScores {
    static void run(const ScoreArgs& args) {
        const uint64_t tile_bytes = uint64_t(args.head / 32) * Format::block_bytes;
        for (uint32_t tile = args.first_tile; tile < args.end_tile; tile++) {
            if (fetches_ahead(n) && args.ahead != nullptr) {
                const uint8_t* ahead = args.ahead + tile * tile_bytes;
                for (uint64_t i = 0; i < tile_bytes; i += 64) { prefetch_later(ahead + i); }
            }
            F32 y[n];
            Flat<Alone<Format>, n>::range(args.page + tile * tile_bytes, args.queries, 0, args.head, y);
            WALLABY_UNROLL
            for (int c = 0; c < n; c++) { store(args.scores + 64 * c + 16 * tile, y[c]); }
        }
    }
};

// --- Weights.

// --- Values.

struct ValueArgs {
    const uint8_t* page;
    const float* scales;  // of coded values: [head / 32][64]
    uint32_t head;
    const float* weights;  // [width][64]
    uint32_t begin, end;   // keys
    float* out;            // [n_columns][head]
    uint32_t n_columns;    // that count, of the group's width
    const uint8_t* ahead;  // or nullptr
};

template <class Plain>
struct PlainValues {
    static constexpr int step_bytes = Plain::step_bytes;  // of 16 dimensions of a key
    static constexpr int tiles(int n) { return tiles_at_once(n); }
    WALLABY_KERNEL static uint64_t offset(uint32_t tile, uint32_t key) {
        return (uint64_t(tile) * page_keys + key) * Plain::step_bytes;
    }
    WALLABY_KERNEL static F32 at(const uint8_t* page, const float*, uint32_t tile, uint32_t key) {
        return Plain::at(page + offset(tile, key));
    }
};
// Two tiles share a block of 32 dimensions. A scale, 11 bits, times a code, 8 bits, is exact.
template <class Code>
struct CodedValues {
    static constexpr int step_bytes = Code::code_bytes / 2;
    // Decoding takes longer than reading, so chains side by side come first.
    static constexpr int tiles(int n) { return n <= 3 ? 4 : tiles_at_once(n); }
    static constexpr uint32_t block_bytes = page_keys * (2 + Code::code_bytes);
    WALLABY_KERNEL static uint64_t offset(uint32_t tile, uint32_t key) {
        return uint64_t(tile / 2) * block_bytes + 2 * page_keys + uint64_t(key) * Code::code_bytes;
    }
    WALLABY_KERNEL static F32 at(const uint8_t* page, const float* scales, uint32_t tile, uint32_t key) {
        return to_f32(Code::codes(page + offset(tile, key), tile % 2)) * splat(scales[tile / 2 * page_keys + key]);
    }
};
struct CodeQ8_0 {
    static constexpr uint32_t code_bytes = 32;
    WALLABY_KERNEL static I32 codes(const uint8_t* p, uint32_t half) {
        return load_i8(reinterpret_cast<const int8_t*>(p) + 16 * half);
    }
};
struct CodeQ4_0 {
    static constexpr uint32_t code_bytes = 16;
    WALLABY_KERNEL static I32 codes(const uint8_t* p, uint32_t half) {
        return (shift_right(load_i8(reinterpret_cast<const int8_t*>(p)), 4 * int(half)) & 15) - 8;
    }
};

template <class Values, int T, int n>
WALLABY_KERNEL void gather_tiles(const ValueArgs& args, uint32_t tile) {
    const uint8_t* page = args.page;
    const float* scales = args.scales;
    const uint64_t done = uint64_t(tile) * (page_keys * Values::step_bytes);
    const uint8_t* ahead = (args.ahead == nullptr ? page : args.ahead) + done;
    F32 sums[T][n] = {};
    const auto lanes = [&](int t) WALLABY_INLINE { return args.head - 16 * (tile + uint32_t(t)); };
    const auto place = [&](int t, int c)
                           WALLABY_INLINE { return args.out + uint64_t(c) * args.head + 16 * (tile + uint32_t(t)); };
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) {
        if (uint32_t(c) >= args.n_columns) { continue; }
        WALLABY_UNROLL
        for (int t = 0; t < T; t++) { sums[t][c] = load_first(place(t, c), lanes(t)); }
    }
    const auto weight = [=](int t, uint32_t key)
                            WALLABY_INLINE { return Values::at(page, scales, tile + uint32_t(t), key); };
    add_tiles<T * Values::step_bytes>(weight, ahead, args.weights, args.begin, args.end, sums);
    WALLABY_UNROLL
    for (int c = 0; c < n; c++) {
        if (uint32_t(c) >= args.n_columns) { continue; }
        WALLABY_UNROLL
        for (int t = 0; t < T; t++) { store_first(place(t, c), sums[t][c], lanes(t)); }
    }
}

template <class Values, int n>
struct GatherValues {
    static void run(const ValueArgs& args) {
        constexpr int T = Values::tiles(n);
        const uint32_t n_tiles = (args.head + 15) / 16;
        uint32_t tile = 0;
        for (; tile + T <= n_tiles; tile += T) { gather_tiles<Values, T, n>(args, tile); }
        if constexpr (T > 1) {
            for (; tile < n_tiles; tile++) { gather_tiles<Values, 1, n>(args, tile); }
        }
    }
};

template <class Code>
void decode_scales(const uint8_t* page, uint32_t head, float* out) {
    for (uint32_t block = 0; block < head / 32; block++, page += CodedValues<Code>::block_bytes) {
        for (uint32_t key = 0; key < page_keys; key += n_lanes) {
            store(out + block * page_keys + key, load_f16(reinterpret_cast<const uint16_t*>(page) + key));
        }
    }
}
// A whole page as PlainValues<PlainF32> reads it.
template <class Code>
void decode_values(const uint8_t* page, uint32_t head, float* out) {
    for (uint32_t tile = 0; tile < head / 16; tile++) {
        float scales[page_keys];
        decode_scales<Code>(page + uint64_t(tile / 2) * CodedValues<Code>::block_bytes, 32, scales);
        for (uint32_t key = 0; key < page_keys; key++, out += n_lanes) {
            const uint8_t* at = page + CodedValues<Code>::offset(tile, key);
            store(out, to_f32(Code::codes(at, tile % 2)) * splat(scales[key]));
        }
    }
}

// --- Which text serves a type and a width.

using Score = void (*)(const ScoreArgs& args);
using Gather = void (*)(const ValueArgs& args);

template <class Run, template <class, int> class Text, class Type>
Run of_width(uint32_t width) {
    return for_width(width, [](auto n) -> Run { return Text<Type, n>::run; });
}

inline Score score_of(quant::Type type, uint32_t width) {
    switch (type) {
        case quant::Type::f32: return of_width<Score, PlainScores, PlainF32>(width);
        case quant::Type::bf16: return of_width<Score, PlainScores, PlainBf16>(width);
        case quant::Type::q8_0: return of_width<Score, CodedScores, Q8_0>(width);
        case quant::Type::q4_0: return of_width<Score, CodedScores, Q4_0>(width);
        default: return of_width<Score, PlainScores, PlainF16>(width);
    }
}
inline Gather gather_of(quant::Type type, uint32_t width) {
    switch (type) {
        case quant::Type::f32: return of_width<Gather, GatherValues, PlainValues<PlainF32>>(width);
        case quant::Type::bf16: return of_width<Gather, GatherValues, PlainValues<PlainBf16>>(width);
        case quant::Type::q8_0: return of_width<Gather, GatherValues, CodedValues<CodeQ8_0>>(width);
        case quant::Type::q4_0: return of_width<Gather, GatherValues, CodedValues<CodeQ4_0>>(width);
        default: return of_width<Gather, GatherValues, PlainValues<PlainF16>>(width);
    }
}

// --- A range.

// What a column sees of one page, in keys of the page.
struct Seen {
    uint32_t begin, end;
    WALLABY_KERNEL bool nothing() const { return begin >= end; }
};
WALLABY_KERNEL Seen seen(const AttendArgs& args, uint32_t column, uint32_t page_first) {
    const auto within = [page_first](uint32_t position) WALLABY_INLINE {
        return position <= page_first ? 0 : (position - page_first < page_keys ? position - page_first : page_keys);
    };
    return {within(args.begin[column]), within(args.end[column])};
}

// One page as its kernels read it. Many columns decode coded values once, a few as they go.
struct OpenPage {
    const uint8_t* keys;
    const uint8_t* values;
    const uint8_t* next_keys;
    const uint8_t* next_values;
    uint32_t first_position;
};

// A group's scores of a page become weights: exp(score - maximum) of what a column sees, 0 of the rest. args.out's
// maxima and sums take them in; shrink [n]: exp(maximum before - maximum after), by which the values gathered so far
// shrink. Column after column without a branch, and what is one number of a column for all of them at once: each step
// of one takes long, and waits for none of another.
WALLABY_KERNEL void weigh_scores(const AttendArgs& args, const Seen* columns, uint32_t first, uint32_t n, float* scores,
                                 float* shrink) {
    alignas(64) float tops[n_lanes], sums[n_lanes] = {};
    const F32 hidden = splat(-__builtin_inff());
    for (uint32_t c = 0; c < n; c++) {
        float* const own = scores + page_keys * c;
        const auto begin = int32_t(columns[c].begin), end = int32_t(columns[c].end);
        F32 s[4];
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) { s[i] = load(own + 16 * i) * splat(args.factor[first + c]); }
        if (args.softcap != 0) {
            for (F32& x : s) { x = softcap(x, splat(args.softcap)); }
        }
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            const I32 key = lane_numbers() + splat(int32_t(16 * i));
            const I32 counts = (key >= splat(begin)) & (key < splat(end));
            s[i] = select(counts, s[i], hidden);
            store(own + 16 * i, s[i]);
        }
        tops[c] = largest(max(max(s[0], s[1]), max(s[2], s[3])));
    }
    const F32 before = load_first(args.out.maximum + first, n);
    const F32 after = max(load_first(tops, n), before);
    store(tops, after);
    store_first(shrink, exp_of_negative(before - after), n);  // 0 while the range is empty, 1 where nothing grew
    for (uint32_t c = 0; c < n; c++) {
        if (columns[c].nothing()) {
            shrink[c] = 1;
            continue;
        }
        float* const own = scores + page_keys * c;
        F32 s[4];
        WALLABY_UNROLL
        for (int i = 0; i < 4; i++) {
            s[i] = exp_of_negative(load(own + 16 * i) - splat(tops[c]));
            store(own + 16 * i, s[i]);
        }
        sums[c] = sum((s[0] + s[1]) + (s[2] + s[3]));
    }
    const F32 sum_before = load_first(args.out.sum + first, n);
    store_first(args.out.maximum + first, after, n);
    store_first(args.out.sum + first, fma(sum_before, load_first(shrink, n), load_first(sums, n)), n);
}

WALLABY_KERNEL void scale_values(float* values, uint32_t head, float factor) {
    for (uint32_t i = 0; i < head; i += n_lanes) {
        store_first(values + i, load_first(values + i, head - i) * splat(factor), head - i);
    }
}

// The columns [first, first + n) of one group.
inline void attend_group(const AttendArgs& args, const OpenPage& page, quant::Type value_type, uint32_t first,
                         uint32_t n) {
    Seen columns[columns_at_once];
    Seen any = {page_keys, 0}, all = {0, page_keys};
    for (uint32_t c = 0; c < n; c++) {
        columns[c] = seen(args, first + c, page.first_position);
        if (columns[c].nothing()) {
            all.end = 0;
            continue;
        }
        any = {columns[c].begin < any.begin ? columns[c].begin : any.begin,
               columns[c].end > any.end ? columns[c].end : any.end};
        all = {columns[c].begin > all.begin ? columns[c].begin : all.begin,
               columns[c].end < all.end ? columns[c].end : all.end};
    }
    if (any.nothing()) { return; }

    alignas(64) float weights[columns_at_once * page_keys];
    const uint32_t width = group_width(n), head = args.head;
    const uint8_t* queries = args.queries + first * column_bytes(matmul(args.key_type).activations, head);
    const Score score = score_of(args.key_type, width);
    score({page.keys, head, queries, any.begin / 16, (any.end + 15) / 16, weights, page.next_keys});
    float* out = args.out.values + uint64_t(first) * head;
    float shrink[columns_at_once];
    weigh_scores(args, columns, first, n, weights, shrink);
    for (uint32_t c = 0; c < n; c++) {
        if (shrink[c] != 1) { scale_values(out + uint64_t(c) * head, head, shrink[c]); }
    }

    ValueArgs values = {page.values,     reinterpret_cast<const float*>(args.scratch), head, weights, 0, 0, out, n,
                        page.next_values};
    // A column's own keys before and behind those that all see: its chain is one, in three pieces.
    const auto own = [&](uint32_t c, uint32_t begin, uint32_t end) WALLABY_INLINE {
        if (begin >= end) { return; }
        ValueArgs one = values;
        one.weights += page_keys * c;
        one.out += uint64_t(c) * head;
        one.begin = begin;
        one.end = end;
        one.n_columns = 1;
        gather_of(value_type, 1)(one);
    };
    if (all.nothing()) {
        for (uint32_t c = 0; c < n; c++) { own(c, columns[c].begin, columns[c].end); }
        return;
    }
    for (uint32_t c = 0; c < n; c++) { own(c, columns[c].begin, all.begin); }
    values.begin = all.begin;
    values.end = all.end;
    gather_of(value_type, width)(values);
    for (uint32_t c = 0; c < n; c++) { own(c, all.end, columns[c].end); }
}

// Whether any column sees a key of the page.
inline bool is_seen(const AttendArgs& args, uint32_t page_first) {
    for (uint32_t c = 0; c < args.n_columns; c++) {
        if (!seen(args, c, page_first).nothing()) { return true; }
    }
    return false;
}

inline void attend(const AttendArgs& args) {
    for (uint32_t c = 0; c < args.n_columns; c++) {
        args.out.maximum[c] = -__builtin_inff();
        args.out.sum[c] = 0;
    }
    std::memset(args.out.values, 0, uint64_t(args.n_columns) * args.head * sizeof(float));
    const bool decodes_once = args.n_columns > uint32_t(columns_at_once);
    auto* scratch = reinterpret_cast<float*>(args.scratch);
    for (uint32_t i = 0; i < range_pages; i++) {
        const uint32_t page_first = args.first_position + i * page_keys;
        if (!is_seen(args, page_first)) { continue; }
        OpenPage page = {args.key_pages[i], args.value_pages[i], args.next_keys, args.next_values, page_first};
        if (i + 1 < range_pages && is_seen(args, page_first + page_keys)) {
            page.next_keys = args.key_pages[i + 1];
            page.next_values = args.value_pages[i + 1];
        }
        quant::Type value_type = args.value_type;
        if (value_type == quant::Type::q8_0 || value_type == quant::Type::q4_0) {
            const bool is_q8_0 = value_type == quant::Type::q8_0;
            if (decodes_once) {
                (is_q8_0 ? decode_values<CodeQ8_0> : decode_values<CodeQ4_0>)(page.values, args.head, scratch);
                page.values = args.scratch;
                value_type = quant::Type::f32;
            } else {
                (is_q8_0 ? decode_scales<CodeQ8_0> : decode_scales<CodeQ4_0>)(page.values, args.head, scratch);
            }
        }
        for (uint32_t first = 0; first < args.n_columns; first += columns_at_once) {
            const uint32_t rest = args.n_columns - first;
            attend_group(args, page, value_type, first, rest < uint32_t(columns_at_once) ? rest : columns_at_once);
        }
    }
}

// --- Ranges together.

WALLABY_KERNEL float share(float own_maximum, float top) { return lane(exp_of_negative(splat(own_maximum - top)), 0); }

inline void merge(const MergeArgs& args) {
    const uint32_t head = args.head;
    for (uint32_t c = 0; c < args.n_columns; c++) {
        float& maximum = args.into.maximum[c];
        const float next = args.next.maximum[c];
        float* values = args.into.values + uint64_t(c) * head;
        const float* added = args.next.values + uint64_t(c) * head;
        if (next == -__builtin_inff()) { continue; }
        if (maximum == -__builtin_inff()) {
            maximum = next;
            args.into.sum[c] = args.next.sum[c];
            std::memcpy(values, added, head * sizeof(float));
            continue;
        }
        const float top = next > maximum ? next : maximum;
        const F32 a = splat(share(maximum, top)), b = splat(share(next, top));
        maximum = top;
        args.into.sum[c] = lane(fma(splat(args.next.sum[c]), b, splat(args.into.sum[c]) * a), 0);
        for (uint32_t i = 0; i < head; i += n_lanes) {
            const F32 y = fma(load_first(added + i, head - i), b, load_first(values + i, head - i) * a);
            store_first(values + i, y, head - i);
        }
    }
}

inline void finish(const FinishArgs& args) {
    const uint32_t head = args.head;
    for (uint32_t c = 0; c < args.n_columns; c++) {
        const float maximum = args.total.maximum[c];
        const float* values = args.total.values + uint64_t(c) * head;
        if (maximum == -__builtin_inff()) {
            std::memset(args.out[c], 0, head * sizeof(float));
            continue;
        }
        F32 sum = splat(args.total.sum[c]), shrink = splat(1.0f);
        if (args.sinks != nullptr) {
            const float sink = args.sinks[c], top = sink > maximum ? sink : maximum;
            shrink = splat(share(maximum, top));
            sum = fma(sum, shrink, splat(share(sink, top)));
        }
        for (uint32_t i = 0; i < head; i += n_lanes) {
            store_first(args.out[c] + i, load_first(values + i, head - i) * shrink / sum, head - i);
        }
    }
}

}  // namespace
}  // namespace wallaby::kernels
