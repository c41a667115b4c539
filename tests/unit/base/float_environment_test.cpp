#include "base/float_environment.h"

#include <gtest/gtest.h>

#include <limits>

#include "threads/pool.h"

namespace {

#if defined(__x86_64__)
// A denormal result, computed where the compiler cannot.
float smallest_half() {
    volatile float x = std::numeric_limits<float>::min();
    return x * 0.5f;
}

TEST(BaseFloatEnvironment, KeepsDenormalsInsideAndRestoresOutside) {
    const uint32_t before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
    EXPECT_EQ(smallest_half(), 0);
    {
        const wallaby::base::FloatEnvironment standard;
        EXPECT_GT(smallest_half(), 0);
    }
    EXPECT_EQ(smallest_half(), 0);
    wallaby::threads::Pool pool(2);
    EXPECT_TRUE(pool.run(10, {}, [](uint64_t, unsigned) { EXPECT_GT(smallest_half(), 0); }).ok());
    EXPECT_EQ(smallest_half(), 0);
    _mm_setcsr(before);
}
#endif

}  // namespace
