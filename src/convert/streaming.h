// Writes the tensors of a file, or of a set of files, in order, piece by piece: all threads make pieces while those
// before them are written. Memory is two rounds of pieces, whatever the tensors' sizes.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include "base/log.h"
#include "gguf/set_writer.h"
#include "threads/pool.h"

namespace wallaby::convert {

// Weights first … first + n_weights - 1 of a tensor of the file, in the order of its data: whole blocks of any format,
// as `first` is a multiple of 256 and rows are whole blocks.
struct Piece {
    size_t tensor = 0;  // its place in the writer's tensors
    uint64_t first = 0;
    uint64_t n_weights = 0;
};

struct Cut {
    uint64_t piece_weights = 0;  // a multiple of 256: what one thread makes at a time, unseen by stop requests
    uint64_t round_bytes = 0;
};

// Fills `out`, all bytes of the piece. Called from any thread; worker < pool.size().
using MakePiece = std::function<Result<void>(const Piece& piece, std::span<uint8_t> out, unsigned worker)>;

// Writes and commits the files. An error (of the first piece that has one) or a stop request ends it with nothing left
// behind.
Result<void> write_tensors(gguf::SetWriter writer, const Cut& cut, const MakePiece& make, threads::Pool& pool,
                           const base::Progress& progress, const std::stop_token& stop);

// The same with the bytes of a source as they are; the writer is for its tensors in its order.
Result<void> write_source(const gguf::WeightSource& source, gguf::Writer writer, threads::Pool& pool,
                          const base::Progress& progress, const std::stop_token& stop);

}  // namespace wallaby::convert
