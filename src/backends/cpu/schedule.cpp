#include "backends/cpu/schedule.h"

#include <algorithm>

namespace wallaby::backends::cpu {
namespace {

bool is_wide(const ops::Op& op) {
    return std::holds_alternative<ops::Matmul>(op.spec) || std::holds_alternative<ops::Attend>(op.spec) ||
           std::holds_alternative<ops::Conv>(op.spec) || std::holds_alternative<ops::Scan>(op.spec);
}

class Scheduler {
  public:
    Scheduler(const ops::Model& model, const ops::Program& program, const KindOf& kind_of)
        : model_(model),
          program_(program),
          kind_of_(kind_of),
          is_done_(program.ops.size(), false),
          is_written_(program.values.size(), false),
          at_(program.ops.size(), 0) {}

    Schedule run() {
        size_t n_done = 0;
        while (n_done < program_.ops.size()) {
            Step step;
            // Row by row: an op may follow another of the same part, in the program's order.
            for (uint32_t i = 0; i < program_.ops.size(); i++) {
                if (is_done_[i] || is_wide(program_.ops[i]) || !is_ready(i)) { continue; }
                step.row_ops.push_back(i);
                finish(i, 2 * uint32_t(schedule_.steps.size()));
            }
            std::vector<uint32_t> wide;
            for (uint32_t i = 0; i < program_.ops.size(); i++) {
                if (!is_done_[i] && is_wide(program_.ops[i]) && is_ready(i)) { wide.push_back(i); }
            }
            for (const uint32_t i : wide) {
                step.wide.push_back({i, operand(program_.ops[i], step.operands)});
                finish(i, 2 * uint32_t(schedule_.steps.size()) + 1);
            }
            n_done += step.row_ops.size() + step.wide.size();
            schedule_.steps.push_back(std::move(step));
        }
        schedule_.layout = lay_out(program_, at_);
        return std::move(schedule_);
    }

  private:
    // Whether everything the op reads is written: values, and what earlier ops do to its state.
    bool is_ready(uint32_t i) const {
        const ops::Op& op = program_.ops[i];
        for (const ops::ValueId v : op.in) {
            if (v != ops::none && !is_written_[v]) { return false; }
        }
        for (uint32_t j = 0; op.state != ops::none && j < i; j++) {
            if (program_.ops[j].state == op.state && !is_done_[j]) { return false; }
        }
        return true;
    }
    void finish(uint32_t i, uint32_t at) {
        is_done_[i] = true;
        at_[i] = at;
        for (const ops::ValueId v : program_.ops[i].out) {
            if (v != ops::none) { is_written_[v] = true; }
        }
    }
    uint32_t operand(const ops::Op& op, std::vector<Operand>& operands) const {
        const auto* matmul = std::get_if<ops::Matmul>(&op.spec);
        if (matmul == nullptr) { return ops::none; }
        const ops::Weight& w = model_.weights[op.weight[0]];
        Operand o{op.in[0], kind_of_(w.type), w.n_in};
        if (matmul->n_used != 0) {
            o.ids = op.in[1];
            o.n_used = matmul->n_used;
            o.n_expert = w.n_expert;
        }
        const auto same = std::find(operands.begin(), operands.end(), o);
        if (same != operands.end()) { return uint32_t(same - operands.begin()); }
        operands.push_back(o);
        return uint32_t(operands.size() - 1);
    }

    const ops::Model& model_;
    const ops::Program& program_;
    const KindOf& kind_of_;
    std::vector<bool> is_done_, is_written_;
    std::vector<uint32_t> at_;
    Schedule schedule_;
};

}  // namespace

Schedule schedule(const ops::Model& model, const ops::Program& program, const KindOf& kind_of) {
    return Scheduler(model, program, kind_of).run();
}

}  // namespace wallaby::backends::cpu
