#include "planner/footprint.h"

#include <gtest/gtest.h>

#include "convert/synthetic.h"
#include "models/models.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::planner;
using namespace wallaby::testing;
using quant::Type;

TEST(PlannerFootprint, LargestIsFoundWhereverItIs) {
    for (const uint32_t most : {1u, 2u, 7u, 1000u}) {
        for (uint32_t limit = 0; limit <= std::min(most, 9u); limit++) {
            EXPECT_EQ(largest(most, [&](uint32_t n) { return n <= limit; }), limit);
        }
        EXPECT_EQ(largest(most, [](uint32_t) { return true; }), most);
    }
}

TEST(PlannerFootprint, SettingsThatFitDoAndNoLongerContextWould) {
    threads::Pool pool(1);
    const auto backend = must(backends::make_cpu(pool, "portable"));
    const auto source = must(convert::open_synthetic("tiny-moe", "Q8_0", 1));
    const ops::Model model = must(models::build(*source, {}));
    const backends::Settings wanted{.n_ctx = 8192, .n_batch = 16};
    const auto bytes_of = [&](backends::Settings s) { return must(backend->plan(model, s)).total(); };
    const auto with = [&](uint32_t n_ctx, Type type) {
        backends::Settings s = wanted;
        s.n_ctx = n_ctx;
        s.k_type = s.v_type = type;
        return s;
    };
    const uint64_t all = bytes_of(wanted);
    const auto enough = settings_that_fit(*backend, model, wanted, all);
    ASSERT_EQ(enough.size(), 1u);
    EXPECT_EQ(flags_of(enough, wanted), "-c 8192");

    for (const uint64_t n_bytes : {all - 1, bytes_of(with(8192, Type::q8_0)), bytes_of(with(4096, Type::q8_0)),
                                   bytes_of(with(1000, Type::f16)), bytes_of(with(256, Type::q4_0))}) {
        const auto found = settings_that_fit(*backend, model, wanted, n_bytes);
        ASSERT_FALSE(found.empty()) << n_bytes;
        uint32_t last = 0;
        for (const backends::Settings& s : found) {
            EXPECT_LE(bytes_of(s), n_bytes);
            EXPECT_GE(s.n_ctx, 256u);
            EXPECT_GT(s.n_ctx, last) << "smaller types of keys and values are named for a longer context alone";
            last = s.n_ctx;
            if (s.n_ctx == wanted.n_ctx) { continue; }
            backends::Settings longer = s;
            longer.n_ctx++;
            EXPECT_GT(bytes_of(longer), n_bytes);
        }
    }
    const auto half = settings_that_fit(*backend, model, wanted, bytes_of(with(8192, Type::q8_0)));
    EXPECT_EQ(half.back().n_ctx, 8192u);
    EXPECT_EQ(half.back().k_type, Type::q8_0);
    EXPECT_EQ(half.back().v_type, Type::q8_0);
    EXPECT_TRUE(flags_of(half, wanted).ends_with(" or -c 8192 --ctk q8_0 --ctv q8_0")) << flags_of(half, wanted);
    EXPECT_TRUE(settings_that_fit(*backend, model, wanted, bytes_of(with(128, Type::q4_0))).empty());
    EXPECT_EQ(flags_of({}, wanted), "");
}

}  // namespace
