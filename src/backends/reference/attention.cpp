// softmax(q k^T * scale) v over pages of 64 keys at absolute positions, in ranges of 256 (docs/numerics.md): a range
// starts empty and takes its pages in order; the finished ranges are merged from left to right. So the result does not
// depend on how the prompt was cut or on what else is in the batch.
#include <algorithm>
#include <limits>

#include "backends/reference/kernels.h"
#include "base/math.h"

namespace wallaby::backends::reference {
namespace {

constexpr uint32_t range_tokens = 256;
constexpr double empty_maximum = -std::numeric_limits<double>::infinity();

// A running softmax: the largest score, the sum of exp(score - largest), and the values weighted by it.
struct Running {
    double* data;  // maximum, sum, then `head` weighted values
    uint32_t head;

    double& maximum() const { return data[0]; }
    double& sum() const { return data[1]; }
    double* values() const { return data + 2; }
    void clear() const {
        std::fill_n(data, 2 + head, 0.0);
        maximum() = empty_maximum;
    }
    // Lifts the maximum to m; what was gathered so far shrinks by exp(old - m).
    void raise(double m) const {
        if (m <= maximum()) { return; }
        const double shrink = maximum() == empty_maximum ? 0.0 : base::exp(maximum() - m);
        sum() *= shrink;
        for (uint32_t i = 0; i < head; i++) { values()[i] *= shrink; }
        maximum() = m;
    }
    void merge(const Running& next) const {
        raise(next.maximum());
        const double share = next.maximum() == empty_maximum ? 0.0 : base::exp(next.maximum() - maximum());
        sum() += next.sum() * share;
        for (uint32_t i = 0; i < head; i++) { values()[i] += next.values()[i] * share; }
    }
};

double query_factor(const ops::Attend& spec, uint32_t position) {
    if (spec.temperature == 0) { return 1; }
    const uint32_t n_periods = position / spec.floor;
    return 1 + double(spec.temperature) * base::log(1.0 + n_periods);
}

double capped(const ops::Attend& spec, double score) {
    return spec.softcap == 0 ? score : spec.softcap * base::tanh(score / spec.softcap);
}

}  // namespace

void Cache::store(kv::PageId page, uint32_t slot, const float* k, const float* v) const {
    for (uint32_t h = 0; h < n_heads; h++) {
        const uint64_t at = row(page, h, slot);
        k_format->encode(k + uint64_t(h) * head, keys + at * row_bytes(*k_format, head), head / k_format->block_len,
                         nullptr);
        v_format->encode(v + uint64_t(h) * head, values + at * row_bytes(*v_format, head), head / v_format->block_len,
                         nullptr);
    }
}

void AttendScratch::resize(uint32_t n_group, uint32_t head) {
    rows.resize(uint64_t(kv::page_tokens) * head);
    keys.resize(uint64_t(n_abreast) * head);
    state.resize(uint64_t(n_group) * (2 * (2 + uint64_t(head)) + kv::page_tokens + head));
}

void attend(const ops::Attend& spec, const Cache& cache, uint32_t kv_head, std::span<const kv::PageId> pages,
            uint32_t position, const float* sinks, const float* q, float* out, AttendScratch& scratch) {
    const uint32_t head = cache.head;
    const uint32_t n_group = spec.n_heads / cache.n_heads;
    scratch.resize(n_group, head);
    double* scores = scratch.state.data() + uint64_t(n_group) * 2 * (2 + head);
    double* queries = scores + uint64_t(n_group) * kv::page_tokens;
    std::copy_n(q, uint64_t(n_group) * head, queries);
    const auto whole = [&](uint32_t g) { return Running{scratch.state.data() + uint64_t(g) * 2 * (2 + head), head}; };
    const auto range = [&](uint32_t g) { return Running{whole(g).data + 2 + head, head}; };
    const double factor = query_factor(spec, position) * spec.scale;

    for (uint32_t g = 0; g < n_group; g++) {
        whole(g).clear();
        range(g).clear();
    }
    const uint32_t oldest = spec.window != 0 && position >= spec.window ? position - spec.window + 1 : 0;
    for (uint32_t page_first = oldest / kv::page_tokens * kv::page_tokens; page_first <= position;
         page_first += kv::page_tokens) {
        if (page_first % range_tokens == 0) {
            for (uint32_t g = 0; g < n_group; g++) { range(g).clear(); }
        }
        const kv::PageId page = pages[page_first / kv::page_tokens];
        // The keys of the page that are seen; the others weigh exactly 0.
        const uint32_t first = std::max(page_first, oldest);
        const uint32_t n_keys = std::min(page_first + kv::page_tokens, position + 1) - first;
        const uint64_t at = cache.row(page, kv_head, first - page_first);
        float* rows = scratch.rows.data();

        cache.k_format->decode(cache.keys + at * Cache::row_bytes(*cache.k_format, head), rows,
                               uint64_t(n_keys) * head / cache.k_format->block_len);
        for (uint32_t key = 0; key < n_keys; key += n_abreast) {
            put_abreast(rows + uint64_t(key) * head, head, head, scratch.keys.data());
            for (uint32_t g = 0; g < n_group; g++) {
                chains(scratch.keys.data(), queries + uint64_t(g) * head, head, scores + g * kv::page_tokens + key);
            }
        }
        for (uint32_t g = 0; g < n_group; g++) {
            double top = empty_maximum;
            for (double& score : std::span(scores + g * kv::page_tokens, n_keys)) {
                score = capped(spec, score * factor);
                top = std::max(top, score);
            }
            range(g).raise(top);
        }
        cache.v_format->decode(cache.values + at * Cache::row_bytes(*cache.v_format, head), rows,
                               uint64_t(n_keys) * head / cache.v_format->block_len);
        for (uint32_t g = 0; g < n_group; g++) {
            const Running r = range(g);
            double* weights = scores + g * kv::page_tokens;
            for (uint32_t key = 0; key < n_keys; key++) { weights[key] -= r.maximum(); }
            base::exp_each(weights, weights, n_keys);
            for (uint32_t key = 0; key < n_keys; key++) {
                r.sum() += weights[key];
                for (uint32_t i = 0; i < head; i++) { r.values()[i] += weights[key] * rows[uint64_t(key) * head + i]; }
            }
        }
        const uint32_t page_end = page_first + kv::page_tokens;
        const bool range_ends = page_end % range_tokens == 0 || page_end > position;
        if (range_ends) {
            for (uint32_t g = 0; g < n_group; g++) { whole(g).merge(range(g)); }
        }
    }
    for (uint32_t g = 0; g < n_group; g++) {
        const Running r = whole(g);
        if (sinks != nullptr) {
            r.raise(sinks[g]);
            r.sum() += base::exp(sinks[g] - r.maximum());
        }
        for (uint32_t i = 0; i < head; i++) { out[uint64_t(g) * head + i] = float(r.values()[i] / r.sum()); }
    }
}

}  // namespace wallaby::backends::reference
