#include "planner/roofline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "models/models.h"
#include "planner/limit.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::planner;
using namespace wallaby::testing;
using quant::Type;

const ops::Model& model() {
    static const TinyModel tiny{.type = Type::q8_0};
    static const ops::Model built = must(models::build(*tiny.open(), {}));
    return built;
}

TEST(PlannerRoofline, PointsLieOnTheRoofsAndAddUpToTheLimit) {
    const Rates rates{1e9, 4e10, 0, 1e10};
    const Work decode{0, 1, 10, 1, 256}, prompt{64, 0, 0, 1, 256};
    const Roofline r = roofline_of(model(), decode, prompt, Type::f16, Type::f16, rates);
    EXPECT_EQ(r.rates, rates);
    for (const auto& [points, work] : {std::pair(&r.decode, decode), std::pair(&r.prompt, prompt)}) {
        ASSERT_GE(points->size(), 3u);
        const RooflinePoint& all = points->front();
        EXPECT_EQ(all.name, "all");
        const Limit limit = limit_of(model(), work, Type::f16, Type::f16, rates);
        EXPECT_NEAR(all.seconds, limit.seconds(), 1e-12 * limit.seconds());
        EXPECT_DOUBLE_EQ(all.intensity, double(limit.operations) / double(limit.bytes));
        double seconds = 0;
        for (size_t i = 1; i < points->size(); i++) {
            const RooflinePoint& p = (*points)[i];
            seconds += p.seconds;
            if (i > 1) { EXPECT_LE(p.seconds, (*points)[i - 1].seconds); }
            // Under the slope, and under the roof of whatever it multiplies.
            const double roof = p.name.starts_with("matmul Q") ? rates.int8_ops_per_s : rates.f32_ops_per_s;
            EXPECT_LE(p.ops_per_s, 1.000001 * std::min(rates.read_bytes_per_s * p.intensity, roof)) << p.name;
        }
        EXPECT_LE(seconds, all.seconds * 1.000001);
        EXPECT_GT(seconds, 0.9 * all.seconds) << "what has no place in the plot takes little";
    }
    const auto of = [](const std::vector<RooflinePoint>& points, std::string_view name) {
        return std::ranges::find(points, name, &RooflinePoint::name)->intensity;
    };
    // 34 bytes of Q8_0 are 32 numbers, of two operations each; a prompt's matrices serve 64 rows, but for the output's.
    EXPECT_NEAR(of(r.decode, "matmul Q8_0"), 64 / 34.0, 1e-9);
    EXPECT_GT(of(r.prompt, "matmul Q8_0"), 20 * 64 / 34.0);
}

TEST(PlannerRoofline, WithoutWorkThereAreNoPoints) {
    const Roofline r = roofline_of(model(), {0, 0}, {0, 0}, Type::f16, Type::f16, Rates{1, 1, 0, 1});
    EXPECT_TRUE(r.decode.empty());
    EXPECT_TRUE(r.prompt.empty());
}

}  // namespace
