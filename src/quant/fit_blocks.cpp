#include "quant/fit_blocks.h"

namespace wallaby::quant {
namespace {

// As a block's f16 keeps them.
Lanes kept(Lanes x) {
    return of_each(x, [](float value) { return base::f32_from_f16(super_scale(value)); });
}

constexpr float infinity = std::numeric_limits<float>::infinity();

// The best f16 scale that is found; an infinity where none within f16's range is large enough.
template <size_t len, class Levels>
Lanes best(const ScaledLanes<len, Levels>& groups) {
    const Lanes farthest = groups.groups.farthest();
    Least least{infinity, infinity};
    for (const float level : Levels::outermost()) {
        Lanes s = farthest / level;
        for (int turn = 0; turn < 2; turn++) { s = groups.refit(s); }
        s = kept(s);
        least.offer(s, groups.error(s));
    }
    if constexpr (!Levels::has_zero) {
        const Lanes of_zeros = groups.error(0);
        return select((of_zeros < least.error) & (least.error < infinity), 0, least.chosen);
    }
    return least.chosen;
}

// The best f16 lines that are found; an infinite scale where none within f16's range is large enough.
template <size_t len, int top>
Lines best(const LineLanes<len, top, true>& groups) {
    const Lanes low = groups.groups->least(), range = groups.groups->most() - low;
    Lines found{infinity, 0};
    Lanes least = infinity;
    const auto offer = [&](Lines lines) {
        lines.s = kept(lines.s);
        lines.m = kept(groups.refit_minimum(lines));
        const Lanes error = groups.error(lines);
        const Mask is_better = error < least;
        found = {select(is_better, lines.s, found.s), select(is_better, lines.m, found.m)};
        least = min(error, least);
    };
    offer({0, -low});
    for (const Start& start : starts_of(top)) {
        offer(groups.refit(groups.refit(start.lines(low, range, top)).lines).lines);
    }
    // Nor are weights cut off so that their minimum or scale fits.
    constexpr float beyond_f16 = 65520;
    found.s = select((abs(low) < beyond_f16) & (range < beyond_f16 * float(top)), found.s, infinity);
    return found;
}

// d and m where a block was fitted, and what stands for them where it was not.
template <size_t len>
void set_scales(const FitKind* kinds, const Lines& lines, BlockFits<len>& fits) {
    for (size_t l = 0; l < n_lanes; l++) {
        const bool is_fitted = kinds[l] == FitKind::ordinary;
        fits[l].d = is_fitted ? base::f16_from_f32(lines.s[l]) : unfitted_scale(kinds[l]);
        fits[l].m = is_fitted ? base::f16_from_f32(-lines.m[l]) : 0;
    }
}

}  // namespace

template <size_t len, class Levels>
void fit_scaled(const float* x, const float* importance, size_t n_blocks, BlockFits<len>& fits) {
    const BlockLanes<len> blocks(x, importance, n_blocks);
    const ScaledLanes<len, Levels> groups{blocks.groups};
    const Lanes d = best(groups);
    set_scales<len>(blocks.kinds, {d, 0}, fits);
    for (size_t i = 0; i < len; i++) {
        const Lanes codes = groups.level(i, inverse(d));
        for (size_t l = 0; l < n_lanes; l++) { fits[l].codes[i] = int8_t(codes[l]); }
    }
}

template <size_t len, int top>
void fit_ranged(const float* x, const float* importance, size_t n_blocks, BlockFits<len>& fits) {
    const BlockLanes<len> blocks(x, importance, n_blocks);
    LineLanes<len, top, true> groups;
    groups.set(blocks.groups);
    const Lines lines = best(groups);
    set_scales<len>(blocks.kinds, lines, fits);
    for (size_t i = 0; i < len; i++) {
        const Lanes codes = groups.code(i, lines, inverse(lines.s));
        for (size_t l = 0; l < n_lanes; l++) { fits[l].codes[i] = int8_t(codes[l]); }
    }
}

template void fit_scaled<32, Steps<-8, 7>>(const float*, const float*, size_t, BlockFits<32>&);
template void fit_scaled<32, Steps<-16, 15>>(const float*, const float*, size_t, BlockFits<32>&);
template void fit_scaled<64, Steps<-1, 2>>(const float*, const float*, size_t, BlockFits<64>&);
template void fit_scaled<32, Iq4Levels>(const float*, const float*, size_t, BlockFits<32>&);
template void fit_ranged<32, 15>(const float*, const float*, size_t, BlockFits<32>&);
template void fit_ranged<32, 31>(const float*, const float*, size_t, BlockFits<32>&);

}  // namespace wallaby::quant
