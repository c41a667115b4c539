// A model's weights as the CPU back end holds them: matrices of matmuls packed into tiles, in one arena, or left in
// the source and packed as they are used; vectors decoded; tables that only rows are taken of (untied embeddings,
// learned positions) left in the source.
#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "backends/backend.h"
#include "base/arena.h"
#include "base/log.h"
#include "gguf/weight_source.h"
#include "ops/program.h"
#include "threads/pool.h"

namespace wallaby::backends::cpu {

struct Places;  // of weights in an image

class Weights {
  public:
    Weights() = default;
    // Bytes of the arena, by the model alone.
    static uint64_t planned_bytes(const ops::Model& model, WeightsIn weights_in);

    // Reads and packs on all threads. The source must outlive this: what is left in it is read later. A weight that is
    // an infinity or NaN is refused by its tensor, row and column, here or when it is first used.
    static Result<Weights> load(const ops::Model& model, const gguf::WeightSource& source, WeightsIn weights_in,
                                threads::Pool& pool, const base::Progress& progress, const std::stop_token& stop);

    // What load() fills, header first: the same bytes for a model wherever they lie and whichever instruction set they
    // are for, so that they can be kept. Empty before load().
    std::span<const uint8_t> image() const { return image_; }
    // Over an image of the same model, which must outlive this and start at a multiple of 64. The header says whether
    // it is one, for this order of weights; the weights themselves are taken as they are.
    static Result<Weights> over(const ops::Model& model, const gguf::WeightSource& source, WeightsIn weights_in,
                                std::span<const uint8_t> image);

    // Some tiles of a matmul's matrix, which is n_expert times the tiles of n_out rows: n of an expert's from `first`
    // on. Those that are left in the source are packed into scratch, 2 * n * tile_bytes of it. Thread-safe.
    Result<const uint8_t*> tiles(ops::WeightId id, uint32_t expert, uint32_t first, uint32_t n, uint8_t* scratch) const;
    // A vector's numbers; nullptr for ops::none.
    const float* vector(ops::WeightId id) const { return id == ops::none ? nullptr : pieces_[id].vector; }
    // One row of a table, decoded to out [n_in]. scratch: row_bytes(id).
    Result<void> row(ops::WeightId id, uint64_t row, float* out, uint8_t* scratch) const;
    uint64_t row_bytes(ops::WeightId id) const;

  private:
    struct Piece {
        const uint8_t* tiles = nullptr;
        uint64_t tile_bytes = 0;
        const float* vector = nullptr;
        const gguf::Tensor* tensor = nullptr;  // of what is left in the source
        // By tile of a matrix left there: whether it is known to be finite.
        std::unique_ptr<std::atomic<bool>[]> is_checked;
    };

    Weights(const ops::Model& model, const gguf::WeightSource& source);
    Result<void> set_pieces(const Places& places);

    const ops::Model* model_ = nullptr;
    const gguf::WeightSource* source_ = nullptr;
    base::Arena arena_;  // what image_ shows, unless that is another's
    std::span<const uint8_t> image_;
    std::vector<Piece> pieces_;  // by weight
};

}  // namespace wallaby::backends::cpu
