#include "planner/roofline.h"

#include <algorithm>

#include "planner/limit.h"

namespace wallaby::planner {
namespace {

std::vector<RooflinePoint> points_of(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type,
                                     const Rates& rates) {
    const std::vector<KindLimit> kinds = limits_by_kind(model, work, k_type, v_type, rates);
    double seconds = 0;
    uint64_t bytes = 0, operations = 0;
    for (const KindLimit& kind : kinds) {
        seconds += kind.limit.seconds();
        bytes += kind.limit.bytes;
        operations += kind.limit.operations;
    }
    std::vector<RooflinePoint> points;
    const auto add = [&](std::string name, uint64_t n_bytes, uint64_t n_operations, double least) {
        if (n_bytes == 0 || n_operations == 0 || least <= 0) { return; }
        points.push_back(
            {std::move(name), double(n_operations) / double(n_bytes), double(n_operations) / least, least});
    };
    add("all", bytes, operations, seconds);
    for (const KindLimit& kind : kinds) {
        add(kind.name, kind.limit.bytes, kind.limit.operations, kind.limit.seconds());
    }
    if (points.size() > 1) {
        std::ranges::stable_sort(points.begin() + 1, points.end(), std::greater(), &RooflinePoint::seconds);
    }
    return points;
}

}  // namespace

Roofline roofline_of(const ops::Model& model, const Work& decode, const Work& prompt, quant::Type k_type,
                     quant::Type v_type, const Rates& rates) {
    return {rates, points_of(model, decode, k_type, v_type, rates), points_of(model, prompt, k_type, v_type, rates)};
}

}  // namespace wallaby::planner
