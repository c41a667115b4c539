// Four-bit codes that index sixteen uneven levels (codebooks.h) instead of counting equal steps.
// Codes lie as in Q4_0: of 32 weights, byte j holds weight j in its low nibble and weight j + 16 in its high one.
#include "quant/block.h"
#include "quant/codebooks.h"
#include "quant/codecs.h"
#include "quant/fit_scales.h"

namespace wallaby::quant {

namespace {

void decode_32(const uint8_t* pairs, float scale, float* out) {
    for (size_t j = 0; j < 16; j++) {
        out[j] = scale * float(iq4_levels[pairs[j] & 15]);
        out[j + 16] = scale * float(iq4_levels[pairs[j] >> 4]);
    }
}

// Weights that share a scale, which is chosen as the K-quants choose theirs (fit.h).
struct Levels {
    static constexpr size_t len = 32;
    const float* x;
    const float* weight;

    // The code whose level is nearest to x / s.
    static int code(float x, float inverse_s) {
        const float wanted = x * inverse_s;
        int code = 0;
        for (size_t j = 0; j + 1 < iq4_levels.size(); j++) { code += wanted > middle(j) ? 1 : 0; }
        return code;
    }
    // The level itself: without the look-up, a loop over weights becomes vector instructions.
    static float level(float x, float inverse_s) {
        const float wanted = x * inverse_s;
        float level = iq4_levels[0];
        for (size_t j = 0; j + 1 < iq4_levels.size(); j++) {
            level += wanted > middle(j) ? float(iq4_levels[j + 1] - iq4_levels[j]) : 0.0f;
        }
        return level;
    }
    static constexpr float middle(size_t j) { return float(iq4_levels[j] + iq4_levels[j + 1]) / 2; }

    struct Outcome {
        float error;
        CodeSums sums;
    };
    Outcome outcome(float s) const {
        float off_squared[len], xl[len], ll[len];
        const float inverse_s = inverse(s);
        for (size_t i = 0; i < len; i++) {
            const float l = level(x[i], inverse_s);
            const float off = x[i] - s * l;
            off_squared[i] = weight[i] * (off * off);
            xl[i] = weight[i] * l * x[i];
            ll[i] = weight[i] * l * l;
        }
        return {sum<len>(off_squared), {sum<len>(xl), sum<len>(ll)}};
    }
    float error(float s) const { return outcome(s).error; }
    CodeSums sums(float s) const { return outcome(s).sums; }

    // The best scale that is found, as `kept` rounds it; infinite where none is within its range.
    template <class Kept>
    float best(Kept kept) const {
        float farthest = 0;
        for (size_t i = 0; i < len; i++) {
            if (std::fabs(x[i]) > std::fabs(farthest)) { farthest = x[i]; }
        }
        float found = 0;
        float least = error(0);  // no level is 0: leaving small weights out can be the best
        bool is_in_range = false;
        for (const float outermost : {-132.0f, -127.0f, -122.0f, -116.0f, -110.0f, 100.0f, 107.0f, 113.0f, 118.0f}) {
            float s = farthest / outermost;
            for (int turn = 0; turn < 2; turn++) {
                const CodeSums at = sums(s);
                s = at.xq * inverse(at.qq);
            }
            s = kept(s);
            if (std::isinf(s)) { continue; }
            is_in_range = true;
            const float now = error(s);
            if (now < least) {
                least = now;
                found = s;
            }
        }
        return is_in_range ? found : std::numeric_limits<float>::infinity();
    }
    float best() const {
        return best([](float s) { return s; });
    }

    void put(float s, uint8_t* pairs) const {
        const float inverse_s = inverse(s);
        for (size_t j = 0; j < 16; j++) { pairs[j] = uint8_t(code(x[j], inverse_s) | code(x[j + 16], inverse_s) << 4); }
    }
};

//  0        2                 18
//  | d f16  | pairs: 16 x u8  |
//  w = d * levels[code]
struct IQ4_NL {
    static constexpr size_t len = 32;
    uint16_t d;
    uint8_t pairs[16];

    void decode(float* out) const { decode_32(pairs, base::f32_from_f16(d), out); }

    static IQ4_NL encode(const float* in, const float* importance) {
        IQ4_NL block = {};
        const FitKind kind = fit_kind(in, len);
        block.d = unfitted_scale(kind);
        if (kind != FitKind::ordinary) { return block; }
        float weight[len];
        set_error_weights(weight, importance, len, len);
        const Levels levels{in, weight};
        block.d = super_scale(levels.best([](float s) { return base::f32_from_f16(super_scale(s)); }));
        levels.put(base::f32_from_f16(block.d), block.pairs);
        return block;
    }
};
static_assert(sizeof(IQ4_NL) == 18);

//  0        2            4                    8
//  | d f16  | high: u16  | low: 4 x u8        | pairs: 128 x u8 |  136 bytes
//  scale g, of weights 32g..32g+31, has 6 bits: the low four in nibble g of `low`, the high two at bit 2g of `high`
//  w = (d * (scale - 32)) * levels[code]
struct IQ4_XS {
    static constexpr size_t len = 256;
    uint16_t d;
    uint16_t high;
    uint8_t low[4];
    uint8_t pairs[128];

    int scale_of(size_t group) const {
        return (low[group / 2] >> (4 * (group % 2)) & 15) | (high >> (2 * group) & 3) << 4;
    }

    void decode(float* out) const {
        const float super_scale = base::f32_from_f16(d);
        for (size_t group = 0; group < 8; group++) {
            decode_32(pairs + 16 * group, super_scale * float(scale_of(group) - 32), out + 32 * group);
        }
    }

    static IQ4_XS encode(const float* in, const float* importance) {
        IQ4_XS block = {};
        const FitKind kind = fit_kind(in, len);
        block.d = unfitted_scale(kind);
        if (kind != FitKind::ordinary) { return block; }
        const FitBlock weights(in, importance, Levels::len);
        const ScaleSearch<Levels, 32> search(weights);
        const auto state = search.run();
        if (state.error == std::numeric_limits<float>::infinity()) {
            block.d = unfitted_scale(FitKind::too_large);
            return block;
        }
        block.d = state.d;
        for (size_t g = 0; g < 8; g++) {
            const int scale = state.scales[g] + 32;
            block.low[g / 2] |= uint8_t((scale & 15) << (4 * (g % 2)));
            block.high |= uint16_t((scale >> 4) << (2 * g));
            search.group(g).put(state.scale(g), block.pairs + 16 * g);
        }
        return block;
    }
};
static_assert(sizeof(IQ4_XS) == 136);

}  // namespace

void decode_iq4_nl(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ4_NL>(blocks, out, n_blocks); }
void decode_iq4_xs(const uint8_t* blocks, float* out, size_t n_blocks) { decode_blocks<IQ4_XS>(blocks, out, n_blocks); }

void encode_iq4_nl(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ4_NL>(in, blocks, n_blocks, importance);
}
void encode_iq4_xs(const float* in, uint8_t* blocks, size_t n_blocks, const float* importance) {
    encode_blocks<IQ4_XS>(in, blocks, n_blocks, importance);
}

}  // namespace wallaby::quant
