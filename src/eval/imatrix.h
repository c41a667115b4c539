// Collects an importance matrix (convert/imatrix.h) while a model reads a text, cut into chunks as llama-imatrix cuts
// it: the squares of what every matmul reads, summed up column by column over the rows, in double and in the order of
// the text, so that neither threads nor batches change a bit.
#pragma once
#include <memory>

#include "convert/imatrix.h"
#include "eval/chunks.h"
#include "eval/statistics.h"

namespace wallaby::eval {

struct ImatrixOptions {
    bool process_output = false;  // also of matrices outside the layers: that of the output
    bool perplexity = true;       // of the second half of each chunk, as eval::perplexity has it
};

// Called after each chunk, with all that is collected; an error ends the collection. ppl: 0 without perplexity.
using ImatrixProgress = std::function<Result<void>(size_t n_done, size_t n_total, const Estimate& ppl)>;

// Adds what the chunks give to `imatrix`, one whole chunk at a time: after an error or a stop it holds those before. A
// tensor that is there already must have the model's size. Where several matrices are parts of one tensor, rows that
// all of them read count once.
Result<void> collect_imatrix(const std::shared_ptr<engine::Model>& model, const Chunks& chunks,
                             const ImatrixOptions& options, convert::Imatrix& imatrix, const ImatrixProgress& progress,
                             const std::stop_token& stop);

}  // namespace wallaby::eval
