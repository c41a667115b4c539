// The op list evaluated as its documentation reads, in double throughout, one sequence from its first token, with the C
// library's functions: no pages, no chains, no threads, nothing shared with a back end. The truth that bounds them.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <vector>

#include "gguf/weight_source.h"
#include "ops/program.h"

namespace wallaby::testing {

class Naive {
  public:
    using Row = std::vector<double>;
    // What a matmul's input becomes before it meets weights of that type: for another engine's rounding.
    std::function<void(Row& x, quant::Type type)> round_input;
    // GELU in its tanh form; a test may put another engine's way in its place.
    std::function<double(double)> gelu = [](double x) {
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * x * (1 + 0.044715 * x * x)));
    };

    Naive(const ops::Model& model, const gguf::WeightSource& source) : model_(model) {
        for (const ops::Weight& w : model.weights) {
            const auto values = gguf::read_floats(source, *source.find(w.name), UINT64_MAX).value();
            weights_.emplace_back(values.begin() + std::ptrdiff_t(w.first),
                                  values.begin() + std::ptrdiff_t(w.first + w.n_elements()));
        }
    }

    // Logits [n_tokens][n_vocab].
    std::vector<float> logits(const std::vector<int32_t>& tokens) {
        const ops::Program& program = model_.programs.front();
        values_.assign(program.values.size(), std::vector<Row>(tokens.size()));
        keys_.assign(model_.states.size(), {});
        stored_.assign(model_.states.size(), {});
        scanned_.assign(model_.states.size(), {});
        for (const ops::Op& op : program.ops) {
            for (size_t t = 0; t < tokens.size(); t++) {
                std::visit([&](const auto& spec) { run(op, spec, t, tokens[t]); }, op.spec);
            }
        }
        std::vector<float> out;
        for (const Row& row : values_[program.logits]) {
            for (const double v : row) { out.push_back(float(v)); }
        }
        return out;
    }

  private:
    const Row& in(const ops::Op& op, size_t i, size_t t) { return values_[op.in[i]][t]; }
    Row& out(const ops::Op& op, size_t i, size_t t) { return values_[op.out[i]][t]; }
    double weight(const ops::Op& op, size_t i, size_t at, double otherwise) {
        return op.weight[i] == ops::none ? otherwise : weights_[op.weight[i]].at(at);
    }

    void run(const ops::Op& op, const ops::Embed& s, size_t t, int32_t token) {
        const size_t width = model_.weights[op.weight[0]].n_in;
        const size_t row = s.by == ops::Embed::By::token ? size_t(token) : t;
        for (size_t i = 0; i < width; i++) { out(op, 0, t).push_back(weight(op, 0, row * width + i, 0) * s.scale); }
    }
    void run(const ops::Op& op, const ops::Norm& s, size_t t, int32_t) {
        const Row& x = in(op, 0, t);
        for (size_t first = 0; first < x.size(); first += s.group) {
            double mean = 0, square = 0;
            for (size_t i = 0; i < s.group; i++) { mean += x[first + i] / s.group; }
            if (s.kind == ops::Norm::Kind::rms) { mean = 0; }
            for (size_t i = 0; i < s.group; i++) { square += std::pow(x[first + i] - mean, 2) / s.group; }
            for (size_t i = 0; i < s.group; i++) {
                const size_t at = i + (weights_[op.weight[0]].size() == s.group ? 0 : first);
                out(op, 0, t).push_back((x[first + i] - mean) / std::sqrt(square + double(s.eps)) *
                                            weight(op, 0, at, 1) +
                                        weight(op, 1, at, 0));
            }
        }
    }
    void run(const ops::Op& op, const ops::Matmul& s, size_t t, int32_t) {
        const ops::Weight& w = model_.weights[op.weight[0]];
        Row x = in(op, 0, t);
        if (round_input) { round_input(x, w.type); }
        for (size_t j = 0; j < std::max(1u, s.n_used); j++) {
            const size_t expert = s.n_used == 0 ? 0 : size_t(in(op, 1, t)[j]);
            const size_t from = x.size() == w.n_in ? 0 : j * w.n_in;
            for (size_t r = 0; r < w.n_out; r++) {
                double y = 0;
                for (size_t i = 0; i < w.n_in; i++) {
                    y += weight(op, 0, (expert * w.n_out + r) * w.n_in + i, 0) * x[from + i];
                }
                const double bias = weight(op, 1, expert * w.n_out + r, 0), scale = weight(op, 2, expert, 1);
                out(op, 0, t).push_back(s.scale_bias ? (y + bias) * scale : y * scale + bias);
            }
        }
    }
    void run(const ops::Op& op, const ops::Rope& s, size_t t, int32_t) {
        Row y = in(op, 0, t);
        const ops::RopeTable& table = model_.rope_tables[s.table];
        for (size_t head = 0; head < y.size(); head += s.head) {
            for (size_t i = 0; i < s.n_dims / 2; i++) {
                const bool pairs = s.kind == ops::Rope::Kind::pairs;
                double& a = y[head + (pairs ? 2 * i : i)];
                double& b = y[head + (pairs ? 2 * i + 1 : i + s.n_dims / 2)];
                const double c = std::cos(double(t) * table.frequency[i]) * table.magnitude,
                             d = std::sin(double(t) * table.frequency[i]) * table.magnitude;
                const double rotated = a * c - b * d;
                b = a * d + b * c;
                a = rotated;
            }
        }
        out(op, 0, t) = y;
    }
    void run(const ops::Op& op, const ops::Append&, size_t t, int32_t) {
        keys_[op.state].push_back(in(op, 0, t));
        stored_[op.state].push_back(in(op, 1, t));
    }
    void run(const ops::Op& op, const ops::Attend& s, size_t t, int32_t) {
        const auto& keys = keys_[op.state];
        const auto& stored = stored_[op.state];
        const size_t group = s.n_heads / model_.states[op.state].n_heads;
        const double factor =
            s.scale * (s.temperature == 0 ? 1 : 1 + s.temperature * std::log(1 + std::floor(double(t) / s.floor)));
        for (size_t h = 0; h < s.n_heads; h++) {
            const size_t from = h / group * s.head;
            Row weights;
            const double sink = weight(op, 0, h, -INFINITY);
            double top = sink, sum = 0;
            for (size_t k = 0; k <= t; k++) {
                double dot = 0;
                for (size_t i = 0; i < s.head; i++) { dot += in(op, 0, t)[h * s.head + i] * keys[k][from + i]; }
                dot *= factor;
                if (s.softcap != 0) { dot = s.softcap * std::tanh(dot / s.softcap); }
                if (s.window != 0 && t - k >= s.window) { dot = -INFINITY; }
                weights.push_back(dot);
                top = std::max(top, weights.back());
            }
            for (double& w : weights) { sum += w = std::exp(w - top); }
            sum += std::exp(sink - top);
            for (size_t i = 0; i < s.head; i++) {
                double y = 0;
                for (size_t k = 0; k <= t; k++) { y += weights[k] / sum * stored[k][from + i]; }
                out(op, 0, t).push_back(y);
            }
        }
    }
    void run(const ops::Op& op, const ops::Pointwise& s, size_t t, int32_t) {
        const Row& x = in(op, 0, t);
        for (size_t i = 0; i < x.size(); i++) {
            switch (s.kind) {
                case ops::Pointwise::Kind::add: out(op, 0, t).push_back(x[i] + in(op, 1, t)[i]); break;
                case ops::Pointwise::Kind::gelu_tanh: out(op, 0, t).push_back(gelu(x[i])); break;
                case ops::Pointwise::Kind::silu: out(op, 0, t).push_back(x[i] / (1 + std::exp(-x[i]))); break;
                case ops::Pointwise::Kind::softcap: out(op, 0, t).push_back(s.a * std::tanh(x[i] / s.a)); break;
            }
        }
    }
    void run(const ops::Op& op, const ops::Gate& s, size_t t, int32_t) {
        for (size_t i = 0; i < in(op, 0, t).size(); i++) {
            const double x = in(op, 0, t)[i], u = in(op, 1, t)[i];
            switch (s.act) {
                case ops::Gate::Act::silu: out(op, 0, t).push_back(x / (1 + std::exp(-x)) * u); break;
                case ops::Gate::Act::gelu_tanh: out(op, 0, t).push_back(gelu(x) * u); break;
                case ops::Gate::Act::clamped_silu: {
                    const double low = std::min(x, double(s.limit));
                    const double held = std::clamp(u, -double(s.limit), double(s.limit));
                    out(op, 0, t).push_back(low / (1 + std::exp(-s.alpha * low)) * (held + 1));
                    break;
                }
            }
        }
    }
    void run(const ops::Op& op, const ops::Conv& s, size_t t, int32_t) {
        for (size_t c = 0; c < in(op, 0, t).size(); c++) {
            double y = weight(op, 1, c, 0);
            for (size_t j = 0; j < s.taps; j++) {
                if (t + j + 1 >= s.taps) { y += weight(op, 0, c * s.taps + j, 0) * in(op, 0, t + j + 1 - s.taps)[c]; }
            }
            out(op, 0, t).push_back(y);
        }
    }
    // The recurrence as the paper has it, one head and one channel after the other.
    void run(const ops::Op& op, const ops::Scan& s, size_t t, int32_t) {
        Row& state = scanned_[op.state];
        state.resize(size_t(s.n_heads) * s.head * s.d_state);
        const size_t n = size_t(s.n_heads) * s.head, heads_per_group = s.n_heads / s.n_groups;
        for (size_t h = 0; h < s.n_heads; h++) {
            const double dt = std::log1p(std::exp(in(op, 1, t)[h] + weight(op, 2, h, 0)));
            const size_t b = n + h / heads_per_group * s.d_state, c = b + size_t(s.n_groups) * s.d_state;
            for (size_t i = h * s.head; i < (h + 1) * s.head; i++) {
                const double x = in(op, 0, t)[i];
                double y = weight(op, 1, h, 0) * x;
                for (size_t k = 0; k < s.d_state; k++) {
                    double& cell = state[i * s.d_state + k];
                    cell = std::exp(dt * weight(op, 0, h, 0)) * cell + dt * in(op, 0, t)[b + k] * x;
                    y += in(op, 0, t)[c + k] * cell;
                }
                out(op, 0, t).push_back(y);
            }
        }
    }
    void run(const ops::Op& op, const ops::Route& s, size_t t, int32_t) {
        const Row& x = in(op, 0, t);
        std::vector<size_t> order(x.size());
        double sum = 0, chosen = 0;
        for (size_t i = 0; i < x.size(); i++) {
            order[i] = i;
            sum += std::exp(x[i]);
        }
        std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] > x[b]; });
        for (size_t j = 0; j < s.n_used; j++) { chosen += std::exp(x[order[j]]) / sum; }
        for (size_t j = 0; j < s.n_used; j++) {
            out(op, 0, t).push_back(double(order[j]));
            out(op, 1, t).push_back(std::exp(x[order[j]]) / sum / (s.renormalise ? chosen : 1) * s.scale);
        }
    }
    void run(const ops::Op& op, const ops::Combine& s, size_t t, int32_t) {
        const Row& x = in(op, 0, t);
        const size_t width = x.size() / s.n_used;
        for (size_t i = 0; i < width; i++) {
            double y = 0;
            for (size_t j = 0; j < s.n_used; j++) { y += x[j * width + i] * in(op, 1, t)[j]; }
            out(op, 0, t).push_back(y);
        }
    }
    void run(const ops::Op& op, const ops::Select&, size_t t, int32_t) { out(op, 0, t) = in(op, 0, t); }

    const ops::Model& model_;
    std::vector<Row> weights_;
    std::vector<std::vector<Row>> values_;         // [value][token]
    std::vector<std::vector<Row>> keys_, stored_;  // [state][token]
    std::vector<Row> scanned_;                     // [state]
};

}  // namespace wallaby::testing
