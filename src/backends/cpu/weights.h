// A model's weights as the CPU back end holds them: matrices of matmuls packed into tiles, in one arena; vectors
// decoded; tables that only rows are taken of (untied embeddings, learned positions) left where they are, in the
// source.
#pragma once
#include <stop_token>
#include <vector>

#include "base/arena.h"
#include "base/log.h"
#include "gguf/weight_source.h"
#include "ops/program.h"
#include "threads/pool.h"

namespace wallaby::backends::cpu {

class Weights {
  public:
    // Bytes of the arena, by the model alone.
    static uint64_t planned_bytes(const ops::Model& model);

    // Reads and packs on all threads. The source must outlive this: rows of tables are read from it later. A weight
    // that is an infinity or NaN is refused by its tensor, row and column.
    static Result<Weights> load(const ops::Model& model, const gguf::WeightSource& source, threads::Pool& pool,
                                const base::Progress& progress, const std::stop_token& stop);

    // The tiles of a matmul's matrix: n_expert times those of n_out rows.
    const uint8_t* tiles(ops::WeightId id) const { return pieces_[id].tiles; }
    // A vector's numbers; nullptr for ops::none.
    const float* vector(ops::WeightId id) const { return id == ops::none ? nullptr : pieces_[id].vector; }
    // One row of a table, decoded to out [n_in]. scratch: row_bytes(id).
    Result<void> row(ops::WeightId id, uint64_t row, float* out, uint8_t* scratch) const;
    uint64_t row_bytes(ops::WeightId id) const;

  private:
    struct Piece {
        const uint8_t* tiles = nullptr;
        const float* vector = nullptr;
        const gguf::Tensor* tensor = nullptr;  // of a table left in the source
    };

    const ops::Model* model_ = nullptr;
    const gguf::WeightSource* source_ = nullptr;
    base::Arena arena_;
    std::vector<Piece> pieces_;  // by weight
};

}  // namespace wallaby::backends::cpu
