#include "convert/imatrix_statistics.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/math.h"

namespace wallaby::convert {
namespace {

std::vector<double> means_of_read(const InputSums& t) {
    std::vector<double> out;
    for (uint64_t i = 0; i < t.squares.size(); i++) {
        const uint64_t count = t.counts[i / t.n_in()];
        if (count != 0) { out.push_back(t.squares[i] / double(count)); }
    }
    return out;
}

// "blk.3.x.weight" of "blk.4.x.weight"; empty in the first layer and outside of layers.
std::string name_in_layer_before(std::string_view name) {
    constexpr std::string_view prefix = "blk.";
    if (!name.starts_with(prefix)) { return ""; }
    uint32_t layer = 0;
    const auto [end, problem] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), layer);
    if (problem != std::errc() || layer == 0) { return ""; }
    return fmt::format("{}{}{}", prefix, layer - 1, std::string_view(end, size_t(name.data() + name.size() - end)));
}

std::optional<double> cosine(const InputSums& a, const InputSums* b) {
    if (b == nullptr || a.squares.size() != b->squares.size()) { return std::nullopt; }
    const std::vector<float> x = importance_of(a), y = importance_of(*b);
    double dot = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < x.size(); i++) {
        dot += double(x[i]) * y[i];
        xx += double(x[i]) * x[i];
        yy += double(y[i]) * y[i];
    }
    return xx > 0 && yy > 0 ? std::optional(dot / std::sqrt(xx * yy)) : std::nullopt;
}

ImportanceStatistics statistics_of(const InputSums& tensor, std::span<const double> means) {
    ImportanceStatistics s;
    s.name = tensor.name;
    s.n = means.size();
    s.min = std::ranges::min(means);
    s.max = std::ranges::max(means);
    for (const double v : means) { s.sum += v; }
    const auto n = double(means.size());
    s.mean = s.sum / n;
    double squares = 0, bits = 0, n_far = 0;
    for (const double v : means) {
        squares += (v - s.mean) * (v - s.mean);
        if (v > 0) { bits -= v / s.sum * base::log(v / s.sum); }
    }
    if (n > 1) {
        s.deviation = std::sqrt(squares / (n - 1));
        s.entropy = bits / base::log(n);
    }
    for (const double v : means) { n_far += std::abs(v - s.mean) > s.deviation ? 1 : 0; }
    s.far = n_far / n;
    return s;
}

}  // namespace

std::vector<ImportanceStatistics> statistics_of(const Imatrix& imatrix) {
    std::vector<ImportanceStatistics> out;
    for (const InputSums& tensor : imatrix.tensors) {
        const std::vector<double> means = means_of_read(tensor);
        if (means.empty()) { continue; }
        out.push_back(statistics_of(tensor, means));
        out.back().cosine = cosine(tensor, imatrix.find(name_in_layer_before(tensor.name)));
    }
    return out;
}

}  // namespace wallaby::convert
