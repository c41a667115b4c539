#include "backends/layout.h"

#include <algorithm>
#include <numeric>

namespace wallaby::backends {

Layout lay_out(const ops::Program& program, std::span<const uint32_t> step) {
    Layout layout;
    layout.offset.assign(program.values.size(), 0);
    std::vector<uint32_t> last_use(program.values.size(), 0);
    for (size_t i = 0; i < program.ops.size(); i++) {
        for (const auto& values : {program.ops[i].in, program.ops[i].out}) {
            for (const ops::ValueId v : values) {
                if (v != ops::none) { last_use[v] = std::max(last_use[v], step[i]); }
            }
        }
    }
    std::vector<uint32_t> order(program.ops.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return step[a] < step[b]; });
    struct Piece {
        uint64_t begin, end;
        uint32_t last_use;
    };
    std::vector<Piece> live;  // by begin
    for (const uint32_t i : order) {
        std::erase_if(live, [&](const Piece& p) { return p.last_use < step[i]; });
        for (const ops::ValueId v : program.ops[i].out) {
            if (v == ops::none || v == program.logits) { continue; }
            const uint64_t width = program.values[v].width;
            uint64_t begin = 0;
            auto at = live.begin();
            for (; at != live.end() && at->begin < begin + width; ++at) { begin = at->end; }
            live.insert(at, {begin, begin + width, last_use[v]});
            layout.offset[v] = begin;
            layout.width = std::max(layout.width, begin + width);
        }
    }
    return layout;
}

Layout lay_out(const ops::Program& program) {
    std::vector<uint32_t> step(program.ops.size());
    std::iota(step.begin(), step.end(), 0);
    return lay_out(program, step);
}

}  // namespace wallaby::backends
