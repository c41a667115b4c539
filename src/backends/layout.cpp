#include "backends/layout.h"

#include <algorithm>

namespace wallaby::backends {

Layout lay_out(const ops::Program& program) {
    Layout layout;
    layout.offset.assign(program.values.size(), 0);
    std::vector<size_t> last_use(program.values.size(), 0);
    for (size_t i = 0; i < program.ops.size(); i++) {
        for (const ops::ValueId v : program.ops[i].in) {
            if (v != ops::none) { last_use[v] = i; }
        }
        for (const ops::ValueId v : program.ops[i].out) {
            if (v != ops::none) { last_use[v] = std::max(last_use[v], i); }
        }
    }
    struct Piece {
        uint64_t begin, end;
        size_t last_use;
    };
    std::vector<Piece> live;  // by begin
    for (size_t i = 0; i < program.ops.size(); i++) {
        std::erase_if(live, [&](const Piece& p) { return p.last_use < i; });
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

}  // namespace wallaby::backends
