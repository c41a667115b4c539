#include "backends/reference/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/math.h"

namespace wallaby::backends::reference {

void put_abreast(const float* rows, uint64_t stride, uint32_t n, float* out) {
    for (uint64_t i = 0; i < n; i++) {
        for (uint32_t row = 0; row < n_abreast; row++) { out[i * n_abreast + row] = rows[row * stride + i]; }
    }
}

void chains(const float* rows, const double* x, uint32_t n, double* sums) {
    double sum[n_abreast] = {};
    for (uint64_t i = 0; i < n; i++) {
        for (uint32_t row = 0; row < n_abreast; row++) { sum[row] += double(rows[i * n_abreast + row]) * x[i]; }
    }
    std::copy_n(sum, n_abreast, sums);
}

void decode_abreast(const Matrix& m, uint64_t first, uint32_t n_rows, float* out) {
    constexpr uint32_t piece = 256;  // a multiple of every block; eight pieces stay in the nearest cache
    float decoded[n_abreast * piece] = {};
    const quant::Format& format = *m.format;
    for (uint32_t i = 0; i < m.n_in; i += piece) {
        const uint32_t n = std::min(piece, m.n_in - i);
        for (uint32_t row = 0; row < n_rows; row++) {
            const uint8_t* blocks =
                m.bytes + (first + row) * m.row_bytes() + uint64_t(i) / format.block_len * format.block_bytes;
            format.decode(blocks, decoded + row * piece, n / format.block_len);
        }
        put_abreast(decoded, piece, n, out + uint64_t(i) * n_abreast);
    }
}

EightRanges::EightRanges(uint32_t k, uint32_t block_len) {
    const uint32_t block = k % 256 == 0 ? 256 : block_len;
    const uint64_t n_blocks = k / block;
    for (uint64_t r = 0; r <= 8; r++) { begin_[r] = uint32_t(r * n_blocks / 8) * block; }
}

void EightRanges::dot(const float* rows, const double* x, double* out) const {
    double sum[8][n_abreast];
    for (uint32_t r = 0; r < 8; r++) {
        chains(rows + uint64_t(begin_[r]) * n_abreast, x + begin_[r], begin_[r + 1] - begin_[r], sum[r]);
    }
    for (uint32_t i = 0; i < n_abreast; i++) {
        out[i] =
            ((sum[0][i] + sum[1][i]) + (sum[2][i] + sum[3][i])) + ((sum[4][i] + sum[5][i]) + (sum[6][i] + sum[7][i]));
    }
}

void norm(const ops::Norm& spec, const NormWeights& w, const float* in, float* out, uint32_t width) {
    for (uint32_t first = 0; first < width; first += spec.group) {
        const float* x = in + first;
        const float* gain = w.gain + (w.per_group ? first : 0);
        const float* bias = w.bias == nullptr ? nullptr : w.bias + (w.per_group ? first : 0);
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

namespace {

double gelu_tanh(double x) {
    constexpr double sqrt_2_over_pi = 0.79788456080286535588;
    return 0.5 * x * (1 + base::tanh(sqrt_2_over_pi * x * (1 + 0.044715 * x * x)));
}
double silu(double x) { return x / (1 + base::exp(-x)); }

// log(1 + exp(x)). What 1 + e rounds away is put back by e / (u - 1) (Kahan).
double softplus(double x) {
    if (x > 20) { return x; }
    const double e = base::exp(x);
    const double u = 1 + e;
    return u == 1 ? e : base::log(u) * e / (u - 1);
}

// The gates of SiLU are two steps around an exp, so that the exps of several are taken together.
double silu_exponent(const ops::Gate& spec, double x) {
    if (spec.act == ops::Gate::Act::silu) { return -x; }
    return -(spec.alpha * (x < spec.limit ? x : spec.limit));
}

// e: exp(silu_exponent(x)).
double silu_gated(const ops::Gate& spec, double x, double u, double e) {
    if (spec.act == ops::Gate::Act::silu) { return x / (1 + e) * u; }
    const double limit = spec.limit;
    const double low = x < limit ? x : limit;
    const double held = u < -limit ? -limit : u > limit ? limit : u;
    return low / (1 + e) * (held + 1);
}

}  // namespace

void pointwise(const ops::Pointwise& spec, const float* in, float* out, uint32_t width) {
    for (uint32_t i = 0; i < width; i++) {
        const double x = in[i];
        switch (spec.kind) {
            case ops::Pointwise::Kind::gelu_tanh: out[i] = float(gelu_tanh(x)); break;
            case ops::Pointwise::Kind::silu: out[i] = float(silu(x)); break;
            case ops::Pointwise::Kind::softcap: out[i] = float(spec.a * base::tanh(x / spec.a)); break;
            case ops::Pointwise::Kind::add: break;  // has two operands
        }
    }
}

void gate(const ops::Gate& spec, const float* activated, const float* other, float* out, uint32_t width) {
    if (spec.act == ops::Gate::Act::gelu_tanh) {
        for (uint32_t i = 0; i < width; i++) { out[i] = float(gelu_tanh(activated[i]) * other[i]); }
        return;
    }
    constexpr uint32_t piece = 64;
    for (uint32_t first = 0; first < width; first += piece) {
        const uint32_t n = std::min(piece, width - first);
        double e[piece];
        for (uint32_t i = 0; i < n; i++) { e[i] = silu_exponent(spec, activated[first + i]); }
        base::exp_each(e, e, n);
        for (uint32_t i = 0; i < n; i++) {
            out[first + i] = float(silu_gated(spec, activated[first + i], other[first + i], e[i]));
        }
    }
}

void convolve(const ops::Conv& spec, const float* kernel, const float* bias, const float* const* rows, float* out,
              uint32_t width) {
    for (uint32_t c = 0; c < width; c++) {
        double y = 0;
        for (uint32_t j = 0; j < spec.taps; j++) { y += double(kernel[uint64_t(c) * spec.taps + j]) * rows[j][c]; }
        out[c] = float(y + (bias == nullptr ? 0.0 : double(bias[c])));
    }
}

void scan(const ops::Scan& spec, const ScanHead& h, const float* in, float step, float* state, float* out) {
    const uint64_t group = h.index / (spec.n_heads / spec.n_groups);
    const float* x = in + uint64_t(h.index) * spec.head;
    const float* b = in + uint64_t(spec.n_heads) * spec.head + group * spec.d_state;
    const float* c = b + uint64_t(spec.n_groups) * spec.d_state;
    const double dt = softplus(double(step) + h.step_bias);
    const double decay = base::exp(dt * h.a);
    for (uint32_t i = 0; i < spec.head; i++) {
        float* s = state + uint64_t(i) * spec.d_state;
        const double input = dt * x[i];
        double y = 0;
        for (uint32_t n = 0; n < spec.d_state; n++) {
            s[n] = float(decay * s[n] + input * b[n]);
            y += double(s[n]) * c[n];
        }
        out[i] = float(y + double(h.d) * x[i]);
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
