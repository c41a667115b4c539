#include "ops/program.h"

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
        vector(0, norm.group, true);
        vector(1, norm.group, false);
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
    void shapes(const Append&) {
        expect(op_->state != none, "lacks its state");
        if (op_->state == none) { return; }
        const State& s = model_.states[op_->state];
        expect(width_in(0) == uint64_t(s.n_heads) * s.head && width_in(1) == width_in(0),
               "has keys or values of another width");
    }
    void shapes(const Attend& attend) {
        elementwise(1);
        expect(op_->state != none, "lacks its state");
        if (op_->state == none) { return; }
        const State& s = model_.states[op_->state];
        expect(s.n_heads != 0 && attend.n_heads % s.n_heads == 0 && attend.head == s.head,
               "has heads that do not fit its state");
        expect(width_in(0) == uint64_t(attend.n_heads) * attend.head, "has queries of another width");
        expect(attend.temperature == 0 || attend.floor != 0, "has a temperature without its floor");
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
                          [](const Pointwise& p) { return p.kind == Pointwise::Kind::add ? "add" : "gelu_tanh"; },
                          [](const Gate&) { return "gate"; },
                          [](const Route&) { return "route"; },
                          [](const Combine&) { return "combine"; },
                          [](const Select&) { return "select"; },
                      },
                      spec);
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
