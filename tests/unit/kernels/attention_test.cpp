// Attention over pages: against the reference in double, against its own definition by hand, and the same bits however
// the work is cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "backends/reference/kernels.h"
#include "base/arena.h"
#include "base/float16.h"
#include "kernels/pages.h"
#include "support/tables.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using kernels::PageOf;
using kernels::Table;
using quant::Type;
namespace reference = backends::reference;

const std::vector<Type> kv_types{Type::f32, Type::f16, Type::bf16, Type::q8_0, Type::q4_0};

struct alignas(64) Line {
    uint8_t bytes[64];
};
using Page = std::vector<Line>;
uint8_t* bytes_of(Page& page) { return reinterpret_cast<uint8_t*>(page.data()); }
const uint8_t* bytes_of(const Page& page) { return reinterpret_cast<const uint8_t*>(page.data()); }

// One KV head's keys and values. What is not stored yet is full of NaN and nonsense.
struct Cache {
    Type k, v;
    uint32_t head;
    std::vector<Page> keys, values;

    Cache(Type k_type, Type v_type, uint32_t width) : k(k_type), v(v_type), head(width) {}
    void append(const Table& table, const float* key, const float* value, uint32_t position) {
        while (keys.size() <= position / kernels::page_keys) {
            Line garbage;
            std::memset(&garbage, 0xff, sizeof(garbage));
            keys.emplace_back(kernels::page_bytes(k, head, PageOf::keys) / 64, garbage);
            values.emplace_back(kernels::page_bytes(v, head, PageOf::values) / 64, garbage);
        }
        const uint32_t page = position / kernels::page_keys;
        table.append({.key_type = k,
                      .value_type = v,
                      .head = head,
                      .slot = position % kernels::page_keys,
                      .key = key,
                      .value = value,
                      .key_page = bytes_of(keys[page]),
                      .value_page = bytes_of(values[page])});
    }
    std::vector<float> row(PageOf what, uint32_t position) const {
        std::vector<float> out(head);
        const uint32_t page = position / kernels::page_keys, slot = position % kernels::page_keys;
        kernels::read_row(what == PageOf::keys ? k : v, head, what,
                          bytes_of((what == PageOf::keys ? keys : values)[page]), slot, out.data());
        return out;
    }
};

Cache filled(const Table& table, Type k, Type v, uint32_t head, uint32_t n, uint64_t seed) {
    Cache cache(k, v, head);
    sampling::Random random(seed);
    for (uint32_t p = 0; p < n; p++) {
        const auto key = numbers(random, head, 2), value = numbers(random, head);
        cache.append(table, key.data(), value.data(), p);
    }
    return cache;
}

struct Spec {
    uint32_t group = 1;
    float scale = 1;
    float softcap = 0;
    uint32_t window = 0;
    std::vector<float> sinks = {};  // [group], or empty
    bool splits_ranges = false;     // every range first, from the last to the first, then all merges
};

// q: [row][group][head], for rows at `positions`, all at once. Returns the same shape.
std::vector<float> run(const Table& table, const Cache& cache, const Spec& spec, std::span<const uint32_t> positions,
                       std::span<const float> q) {
    const uint32_t head = cache.head, n = uint32_t(positions.size()) * spec.group;
    const auto kind = kernels::query_kind(cache.k);
    std::vector<Line> queries(table.activation_bytes(kind, head, n) / 64 + 1),
        scratch(kernels::attend_scratch_bytes(cache.v, head) / 64 + 1);
    std::vector<uint32_t> begin, end;
    std::vector<float> factor(n, spec.scale), sinks, out(size_t(n) * head, -77.0f);
    std::vector<float*> places;
    for (uint32_t c = 0; c < n; c++) {
        const uint32_t p = positions[c / spec.group];
        begin.push_back(spec.window != 0 && p >= spec.window ? p - spec.window + 1 : 0);
        end.push_back(p + 1);
        if (!spec.sinks.empty()) { sinks.push_back(spec.sinks[c % spec.group]); }
        places.push_back(out.data() + size_t(c) * head);
        table.write_activations(kind, q.data() + size_t(c) * head, head, n, c,
                                reinterpret_cast<uint8_t*>(queries.data()));
    }
    struct Room {
        std::vector<float> maximum, sum, values;
        Room(uint32_t columns, uint32_t width, float first_maximum)
            : maximum(columns, first_maximum),
              sum(columns, not_a_number),
              values(size_t(columns) * width, not_a_number) {}
        kernels::Gathered view() { return {maximum.data(), sum.data(), values.data()}; }
    };
    Room total(n, head, -infinity);
    std::map<uint32_t, Room> ranges;
    const auto attend = [&](uint32_t first, Room& room) {
        const uint8_t* keys[kernels::range_pages] = {};
        const uint8_t* values[kernels::range_pages] = {};
        for (uint32_t i = 0; i < kernels::range_pages; i++) {
            const uint32_t page = first / kernels::page_keys + i;
            if (page < cache.keys.size()) {
                keys[i] = bytes_of(cache.keys[page]);
                values[i] = bytes_of(cache.values[page]);
            }
        }
        table.attend({.key_type = cache.k,
                      .value_type = cache.v,
                      .head = head,
                      .n_columns = n,
                      .first_position = first,
                      .key_pages = keys,
                      .value_pages = values,
                      .queries = reinterpret_cast<const uint8_t*>(queries.data()),
                      .begin = begin.data(),
                      .end = end.data(),
                      .factor = factor.data(),
                      .softcap = spec.softcap,
                      .out = room.view(),
                      .scratch = reinterpret_cast<uint8_t*>(scratch.data())});
    };
    const uint32_t last = *std::max_element(positions.begin(), positions.end()) / kernels::range_keys;
    for (uint32_t r = last + 1; r-- > 0 && spec.splits_ranges;) {
        attend(r * kernels::range_keys, ranges.try_emplace(r, n, head, 5.0f).first->second);
    }
    for (uint32_t r = 0; r <= last; r++) {
        if (!spec.splits_ranges) {
            attend(r * kernels::range_keys, ranges.try_emplace(r, n, head, 5.0f).first->second);
        }
        table.merge({.into = total.view(), .next = ranges.at(r).view(), .n_columns = n, .head = head});
    }
    table.finish({.total = total.view(),
                  .n_columns = n,
                  .head = head,
                  .sinks = sinks.empty() ? nullptr : sinks.data(),
                  .out = places.data()});
    return out;
}

// The query as keys of a coded type meet it: int8 codes and a scale per 32.
std::vector<float> as_coded(std::span<const float> q) {
    std::vector<float> out(q.begin(), q.end());
    for (size_t i = 0; i < q.size(); i += 32) {
        float amax = 0;
        for (size_t j = i; j < i + 32; j++) { amax = std::max(amax, std::fabs(q[j])); }
        for (size_t j = i; j < i + 32; j++) {
            out[j] = amax == 0 ? 0 : float(std::nearbyint(double(q[j] * (127 / amax)))) * (amax / 127);
        }
    }
    return out;
}

// One row by the reference, over the numbers that are stored.
std::vector<float> exact_row(const Cache& cache, const Spec& spec, uint32_t position, std::vector<float> q) {
    if (kernels::query_kind(cache.k) == kernels::Activations::per_32) { q = as_coded(q); }
    const uint32_t head = cache.head;
    const uint32_t n_pages = position / kernels::page_keys + 1;
    std::vector<float> keys(size_t(n_pages) * kernels::page_keys * head), values(keys.size());
    std::vector<kv::PageId> ids;
    for (uint32_t p = 0; p <= position; p++) {
        std::ranges::copy(cache.row(PageOf::keys, p), keys.begin() + size_t(p) * head);
        std::ranges::copy(cache.row(PageOf::values, p), values.begin() + size_t(p) * head);
    }
    for (uint32_t i = 0; i < n_pages; i++) { ids.push_back(kv::PageId(i)); }
    reference::Cache stored{reinterpret_cast<uint8_t*>(keys.data()),
                            reinterpret_cast<uint8_t*>(values.data()),
                            &quant::format_of(Type::f32),
                            &quant::format_of(Type::f32),
                            1,
                            head};
    ops::Attend attend{
        .n_heads = spec.group, .head = head, .scale = spec.scale, .softcap = spec.softcap, .window = spec.window};
    std::vector<float> out(size_t(spec.group) * head);
    reference::AttendScratch scratch;
    reference::attend(attend, stored, 0, ids, position, spec.sinks.empty() ? nullptr : spec.sinks.data(), q.data(),
                      out.data(), scratch);
    return out;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
    double found = 0;
    for (size_t i = 0; i < a.size(); i++) {
        const double d = std::fabs(double(a[i]) - b[i]);
        if (!(d <= found)) { found = d; }
    }
    return found;
}

// Values lie within +-1. A score of at most about 10 is the sum of head products, so it is off by some 10 * 2^-24 *
// sqrt(head); a weight by as much, relatively; the result likewise.
constexpr double tolerance = 4e-6;

const std::vector<uint32_t> some_positions{0, 1, 63, 64, 255, 256, 257, 700, 1200};

TEST(KernelsAttention, IsTheReferencesForEveryPairOfTypes) {
    sampling::Random random(1);
    uint32_t turn = 0;
    for (const Type k : kv_types) {
        for (const Type v : kv_types) {
            for (const uint32_t head : {8u, 24u, 64u, 80u, 128u}) {
                if (!kernels::can_page(k, head) || !kernels::can_page(v, head)) { continue; }
                const uint32_t group = std::array{1u, 3u, 8u}[turn++ % 3];
                const Spec spec{.group = group, .scale = float(1 / std::sqrt(double(head)))};
                const auto q = numbers(random, size_t(group) * head, 3);
                for (const Table* table : usable_tables()) {
                    const Cache cache = filled(*table, k, v, head, 1201, turn);
                    for (const uint32_t p : some_positions) {
                        const auto got = run(*table, cache, spec, std::array{p}, q);
                        ASSERT_LE(largest_difference(got, exact_row(cache, spec, p, q)), tolerance)
                            << quant::format_of(k).name << "/" << quant::format_of(v).name << " head " << head
                            << " group " << group << " at " << p;
                    }
                }
            }
        }
    }
}

TEST(KernelsAttention, WindowsCapsAndSinks) {
    sampling::Random random(2);
    for (const Table* table : usable_tables()) {
        const Cache cache = filled(*table, Type::f16, Type::f16, 64, 1201, 5);
        for (const uint32_t group : {1u, 3u, 8u}) {
            const auto q = numbers(random, size_t(group) * 64, 3);
            const auto sinks = numbers(random, group, 4);
            for (const uint32_t window : {0u, 1u, 3u, 64u, 100u, 300u, 512u}) {
                for (const float cap : {0.0f, 2.0f}) {
                    for (const bool has_sinks : {false, true}) {
                        const Spec spec{.group = group,
                                        .scale = 0.125f,
                                        .softcap = cap,
                                        .window = window,
                                        .sinks = has_sinks ? sinks : std::vector<float>{}};
                        for (const uint32_t p : some_positions) {
                            const auto got = run(*table, cache, spec, std::array{p}, q);
                            ASSERT_LE(largest_difference(got, exact_row(cache, spec, p, q)), tolerance)
                                << "window " << window << " cap " << cap << " sinks " << has_sinks << " at " << p;
                        }
                    }
                }
            }
        }
    }
}

// docs/numerics.md word for word, for one column, with the C library's fma and the kernels' own exp.
std::vector<float> by_hand(const Table& table, const Cache& cache, uint32_t begin, uint32_t end, float factor,
                           float softcap, const float* sink, std::span<const float> q) {
    const uint32_t head = cache.head;
    const auto exp = [&](float x) {
        float y;
        table.exp(&x, &y, 1);
        return y;
    };
    const auto tree = [](std::array<float, 16> lanes) {
        for (size_t apart = 8; apart != 0; apart /= 2) {
            for (size_t i = 0; i < apart; i++) { lanes[i] += lanes[i + apart]; }
        }
        return lanes[0];
    };
    const auto product = [&](uint32_t position) {
        const auto key = cache.row(PageOf::keys, position);
        float y = 0;
        if (kernels::query_kind(cache.k) == kernels::Activations::f32) {
            for (uint32_t i = 0; i < head; i++) { y = std::fma(key[i], q[i], y); }
            return y;
        }
        // Codes and scales, taken back from what they decode to: the largest code of a block need not be known, since
        // a block's numbers are whole multiples of its scale.
        const uint8_t* page = bytes_of(cache.keys[position / kernels::page_keys]);
        const bool is_q8 = cache.k == Type::q8_0;
        const uint32_t block_bytes = is_q8 ? 34 : 18, slot = position % kernels::page_keys;
        for (uint32_t b = 0; b < head / 32; b++) {
            const uint8_t* tile = page + (size_t(slot / 16) * (head / 32) + b) * 16 * block_bytes;
            uint16_t d;
            std::memcpy(&d, tile + 2 * (slot % 16), 2);
            const float scale = base::f32_from_f16(d);
            float amax = 0;
            for (uint32_t i = 0; i < 32; i++) { amax = std::max(amax, std::fabs(q[32 * b + i])); }
            int dot = 0;
            for (uint32_t i = 0; i < 32; i++) {
                const uint32_t at = is_q8 ? i : i % 16;
                const uint8_t byte = tile[32 + 64 * (at / 4) + 4 * (slot % 16) + at % 4];
                const int code = is_q8 ? int8_t(byte) : int(i < 16 ? byte & 15 : byte >> 4) - 8;
                dot += code * int(std::nearbyint(q[32 * b + i] * (127 / amax)));
            }
            y = std::fma(float(dot) * scale, amax / 127, y);
        }
        return y;
    };
    float total_maximum = -infinity, total_sum = 0;
    std::vector<float> total(head);
    for (uint32_t range = begin / 256 * 256; range < end; range += 256) {
        float maximum = -infinity, sum = 0;
        std::vector<float> values(head);
        for (uint32_t page = range; page < range + 256; page += 64) {
            const uint32_t first = std::max(page, begin), stop = std::min(page + 64, end);
            if (first >= stop) { continue; }
            std::array<float, 64> s{}, w{};
            float top = maximum;
            for (uint32_t p = first; p < stop; p++) {
                s[p - page] = product(p) * factor;
                if (softcap != 0) {
                    const float x = s[p - page];
                    table.softcap(&x, softcap, &s[p - page], 1);
                }
                top = std::max(top, s[p - page]);
            }
            const float shrink = maximum == -infinity ? 0 : exp(maximum - top);
            maximum = top;
            for (uint32_t p = first; p < stop; p++) { w[p - page] = exp(s[p - page] - maximum); }
            std::array<float, 16> lanes;
            for (size_t i = 0; i < 16; i++) { lanes[i] = (w[i] + w[16 + i]) + (w[32 + i] + w[48 + i]); }
            sum = std::fma(sum, shrink, tree(lanes));
            for (float& y : values) { y *= shrink; }
            for (uint32_t p = first; p < stop; p++) {
                const auto value = cache.row(PageOf::values, p);
                for (uint32_t i = 0; i < head; i++) { values[i] = std::fma(w[p - page], value[i], values[i]); }
            }
        }
        if (total_maximum == -infinity) {
            total_maximum = maximum;
            total_sum = sum;
            total = values;
            continue;
        }
        const float top = std::max(total_maximum, maximum);
        const float a = exp(total_maximum - top), b = exp(maximum - top);
        total_maximum = top;
        total_sum = std::fma(sum, b, total_sum * a);
        for (uint32_t i = 0; i < head; i++) { total[i] = std::fma(values[i], b, total[i] * a); }
    }
    if (sink != nullptr) {
        const float top = std::max(total_maximum, *sink), shrink = exp(total_maximum - top);
        total_sum = std::fma(total_sum, shrink, exp(*sink - top));
        for (float& y : total) { y *= shrink; }
    }
    for (float& y : total) { y /= total_sum; }
    return total;
}

TEST(KernelsAttention, IsItsDefinitionToTheBit) {
    sampling::Random random(3);
    const Table& table = *usable_tables().back();
    for (const auto& [k, v, head] : std::vector<std::tuple<Type, Type, uint32_t>>{{Type::f16, Type::f16, 64},
                                                                                  {Type::f32, Type::bf16, 72},
                                                                                  {Type::bf16, Type::f32, 24},
                                                                                  {Type::q8_0, Type::q8_0, 96},
                                                                                  {Type::q4_0, Type::q4_0, 64}}) {
        const Cache cache = filled(table, k, v, head, 801, head);
        const auto q = numbers(random, head, 3);
        const float sink = 1.5f, factor = 0.3f;
        for (const float cap : {0.0f, 5.0f}) {
            for (const float* s : {(const float*)nullptr, &sink}) {
                for (const auto& [p, window] : std::vector<std::pair<uint32_t, uint32_t>>{
                         {0, 0}, {15, 0}, {63, 0}, {64, 0}, {300, 0}, {800, 0}, {800, 300}, {700, 5}, {513, 258}}) {
                    const Spec spec{.group = 1,
                                    .scale = factor,
                                    .softcap = cap,
                                    .window = window,
                                    .sinks = s == nullptr ? std::vector<float>{} : std::vector<float>{sink}};
                    const uint32_t begin = window != 0 && p >= window ? p - window + 1 : 0;
                    const auto expected = by_hand(table, cache, begin, p + 1, factor, cap, s, q);
                    const auto got = run(table, cache, spec, std::array{p}, q);
                    ASSERT_EQ(first_difference(got, expected), -1)
                        << quant::format_of(k).name << "/" << quant::format_of(v).name << " at " << p << " window "
                        << window << " cap " << cap;
                }
            }
        }
    }
}

// Rows of a prompt one at a time, some at once, all at once; ranges in turn or all of them before any merge.
TEST(KernelsAttention, TheSameBitsHoweverItIsCut) {
    sampling::Random random(4);
    for (const Table* table : usable_tables()) {
        const bool is_slow = table == &kernels::portable();
        for (const auto& [k, v, head] : std::vector<std::tuple<Type, Type, uint32_t>>{{Type::f16, Type::f16, 64},
                                                                                      {Type::f32, Type::q8_0, 32},
                                                                                      {Type::q8_0, Type::bf16, 64},
                                                                                      {Type::q4_0, Type::q4_0, 96},
                                                                                      {Type::bf16, Type::f32, 24}}) {
            const uint32_t n_rows = is_slow ? 40 : 160, first = is_slow ? 230 : 190;
            const Cache cache = filled(*table, k, v, head, first + n_rows, 9);
            std::vector<uint32_t> positions;
            for (uint32_t i = 0; i < n_rows; i++) { positions.push_back(first + i); }
            for (const uint32_t group : {1u, 3u, 8u}) {
                for (const uint32_t window : {0u, 2u, 70u}) {
                    const auto q = numbers(random, size_t(n_rows) * group * head, 3);
                    Spec spec{.group = group, .scale = 0.125f, .window = window, .sinks = numbers(random, group)};
                    const auto whole = run(*table, cache, spec, positions, q);
                    spec.splits_ranges = true;
                    ASSERT_EQ(first_difference(whole, run(*table, cache, spec, positions, q)), -1) << "ranges";
                    spec.splits_ranges = false;
                    for (const uint32_t step : {1u, 2u, 5u, 7u, 33u}) {
                        std::vector<float> pieces;
                        for (uint32_t i = 0; i < n_rows; i += step) {
                            const uint32_t n = std::min(step, n_rows - i);
                            const auto piece =
                                run(*table, cache, spec, std::span(positions).subspan(i, n),
                                    std::span(q).subspan(size_t(i) * group * head, size_t(n) * group * head));
                            pieces.insert(pieces.end(), piece.begin(), piece.end());
                        }
                        ASSERT_EQ(first_difference(whole, pieces), -1)
                            << quant::format_of(k).name << "/" << quant::format_of(v).name << " group " << group
                            << " window " << window << " step " << step;
                    }
                }
            }
        }
    }
}

// What a row does not see cannot reach it, though a neighbour in the same call sees it.
TEST(KernelsAttention, ALaterRowsNaNStaysThere) {
    sampling::Random random(5);
    for (const Table* table : usable_tables()) {
        for (const auto& [k, v] :
             {std::pair{Type::f16, Type::f16}, {Type::q8_0, Type::q8_0}, {Type::f32, Type::q4_0}}) {
            constexpr uint32_t head = 64, first = 60, n_rows = 20, bad = 70;
            Cache cache = filled(*table, k, v, head, first + n_rows, 11);
            std::vector<uint32_t> positions;
            for (uint32_t i = 0; i < n_rows; i++) { positions.push_back(first + i); }
            const auto q = numbers(random, size_t(n_rows) * head);
            const Spec spec{.scale = 0.125f};
            const auto before = run(*table, cache, spec, positions, q);
            for (const bool in_key : {true, false}) {
                Cache with_nan = cache;
                auto row = numbers(random, head);
                const auto nan_row = std::vector<float>(head, not_a_number);
                with_nan.append(*table, in_key ? nan_row.data() : row.data(), in_key ? row.data() : nan_row.data(),
                                bad);
                const auto after = run(*table, with_nan, spec, positions, q);
                for (uint32_t i = 0; i < n_rows; i++) {
                    const auto a = std::span(before).subspan(i * head, head),
                               b = std::span(after).subspan(i * head, head);
                    if (first + i < bad) {
                        ASSERT_EQ(first_difference(a, b), -1) << i;
                    } else {
                        for (const float y : b) { ASSERT_TRUE(std::isnan(y)) << i; }
                    }
                }
            }
        }
    }
}

TEST(KernelsAttention, EveryInstructionSetGivesTheSameBits) {
    SKIP_WHERE_ALL_IS_PORTABLE();
    sampling::Random random(6);
    const std::vector<const Table*> tables = usable_tables();
    for (const Type k : kv_types) {
        for (const Type v : kv_types) {
            constexpr uint32_t head = 64;
            for (const uint32_t group : {1u, 3u, 8u}) {
                const Cache cache = filled(*tables[0], k, v, head, 330, group),
                            again = filled(*tables[1], k, v, head, 330, group);
                for (size_t i = 0; i < cache.keys.size(); i++) {
                    ASSERT_EQ(std::memcmp(bytes_of(cache.keys[i]), bytes_of(again.keys[i]), cache.keys[i].size() * 64),
                              0);
                    ASSERT_EQ(
                        std::memcmp(bytes_of(cache.values[i]), bytes_of(again.values[i]), cache.values[i].size() * 64),
                        0);
                }
                std::vector<uint32_t> positions{0, 13, 63, 64, 200, 255, 256, 329};
                auto q = numbers(random, positions.size() * group * head, 20);
                q[3] = 1e30f;
                q[head + 1] = infinity;
                const Spec spec{.group = group,
                                .scale = 0.125f,
                                .softcap = v == Type::f16 ? 10.0f : 0.0f,
                                .sinks = numbers(random, group)};
                ASSERT_EQ(first_difference(run(*tables[0], cache, spec, positions, q),
                                           run(*tables[1], cache, spec, positions, q)),
                          -1);
            }
        }
    }
}

TEST(KernelsAttention, RowsComeBackAsTheirTypeRoundsThem) {
    sampling::Random random(7);
    constexpr uint32_t head = 64;
    for (const Table* table : usable_tables()) {
        for (const Type type : kv_types) {
            Cache cache(type, type, head);
            for (uint32_t p = 0; p < 70; p++) {
                auto x = numbers(random, head, p % 3 == 0 ? 1e-6f : 3);
                if (p % 3 == 1) {  // halves of a scale: a real division keeps them, to be rounded to even
                    const float d = base::f32_from_f16(base::f16_from_f32(between(random, 0.01f, 1)));
                    for (uint32_t i = 0; i < head; i++) { x[i] = i % 32 == 0 ? 127 * d : (float(i) + 0.5f) * d; }
                }
                if (p == 5) { x.assign(head, 0.0f); }
                if (p == 6) { x[7] = 1e9f, x[40] = -3.4e38f; }
                if (p == 7) { x.assign(head, -0.0f); }
                if (p == 8) { x[3] = 5, x[20] = -5, x[40] = -5, x[50] = 5; }  // the first farthest gives Q4_0 its sign
                cache.append(*table, x.data(), x.data(), p);
                std::vector<float> expected(head);
                for (uint32_t i = 0; i < head; i++) {
                    if (type == Type::f16) {
                        expected[i] = base::f32_from_f16(base::f16_from_f32(std::clamp(x[i], -65504.0f, 65504.0f)));
                    } else if (type == Type::bf16) {
                        expected[i] =
                            base::f32_from_bf16(base::bf16_from_f32(std::clamp(x[i], -0x1.fep127f, 0x1.fep127f)));
                    } else if (type == Type::f32) {
                        expected[i] = x[i];
                    } else if (type == Type::q8_0) {
                        float amax = 0;
                        for (uint32_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++) {
                            amax = std::max(amax, std::fabs(x[j]));
                        }
                        const float d = base::f32_from_f16(base::f16_from_f32(std::min(amax / 127, 65504.0f)));
                        expected[i] =
                            d == 0 ? 0 : d * float(int(std::nearbyint(std::clamp(x[i] / d, -127.0f, 127.0f))));
                    } else if (type == Type::q4_0) {  // the farthest becomes -8 exactly
                        float farthest = 0;
                        for (uint32_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++) {
                            if (std::fabs(x[j]) > std::fabs(farthest)) { farthest = x[j]; }
                        }
                        const float exact = farthest / -8;
                        const float inverse = exact != 0 ? 1 / exact : 0;
                        const float code = std::min(std::floor(x[i] * inverse + 8.5f), 15.0f);
                        // A scale beyond f16 saturates here.
                        const float d = base::f32_from_f16(base::f16_from_f32(std::clamp(exact, -65504.0f, 65504.0f)));
                        expected[i] = d * (code - 8);
                    }
                }
                for (const PageOf what : {PageOf::keys, PageOf::values}) {
                    ASSERT_EQ(first_difference(cache.row(what, p), expected), -1) << quant::format_of(type).name << p;
                }
            }
            // An infinity is no large number: it must be seen in the result.
            for (const float bad : {infinity, -infinity, not_a_number}) {
                auto x = numbers(random, head);
                x[3] = bad;
                cache.append(*table, x.data(), x.data(), 70);
                for (const PageOf what : {PageOf::keys, PageOf::values}) {
                    EXPECT_FALSE(std::isfinite(cache.row(what, 70)[3])) << quant::format_of(type).name;
                }
            }
        }
    }
}

TEST(KernelsAttention, AColumnThatSeesNothingGivesZero) {
    for (const Table* table : usable_tables()) {
        const Cache cache = filled(*table, Type::f16, Type::f16, 24, 3, 1);
        float maximum = -infinity, sum = not_a_number, values[24], out[24], q[64] = {1}, factor = 1;
        const uint8_t* keys[4] = {bytes_of(cache.keys[0])};
        const uint8_t* pages[4] = {bytes_of(cache.values[0])};
        const uint32_t none = 0;
        float* place = out;
        table->attend({.head = 24,
                       .n_columns = 1,
                       .key_pages = keys,
                       .value_pages = pages,
                       .queries = reinterpret_cast<uint8_t*>(q),
                       .begin = &none,
                       .end = &none,
                       .factor = &factor,
                       .out = {&maximum, &sum, values}});
        EXPECT_EQ(maximum, -infinity);
        table->finish({.total = {&maximum, &sum, values}, .n_columns = 1, .head = 24, .out = &place});
        for (const float y : out) { EXPECT_EQ(std::bit_cast<uint32_t>(y), 0u); }
    }
}

}  // namespace
