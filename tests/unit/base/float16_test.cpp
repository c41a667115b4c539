#include "base/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace {

using namespace wallaby;

struct Layout {
    int exponent_bits;
    int mantissa_bits;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);

    int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    uint32_t top_exponent() const { return (1u << exponent_bits) - 1; }
    uint32_t exponent_of(uint32_t code) const { return code >> mantissa_bits & top_exponent(); }
    bool is_special(uint32_t code) const { return exponent_of(code) == top_exponent(); }

    // What IEEE 754 says a finite code is worth; the top exponent as if it were an ordinary one, so that the code of
    // infinity gives the value from whose midpoint to the largest finite number overflow begins.
    double value(uint32_t code) const {
        const int exponent = int(exponent_of(code));
        const double mantissa = double(code & ((1u << mantissa_bits) - 1));
        const double size = exponent == 0
                                ? std::ldexp(mantissa, 1 - bias() - mantissa_bits)
                                : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias() - mantissa_bits);
        return (code & 0x8000u) != 0 ? -size : size;
    }

    // Nearest code by searching the ascending positive codes in double; ties to the even code.
    uint16_t nearest(float f) const {
        const double size = std::fabs(double(f));
        uint32_t low = 0;
        uint32_t high = top_exponent() << mantissa_bits;  // infinity
        const uint16_t sign = std::signbit(f) ? 0x8000 : 0;
        if (size >= value(high)) { return uint16_t(sign | high); }
        while (high - low > 1) {
            const uint32_t middle = (low + high) / 2;
            (value(middle) <= size ? low : high) = middle;
        }
        const double below = size - value(low);
        const double above = value(high) - size;
        const bool up = above < below || (above == below && low % 2 == 1);
        return uint16_t(sign | (up ? high : low));
    }
};

constexpr Layout layouts[] = {{5, 10, base::f32_from_f16, base::f16_from_f32},
                              {8, 7, base::f32_from_bf16, base::bf16_from_f32}};

TEST(BaseFloat16, AllCodesWidenToTheirValueAndComeBack) {
    for (const Layout& layout : layouts) {
        for (uint32_t code = 0; code < 65536; code++) {
            const float wide = layout.widen(uint16_t(code));
            const uint16_t back = layout.narrow(wide);
            const uint32_t mantissa = code & ((1u << layout.mantissa_bits) - 1);
            ASSERT_EQ(std::signbit(wide), code >= 0x8000u) << code;
            if (!layout.is_special(code)) {
                ASSERT_EQ(double(wide), layout.value(code)) << code;
                ASSERT_EQ(back, code);
            } else if (mantissa == 0) {
                ASSERT_TRUE(std::isinf(wide)) << code;
                ASSERT_EQ(back, code);
            } else {
                const uint32_t quiet = 1u << (layout.mantissa_bits - 1);
                ASSERT_TRUE(std::isnan(wide)) << code;
                ASSERT_EQ(back, code | quiet);
            }
        }
    }
}

void expect_nearest(const Layout& layout, float f) {
    ASSERT_EQ(layout.narrow(f), layout.nearest(f)) << f << ", bits 0x" << std::hex << std::bit_cast<uint32_t>(f);
}

TEST(BaseFloat16, RandomFloatsNarrowToTheNearest) {
    std::mt19937_64 random(21);
    for (const Layout& layout : layouts) {
        for (int i = 0; i < 300000; i++) {
            const float any = std::bit_cast<float>(uint32_t(random()));
            if (!std::isnan(any)) { expect_nearest(layout, any); }
            // The range of f16, denormals and overflow included, which few random bit patterns meet.
            expect_nearest(layout, std::ldexp(float(int32_t(random())), int(random() % 48) - 58));
        }
    }
}

// Midpoints between neighbouring codes, and the floats on either side of them: where the direction changes.
TEST(BaseFloat16, TiesGoToTheEvenCode) {
    for (const Layout& layout : layouts) {
        for (uint32_t code = 0; !layout.is_special(code); code++) {
            // Exact in binary32.
            const auto middle = float((layout.value(code) + layout.value(code + 1)) / 2);
            for (const float sign : {1.0f, -1.0f}) {
                expect_nearest(layout, sign * middle);
                expect_nearest(layout, sign * std::nextafter(middle, 0.0f));
                expect_nearest(layout, sign * std::nextafter(middle, std::numeric_limits<float>::infinity()));
            }
        }
    }
}

// The hardware's own conversion does the same, so vector kernels can agree to the bit.
TEST(BaseFloat16, NansOfF16WidenToQuietOnesWithTheirPayload) {
    for (uint32_t payload = 1; payload < 0x400u; payload++) {
        for (const uint32_t sign : {0u, 0x8000u}) {
            const float wide = base::f32_from_f16(uint16_t(sign | 0x7c00u | payload));
            EXPECT_EQ(std::bit_cast<uint32_t>(wide), sign << 16 | 0x7fc00000u | payload << 13);
        }
    }
}

TEST(BaseFloat16, NansStayNansWhateverTheirPayload) {
    for (const Layout& layout : layouts) {
        for (uint32_t payload = 1; payload < 0x800000u; payload += 4093) {
            for (const uint32_t sign : {0u, 0x80000000u}) {
                const uint16_t code = layout.narrow(std::bit_cast<float>(sign | 0x7f800000u | payload));
                EXPECT_TRUE(std::isnan(layout.widen(code))) << payload;
                EXPECT_EQ(code >> 15, int(sign >> 31));
            }
        }
    }
}

}  // namespace
