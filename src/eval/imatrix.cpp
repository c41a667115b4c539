#include "eval/imatrix.h"

#include <algorithm>
#include <cmath>

#include "eval/perplexity.h"
#include "ops/program.h"

namespace wallaby::eval {
namespace {

// By weight: whether it is a matrix whose inputs are collected. The parts of a tensor read the same rows, and its
// beginning stands for all.
std::vector<bool> collected(const ops::Model& model, bool process_output) {
    std::vector<bool> is_collected(model.weights.size(), false);
    for (const ops::Program& program : model.programs) {
        for (const ops::Op& op : program.ops) {
            if (!std::holds_alternative<ops::Matmul>(op.spec) || model.weights[op.weight[0]].first != 0) { continue; }
            if (process_output || op.layer != ops::none) { is_collected[op.weight[0]] = true; }
        }
    }
    return is_collected;
}

// What one chunk gives.
class ChunkSums {
  public:
    ChunkSums(const engine::Model& model, uint32_t chunk_size, bool process_output) {
        sums_.file = model.name();
        sums_.chunk_size = chunk_size;
        const std::vector<ops::Weight>& weights = model.program().weights;
        const std::vector<bool> is_collected = collected(model.program(), process_output);
        for (size_t id = 0; id < weights.size(); id++) {
            if (!is_collected[id]) { continue; }
            const ops::Weight& w = weights[id];
            sums_.tensors.push_back(
                {w.name, std::vector<double>(uint64_t(w.n_in) * w.n_expert), std::vector<uint64_t>(w.n_expert)});
        }
        std::ranges::sort(sums_.tensors, {}, &convert::InputSums::name);
        for (size_t id = 0; id < weights.size(); id++) {
            const auto at = std::ranges::find(sums_.tensors, weights[id].name, &convert::InputSums::name);
            tensor_of_.push_back(is_collected[id] ? &*at : nullptr);
        }
    }

    void add(ops::WeightId weight, uint32_t expert, std::span<const float* const> rows) {
        convert::InputSums* const tensor = tensor_of_[weight];
        if (tensor == nullptr) { return; }
        const uint64_t n_in = tensor->n_in();
        double* const squares = tensor->squares.data() + expert * n_in;
        for (const float* row : rows) {
            for (uint64_t i = 0; i < n_in; i++) { squares[i] += double(row[i]) * row[i]; }
        }
        tensor->counts[expert] += rows.size();
    }

    // Adds them to `imatrix`, as n_chunks chunks, and begins the next.
    Result<void> end(convert::Imatrix& imatrix, uint32_t n_chunks) {
        for (const convert::InputSums& t : sums_.tensors) {
            if (!std::ranges::all_of(t.squares, [](double v) { return std::isfinite(v); })) {
                return Error{ErrorCode::numeric,
                             "is multiplied by activations that are not finite",
                             {sums_.file, fmt::format("tensor '{}'", t.name), {}},
                             ""};
            }
        }
        sums_.n_chunks = n_chunks;
        WALLABY_OK(convert::add(imatrix, sums_));
        for (convert::InputSums& t : sums_.tensors) {
            std::ranges::fill(t.squares, 0.0);
            std::ranges::fill(t.counts, 0u);
        }
        return {};
    }

  private:
    convert::Imatrix sums_;
    std::vector<convert::InputSums*> tensor_of_;  // by weight; nullptr: not collected
};

}  // namespace

Result<void> collect_imatrix(const std::shared_ptr<engine::Model>& model, const Chunks& chunks,
                             const ImatrixOptions& options, convert::Imatrix& imatrix, const ImatrixProgress& progress,
                             const std::stop_token& stop) {
    ChunkSums sums(*model, chunks.n_ctx, options.process_output);
    WALLABY_OK(sums.end(imatrix, 0));  // what does not go together shows before the work is done
    engine::SessionOptions session_options;
    session_options.observer = [&](ops::WeightId weight, uint32_t expert, std::span<const float* const> rows) {
        sums.add(weight, expert, rows);
    };
    WALLABY_TRY(const auto session, engine::Session::create(model, std::move(session_options)));
    Moments nll;
    for (size_t c = 0; c < chunks.n_chunks(); c++) {
        const auto tokens = chunks.chunk(c);
        const auto row = [&](size_t i, std::span<const float> logits) -> Result<void> {
            if (!options.perplexity || i < chunks.first || i + 1 == tokens.size()) { return {}; }
            WALLABY_TRY(const double v, negative_log_likelihood(logits, tokens[i + 1]));
            nll.add(v);
            return {};
        };
        session->truncate(0);
        WALLABY_OK(session->score(tokens, row, stop));
        WALLABY_OK(sums.end(imatrix, 1));
        const Estimate ppl = options.perplexity ? exp(nll.estimate()) : Estimate{};
        if (progress) { WALLABY_OK(progress(c + 1, chunks.n_chunks(), ppl)); }
    }
    return {};
}

}  // namespace wallaby::eval
