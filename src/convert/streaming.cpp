#include "convert/streaming.h"

#include <algorithm>
#include <vector>

namespace wallaby::convert {
namespace {

struct Round {
    struct Part {
        Piece piece;
        uint64_t at, n_bytes;  // in `bytes`
    };
    std::vector<Part> parts;
    std::vector<uint8_t> bytes;

    std::span<uint8_t> bytes_of(const Part& part) { return std::span(bytes).subspan(part.at, part.n_bytes); }
};

class Cutter {
  public:
    Cutter(std::span<const gguf::Tensor> tensors, const Cut& cut) : tensors_(tensors), cut_(cut) {}

    // The next pieces: up to round_bytes and one piece more. None at the end.
    void next(Round& round) {
        round.parts.clear();
        uint64_t n_bytes = 0;
        while (tensor_ < tensors_.size() && n_bytes < cut_.round_bytes) {
            const gguf::Tensor& tensor = tensors_[tensor_];
            const quant::Format& format = quant::format_of(tensor.type);
            const uint64_t n = std::min(tensor.n_elements() - first_, cut_.piece_weights);
            const uint64_t n_piece_bytes = n / format.block_len * format.block_bytes;
            round.parts.push_back({{tensor_, first_, n}, n_bytes, n_piece_bytes});
            n_bytes += n_piece_bytes;
            first_ += n;
            if (first_ == tensor.n_elements()) {
                tensor_++;
                first_ = 0;
            }
        }
        round.bytes.resize(n_bytes);
    }

  private:
    std::span<const gguf::Tensor> tensors_;
    Cut cut_;
    size_t tensor_ = 0;
    uint64_t first_ = 0;
};

}  // namespace

Result<void> write_tensors(gguf::SetWriter writer, const Cut& cut, const MakePiece& make, threads::Pool& pool,
                           const base::Progress& progress, const std::stop_token& stop) {
    const std::vector<gguf::Tensor> tensors(writer.tensors().begin(), writer.tensors().end());
    const uint64_t file_bytes = writer.n_bytes();
    Cutter cutter(tensors, cut);
    Round made, making;
    std::vector<Result<void>> results;
    uint64_t n_done = 0;
    do {
        cutter.next(making);
        results.assign(1 + making.parts.size(), {});
        // The first chunk writes what is there, the others make what comes next.
        const auto make_and_write = [&](uint64_t chunk, unsigned worker) {
            if (chunk != 0) {
                const Round::Part& part = making.parts[chunk - 1];
                results[chunk] = make(part.piece, making.bytes_of(part), worker);
                return;
            }
            for (const Round::Part& part : made.parts) {
                results[0] = writer.write(tensors[part.piece.tensor].name, made.bytes_of(part));
                if (!results[0].ok()) { return; }
            }
        };
        WALLABY_OK(pool.run(1 + making.parts.size(), stop, make_and_write));
        for (const Result<void>& result : results) {
            if (!result.ok()) { return result.error(); }
        }
        if (stop.stop_requested()) { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }
        n_done += made.bytes.size();
        if (progress) { progress(n_done, file_bytes); }
        std::swap(made, making);
    } while (!made.parts.empty());
    return writer.commit();
}

Result<void> write_source(const gguf::WeightSource& source, gguf::Writer writer, threads::Pool& pool,
                          const base::Progress& progress, const std::stop_token& stop) {
    const auto make = [&](const Piece& piece, std::span<uint8_t> out, unsigned) {
        const gguf::Tensor& tensor = source.tensors()[piece.tensor];
        const quant::Format& format = quant::format_of(tensor.type);
        return source.read(tensor, piece.first / format.block_len * format.block_bytes, out);
    };
    // A piece costs little more than reading it.
    return write_tensors(std::move(writer), {uint64_t(1) << 20, uint64_t(32) << 20}, make, pool, progress, stop);
}

}  // namespace wallaby::convert
