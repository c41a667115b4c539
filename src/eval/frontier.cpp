#include "eval/frontier.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace wallaby::eval {

std::vector<size_t> frontier(std::span<const SizeAndLoss> models) {
    std::vector<size_t> order(models.size());
    std::iota(order.begin(), order.end(), 0);
    const auto key = [&](size_t i) { return std::tuple(models[i].size, models[i].loss, i); };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
    std::vector<size_t> out;
    for (const size_t i : order) {
        if (out.empty() || models[i].loss < models[out.back()].loss) { out.push_back(i); }
    }
    return out;
}

}  // namespace wallaby::eval
