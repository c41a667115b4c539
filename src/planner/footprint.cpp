#include "planner/footprint.h"

namespace wallaby::planner {
namespace {

constexpr uint64_t base_bytes = uint64_t(9) << 20, token_bytes = 90;

}  // namespace

uint64_t process_bytes(const ops::Model& model) { return base_bytes + token_bytes * model.n_vocab; }

uint32_t largest(uint32_t most, const std::function<bool(uint32_t)>& fits) {
    uint32_t low = 0, high = most;  // fits(low), and nothing above high does
    while (low < high) {
        const uint32_t middle = high - (high - low) / 2;
        if (fits(middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

}  // namespace wallaby::planner
