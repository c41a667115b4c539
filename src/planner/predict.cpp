#include "planner/predict.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <variant>

namespace wallaby::planner {
namespace {

Error not_measured(const std::string& what) {
    return Error{
        ErrorCode::unsupported, fmt::format("the speed of {} was not measured here", what), {}, "Run wallaby probe"};
}

double ratio(double then, double now) { return then > 0 && now > 0 ? then / now : 1; }

// Of two times that overlap: near the longer one, and up to a fifth above it where they are equal.
constexpr double overlap = 4;
double sum(double a, double b) { return std::pow(std::pow(a, overlap) + std::pow(b, overlap), 1 / overlap); }
double difference(double sum, double part) {
    return std::pow(std::max(0.0, std::pow(sum, overlap) - std::pow(part, overlap)), 1 / overlap);
}

// Steps of the program in which all threads work on something and wait for each other: matmuls over one input share
// one, anything else wide has its own.
uint64_t n_wide_steps(const ops::Program& program) {
    std::set<ops::ValueId> inputs;
    uint64_t n = 0;
    for (const ops::Op& op : program.ops) {
        if (std::holds_alternative<ops::Matmul>(op.spec)) { inputs.insert(op.in[0]); }
        if (std::holds_alternative<ops::Attend>(op.spec)) { n++; }
    }
    return n + inputs.size();
}

class Predictor {
  public:
    Predictor(const ops::Model& model, quant::Type k_type, quant::Type v_type, const Speeds& speeds, const Rates& now)
        : model_(model),
          program_(model.programs.front()),
          k_type_(k_type),
          v_type_(v_type),
          speeds_(speeds),
          read_(ratio(speeds.rates.read_bytes_per_s, now.read_bytes_per_s)),
          compute_(ratio(speeds.rates.f32_ops_per_s, now.f32_ops_per_s)) {}

    Result<void> add(const ops::Extent& step, Prediction& out) const {
        out.waits += speeds_.run_seconds + double(n_wide_steps(program_)) * speeds_.wait_seconds;
        for (const ops::Op& op : program_.ops) {
            const ops::Cost cost = ops::cost(model_, program_, op, step, k_type_, v_type_);
            if (cost.value_bytes == 0) { continue; }  // nothing is done of it in this step
            if (const auto* matmul = std::get_if<ops::Matmul>(&op.spec)) {
                WALLABY_OK(add_matmul(op, *matmul, step, cost, out));
            } else if (std::holds_alternative<ops::Attend>(op.spec)) {
                WALLABY_OK(add_attend(cost, out));
            } else {
                WALLABY_OK(add_row(op, step, cost, out));
            }
        }
        return {};
    }

  private:
    Result<void> add_matmul(const ops::Op& op, const ops::Matmul& matmul, const ops::Extent& step,
                            const ops::Cost& cost, Prediction& out) const {
        const ops::Weight& w = model_.weights[op.weight[0]];
        const auto curve = speeds_.matmul.find(w.type);
        if (curve == speeds_.matmul.end()) {
            return not_measured(fmt::format("matmuls over {} weights", quant::format_of(w.type).name));
        }
        const double n_matrices = matmul.n_used == 0 ? 1 : std::min(step.experts_hit, double(w.n_expert));
        const double n_weights = n_matrices * double(w.n_in) * w.n_out;
        const double n_columns = double(cost.macs) / n_weights;
        const double seconds = n_weights * curve->second.at(n_columns);
        // Reading and computing overlap all but for where they are about equal: of what took `seconds`, reading could
        // have taken so much, and computing then took the rest.
        const double rate = speeds_.rates.read_bytes_per_s;
        const double read = rate > 0 ? std::min(seconds, double(cost.weight_bytes) / rate) : seconds;
        const double compute = difference(seconds, read);
        const double read_now = read * read_, compute_now = compute * compute_;
        (read_now >= compute_now ? out.matmul_read : out.matmul_compute) += sum(read_now, compute_now);
        return {};
    }
    Result<void> add_attend(const ops::Cost& cost, Prediction& out) const {
        const auto speed = speeds_.attend.find({k_type_, v_type_});
        if (speed == speeds_.attend.end()) {
            return not_measured(fmt::format("attention over {} keys and {} values", quant::format_of(k_type_).name,
                                            quant::format_of(v_type_).name));
        }
        out.attention += std::max(double(cost.state_read) * speed->second.seconds_per_byte * read_,
                                  double(cost.macs) * speed->second.seconds_per_mac * compute_);
        return {};
    }
    Result<void> add_row(const ops::Op& op, const ops::Extent& step, const ops::Cost& cost, Prediction& out) const {
        const auto speed = speeds_.rows.find(ops::name_of(op.spec));
        if (speed == speeds_.rows.end()) { return not_measured(fmt::format("'{}'", ops::name_of(op.spec))); }
        const bool is_recurrent =
            std::holds_alternative<ops::Conv>(op.spec) || std::holds_alternative<ops::Scan>(op.spec);
        const double amount = double(is_recurrent ? cost.macs : cost.value_bytes);
        out.rows += amount * (step.n_tokens() <= 2 ? speed->second.alone : speed->second.together) * compute_;
        return {};
    }

    const ops::Model& model_;
    const ops::Program& program_;
    quant::Type k_type_, v_type_;
    const Speeds& speeds_;
    // Seconds now by seconds then. The cores' pace shows in float32's chains, most of which repeat within 5 %, for
    // whatever they compute; a loop of int8 products takes up to 40 % longer from one run to the next, at the same
    // pace.
    double read_, compute_;
};

}  // namespace

double Curve::at(double x) const {
    if (points.empty()) { return 0; }
    if (x <= points.front().x) { return points.front().y * (points.size() == 1 ? x / points.front().x : 1); }
    size_t i = 1;
    while (i + 1 < points.size() && x > points[i].x) { i++; }
    if (points.size() == 1) { return points[0].y * x / points[0].x; }
    const Point &a = points[i - 1], &b = points[i];
    return a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x);
}

std::string_view Prediction::limiter() const {
    const double most = std::max({matmul_read, matmul_compute, attention, rows, waits});
    if (most == matmul_read) { return "weights"; }
    if (most == matmul_compute) { return "compute"; }
    if (most == attention) { return "attention"; }
    return most == rows ? "rows" : "waits";
}

Result<Prediction> predict(const ops::Model& model, const Work& work, quant::Type k_type, quant::Type v_type,
                           const Speeds& speeds, const Rates& now) {
    const Predictor predictor(model, k_type, v_type, speeds, now);
    Prediction out;
    Result<void> done;
    for_each_step(model.programs.front(), work, [&](const ops::Extent& step) {
        if (done.ok()) { done = predictor.add(step, out); }
    });
    if (!done.ok()) { return std::move(done).error(); }
    return out;
}

std::vector<quant::Type> matrix_types(const ops::Model& model) {
    std::set<quant::Type> types;
    for (const ops::Op& op : model.programs.front().ops) {
        if (std::holds_alternative<ops::Matmul>(op.spec)) { types.insert(model.weights[op.weight[0]].type); }
    }
    return {types.begin(), types.end()};
}

}  // namespace wallaby::planner
