#include "backends/adapter.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace wallaby::backends {
namespace {

// The matrices that a program multiplies by.
std::set<ops::WeightId> matrices_of(const ops::Model& model) {
    std::set<ops::WeightId> out;
    for (const ops::Program& program : model.programs) {
        for (const ops::Op& op : program.ops) {
            if (std::holds_alternative<ops::Matmul>(op.spec)) { out.insert(op.weight[0]); }
        }
    }
    return out;
}

// Whether the weight is made of whole rows of the tensor that the factors change: all of a stack, or some of one
// matrix.
bool is_part(const ops::Weight& w, const gguf::LowRank& change) {
    const uint64_t first_row = w.first / w.n_in;
    return w.n_in == change.n_in && w.first % w.n_in == 0 && w.n_expert == change.n_matrices &&
           first_row + w.n_out <= change.n_out && (w.n_expert == 1 || w.n_out == change.n_out);
}

}  // namespace

Result<std::vector<Change>> changes_of(const ops::Model& model, const gguf::Adapter& adapter) {
    std::vector<Change> out(model.weights.size());
    std::set<std::string_view> used;
    for (const ops::WeightId id : matrices_of(model)) {
        const ops::Weight& w = model.weights[id];
        const auto at = adapter.changes().find(w.name);
        if (at == adapter.changes().end() || !is_part(w, at->second)) { continue; }
        out[id] = {&at->second, w.first / w.n_in, adapter.strength(at->second)};
        used.insert(at->first);
    }
    for (const auto& [name, change] : adapter.changes()) {
        if (!used.contains(name)) {
            return Error{ErrorCode::unsupported,
                         fmt::format("changes '{}', which this model does not use as a matrix", name),
                         {adapter.file(), fmt::format("tensor '{}.lora_a'", name), {}},
                         ""};
        }
    }
    return out;
}

}  // namespace wallaby::backends
