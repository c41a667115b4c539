#include "backends/reference/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/math.h"

namespace wallaby::backends::reference {

EightRanges::EightRanges(uint32_t k, uint32_t block_len) {
    const uint32_t block = k % 256 == 0 ? 256 : block_len;
    const uint64_t n_blocks = k / block;
    for (uint64_t r = 0; r <= 8; r++) { begin_[r] = uint32_t(r * n_blocks / 8) * block; }
    for (uint32_t r = 0; r < 8; r++) { n_steps_ = std::max(n_steps_, begin_[r + 1] - begin_[r]); }
}

void EightRanges::lay_out(const float* in, double* out) const {
    for (uint32_t r = 0; r < 8; r++) {
        const uint32_t n = begin_[r + 1] - begin_[r];
        const float* from = in + begin_[r];
        for (uint32_t i = 0; i < n; i++) { out[i * 8 + r] = from[i]; }
        for (uint32_t i = n; i < n_steps_; i++) { out[i * 8 + r] = 0; }
    }
}

double EightRanges::dot(const double* a, const double* b, uint32_t size) {
    double sum[8] = {};
    for (uint32_t i = 0; i < size; i += 8) {
        for (uint32_t r = 0; r < 8; r++) { sum[r] += a[i + r] * b[i + r]; }
    }
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void norm(const ops::Norm& spec, const float* gain, const float* bias, const float* in, float* out, uint32_t width) {
    for (uint32_t first = 0; first < width; first += spec.group) {
        const float* x = in + first;
        double mean = 0;
        if (spec.kind == ops::Norm::Kind::layer) {
            for (uint32_t i = 0; i < spec.group; i++) { mean += x[i]; }
            mean /= spec.group;
        }
        double square = 0;
        for (uint32_t i = 0; i < spec.group; i++) { square += (x[i] - mean) * (x[i] - mean); }
        const double scale = 1 / std::sqrt(square / spec.group + double(spec.eps));
        for (uint32_t i = 0; i < spec.group; i++) {
            out[first + i] = float((x[i] - mean) * scale * gain[i] + (bias == nullptr ? 0.0 : double(bias[i])));
        }
    }
}

void rope(const ops::Rope& spec, const ops::RopeTable& table, uint32_t position, const float* in, float* out,
          uint32_t width) {
    const uint32_t n_pairs = spec.n_dims / 2;
    const bool pairs = spec.kind == ops::Rope::Kind::pairs;
    std::copy_n(in, width, out);
    for (uint32_t i = 0; i < n_pairs; i++) {
        const double angle = position * table.frequency[i];
        const double c = base::cos(angle) * table.magnitude;
        const double s = base::sin(angle) * table.magnitude;
        const uint32_t first = pairs ? 2 * i : i;
        const uint32_t second = pairs ? 2 * i + 1 : i + n_pairs;
        for (uint32_t head = 0; head < width; head += spec.head) {
            const double a = in[head + first], b = in[head + second];
            out[head + first] = float(a * c - b * s);
            out[head + second] = float(a * s + b * c);
        }
    }
}

void gelu_tanh(const float* in, float* out, uint32_t width) {
    constexpr double sqrt_2_over_pi = 0.79788456080286535588;
    for (uint32_t i = 0; i < width; i++) {
        const double x = in[i];
        out[i] = float(0.5 * x * (1 + base::tanh(sqrt_2_over_pi * x * (1 + 0.044715 * x * x))));
    }
}

void gate(const float* activated, const float* other, float* out, uint32_t width) {
    for (uint32_t i = 0; i < width; i++) {
        const double x = activated[i];
        out[i] = float(x / (1 + base::exp(-x)) * other[i]);
    }
}

void route(const ops::Route& spec, const float* logits, float* ids, float* weights) {
    // NaN compares as smaller than everything, so that the order stays total; it surfaces in the logits' check.
    const auto before = [&](int32_t a, int32_t b) {
        if (logits[a] != logits[b] && !(logits[a] != logits[a] && logits[b] != logits[b])) {
            if (logits[a] != logits[a]) { return false; }
            if (logits[b] != logits[b]) { return true; }
            return logits[a] > logits[b];
        }
        return a < b;
    };
    std::vector<int32_t> order(spec.n_expert);
    for (uint32_t i = 0; i < spec.n_expert; i++) { order[i] = int32_t(i); }
    std::partial_sort(order.begin(), order.begin() + spec.n_used, order.end(), before);
    const double top = logits[order[0]];
    double sum = 0;
    for (uint32_t i = 0; i < spec.n_expert; i++) { sum += base::exp(logits[i] - top); }
    double chosen = 0;
    for (uint32_t i = 0; i < spec.n_used; i++) { chosen += base::exp(logits[order[i]] - top) / sum; }
    // The smallest normal binary16: so small a share would make the division meaningless.
    const double divisor = spec.renormalise ? std::max(chosen, 0x1p-14) : 1;
    for (uint32_t i = 0; i < spec.n_used; i++) {
        ids[i] = std::bit_cast<float>(order[i]);
        weights[i] = float(base::exp(logits[order[i]] - top) / sum / divisor * spec.scale);
    }
}

void combine(uint32_t n_used, const float* results, const float* weights, float* out, uint32_t width) {
    for (uint32_t i = 0; i < width; i++) {
        double sum = 0;
        for (uint32_t j = 0; j < n_used; j++) { sum += double(results[uint64_t(j) * width + i]) * weights[j]; }
        out[i] = float(sum);
    }
}

}  // namespace wallaby::backends::reference
