#include "ops/program.h"

#include <algorithm>
#include <type_traits>

namespace wallaby::ops {
namespace {

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

// The checks of one op. Every failed one names the op, so that a family under construction says where it is wrong.
class Checker {
  public:
    Checker(const Model& model, const Program& program)
        : model_(model), program_(program), written_(program.values.size(), false) {}

    Result<void> check(size_t index) {
        const Op& op = program_.ops[index];
        error_ = {};
        op_ = &op;
        for (const ValueId id : op.in) {
            expect(id == none || (id < written_.size() && written_[id]), "reads a value that is not written yet");
        }
        for (const ValueId id : op.out) {
            expect(id == none || (id < written_.size() && !written_[id]), "writes a value twice, or none");
        }
        for (const WeightId id : op.weight) { expect(id == none || id < model_.weights.size(), "names no weight"); }
        expect(op.state == none || op.state < model_.states.size(), "names no state");
        if (error_.empty()) {
            std::visit([this](const auto& spec) { shapes(spec); }, op.spec);
        }
        for (const ValueId id : op.out) {
            if (id != none && id < written_.size()) { written_[id] = true; }
        }
        if (error_.empty()) { return {}; }
        return Error{ErrorCode::model,
                     error_,
                     {"", fmt::format("program '{}', op {} ({})", program_.name, index, name_of(op.spec)), {}},
                     ""};
    }

  private:
    void expect(bool holds, std::string_view what) {
        if (!holds && error_.empty()) { error_ = what; }
    }
    bool has_in(size_t i) { return op_->in[i] != none; }
    bool has_out(size_t i) { return op_->out[i] != none; }
    uint32_t width_in(size_t i) { return has_in(i) ? program_.values[op_->in[i]].width : 0; }
    uint32_t width_out(size_t i) { return has_out(i) ? program_.values[op_->out[i]].width : 0; }
    const Weight* weight(size_t i) { return op_->weight[i] == none ? nullptr : &model_.weights[op_->weight[i]]; }
    void vector(size_t i, uint64_t width, bool required) {
        const Weight* w = weight(i);
        expect(w != nullptr || !required, "lacks a weight");
        expect(w == nullptr || w->n_elements() == width, "has a vector weight of another width");
    }
    void same_rows(size_t i) {
        expect(!has_in(i) || !has_out(0) || program_.values[op_->in[i]].rows == program_.values[op_->out[0]].rows,
               "mixes rows");
    }
    void elementwise(size_t n_in) {
        for (size_t i = 0; i < n_in; i++) {
            expect(has_in(i) && width_in(i) == width_out(0), "has operands of different widths");
            same_rows(i);
        }
    }

    void shapes(const Embed&) {
        expect(weight(0) != nullptr && weight(0)->n_in == width_out(0) && weight(0)->n_expert == 1,
               "has a table of another width");
        expect(has_out(0) && program_.values[op_->out[0]].rows == Rows::tokens, "makes rows that are not tokens");
    }
    void shapes(const Norm& norm) {
        elementwise(1);
        expect(norm.group != 0 && width_in(0) % norm.group == 0, "has a width that its groups do not divide");
        for (size_t i = 0; i < 2; i++) {
            const bool whole = weight(i) != nullptr && weight(i)->n_elements() == width_in(0);
            vector(i, whole ? width_in(0) : norm.group, i == 0);
        }
    }
    void shapes(const Matmul& matmul) {
        const Weight* w = weight(0);
        const uint32_t n_used = matmul.n_used == 0 ? 1 : matmul.n_used;
        expect(w != nullptr, "lacks its matrix");
        if (w == nullptr) { return; }
        expect(matmul.n_used != 0 || w->n_expert == 1, "has several matrices and no routing");
        expect(width_in(0) == w->n_in || width_in(0) == uint64_t(w->n_in) * n_used, "has an input of another width");
        expect(width_out(0) == uint64_t(w->n_out) * n_used, "has an output of another width");
        expect(matmul.n_used == 0 || width_in(1) == matmul.n_used, "lacks its expert ids");
        vector(1, uint64_t(w->n_out) * w->n_expert, false);
        vector(2, w->n_expert, false);
        same_rows(0);
    }
    void shapes(const Rope& rope) {
        elementwise(1);
        expect(rope.table < model_.rope_tables.size() &&
                   model_.rope_tables[rope.table].frequency.size() * 2 == rope.n_dims,
               "has a frequency table of another length");
        expect(rope.head != 0 && rope.n_dims <= rope.head && width_in(0) % rope.head == 0, "has heads that do not fit");
    }
    const State* state(State::Kind kind) {
        const bool fits = op_->state != none && model_.states[op_->state].kind == kind;
        expect(fits, "lacks its state");
        return fits ? &model_.states[op_->state] : nullptr;
    }
    void shapes(const Append&) {
        const State* kv = state(State::Kind::kv);
        if (kv == nullptr) { return; }
        const State& s = *kv;
        expect(width_in(0) == uint64_t(s.n_heads) * s.head && width_in(1) == width_in(0),
               "has keys or values of another width");
    }
    void shapes(const Attend& attend) {
        elementwise(1);
        const State* kv = state(State::Kind::kv);
        if (kv == nullptr) { return; }
        const State& s = *kv;
        expect(s.n_heads != 0 && attend.n_heads % s.n_heads == 0 && attend.head == s.head,
               "has heads that do not fit its state");
        expect(width_in(0) == uint64_t(attend.n_heads) * attend.head, "has queries of another width");
        expect(attend.temperature == 0 || attend.floor != 0, "has a temperature without its floor");
        vector(0, attend.n_heads, false);
    }
    void shapes(const Conv& conv) {
        elementwise(1);
        expect(conv.taps >= 1, "has no taps");
        vector(0, uint64_t(conv.taps) * width_in(0), true);
        vector(1, width_in(0), false);
        const State* s = state(State::Kind::recurrent);
        expect(s == nullptr || s->n_elements == uint64_t(conv.taps - 1) * width_in(0), "has a state of another size");
    }
    void shapes(const Scan& scan) {
        const uint64_t width = uint64_t(scan.n_heads) * scan.head;
        expect(scan.n_groups != 0 && scan.n_heads % scan.n_groups == 0, "has groups that do not divide its heads");
        expect(width_in(0) == width + 2 * uint64_t(scan.n_groups) * scan.d_state && width_in(1) == scan.n_heads,
               "has inputs of another width");
        expect(width_out(0) == width, "has an output of another width");
        for (size_t i = 0; i < 3; i++) { vector(i, scan.n_heads, true); }
        const State* s = state(State::Kind::recurrent);
        expect(s == nullptr || s->n_elements == width * scan.d_state, "has a state of another size");
        same_rows(0);
        same_rows(1);
    }
    void shapes(const Pointwise& op) { elementwise(op.kind == Pointwise::Kind::add ? 2 : 1); }
    void shapes(const Gate&) { elementwise(2); }
    void shapes(const Route& route) {
        expect(width_in(0) == route.n_expert && route.n_used >= 1 && route.n_used <= route.n_expert,
               "routes to more experts than there are");
        expect(width_out(0) == route.n_used && width_out(1) == route.n_used, "has outputs of another width");
        expect(has_out(0) && program_.values[op_->out[0]].is_i32, "writes ids into numbers");
    }
    void shapes(const Combine& combine) {
        expect(width_in(0) == uint64_t(width_out(0)) * combine.n_used && width_in(1) == combine.n_used,
               "has inputs of another width");
    }
    void shapes(const Select&) {
        expect(has_in(0) && has_out(0) && width_in(0) == width_out(0), "changes the width");
        expect(has_in(0) && has_out(0) && program_.values[op_->in[0]].rows == Rows::tokens &&
                   program_.values[op_->out[0]].rows == Rows::outputs,
               "does not go from tokens to outputs");
    }

    const Model& model_;
    const Program& program_;
    const Op* op_ = nullptr;
    std::vector<bool> written_;
    std::string error_;
};

}  // namespace

uint64_t Weight::n_bytes() const {
    const quant::Format& format = quant::format_of(type);
    return n_elements() / format.block_len * format.block_bytes;
}

std::string_view name_of(const Spec& spec) {
    return std::visit(Overloaded{
                          [](const Embed&) { return "embed"; },
                          [](const Norm&) { return "norm"; },
                          [](const Matmul&) { return "matmul"; },
                          [](const Rope&) { return "rope"; },
                          [](const Append&) { return "append"; },
                          [](const Attend&) { return "attend"; },
                          [](const Conv&) { return "conv"; },
                          [](const Scan&) { return "scan"; },
                          [](const Pointwise& p) {
                              constexpr const char* names[] = {"add", "gelu_tanh", "silu", "softcap"};
                              return names[size_t(p.kind)];
                          },
                          [](const Gate&) { return "gate"; },
                          [](const Route&) { return "route"; },
                          [](const Combine&) { return "combine"; },
                          [](const Select&) { return "select"; },
                      },
                      spec);
}

bool has_recurrent_state(const Model& model) {
    return std::any_of(model.states.begin(), model.states.end(),
                       [](const State& s) { return s.kind == State::Kind::recurrent; });
}

Result<void> check(const Model& model) {
    for (const Program& program : model.programs) {
        Checker checker(model, program);
        for (size_t i = 0; i < program.ops.size(); i++) { WALLABY_OK(checker.check(i)); }
        if (program.logits >= program.values.size() || program.values[program.logits].width != model.n_vocab ||
            program.values[program.logits].rows != Rows::outputs) {
            return Error{ErrorCode::model,
                         "its result is not one row of n_vocab logits per output",
                         {"", fmt::format("program '{}'", program.name), {}},
                         ""};
        }
    }
    return {};
}

}  // namespace wallaby::ops
