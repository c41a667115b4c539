#include "convert/quantize.h"

#include <algorithm>

#include "convert/recode.h"
#include "convert/streaming.h"

namespace wallaby::convert {
namespace {

using quant::Type;

constexpr uint64_t piece_weights = uint64_t(1) << 15;  // a few milliseconds of the slowest encoder
constexpr uint64_t round_bytes = uint64_t(2) << 20;

// Of one piece; added up in the pieces' order, so that sums do not depend on threads.
struct Errors {
    double error_squared = 0, size_squared = 0;
};

class Encoding {
  public:
    Encoding(const gguf::WeightSource& source, const QuantizePlan& plan, unsigned n_workers)
        : source_(source), plan_(plan), buffers_(n_workers), errors_(plan.layout.tensors.size()) {
        for (size_t i = 0; i < errors_.size(); i++) {
            const gguf::Tensor& tensor = plan.layout.tensors[i];
            if (tensor.type == source.tensors()[i].type) { continue; }
            errors_[i].resize((tensor.n_elements() + piece_weights - 1) / piece_weights);
        }
    }

    Result<void> make(const Piece& piece, std::span<uint8_t> out, unsigned worker) {
        const gguf::Tensor& tensor = source_.tensors()[piece.tensor];
        const quant::Format& from = quant::format_of(tensor.type);
        const Type to = plan_.layout.tensors[piece.tensor].type;
        if (from.type == to) { return source_.read(tensor, piece.first / from.block_len * from.block_bytes, out); }

        WALLABY_TRY(const Recoded recoded, recode(source_, tensor, {piece.first, piece.n_weights}, to,
                                                  plan_.importance[piece.tensor], out, buffers_[worker]));
        Errors errors;
        for (size_t i = 0; i < recoded.in.size(); i++) {
            const double x = recoded.in[i], off = double(recoded.out[i]) - x;
            errors.error_squared += off * off;
            errors.size_squared += x * x;
        }
        errors_[piece.tensor][piece.first / piece_weights] = errors;
        return {};
    }

    Errors of_tensor(size_t i) const {
        Errors sum;
        for (const Errors& e : errors_[i]) {
            sum.error_squared += e.error_squared;
            sum.size_squared += e.size_squared;
        }
        return sum;
    }

  private:
    const gguf::WeightSource& source_;
    const QuantizePlan& plan_;
    std::vector<RecodeBuffers> buffers_;       // by worker
    std::vector<std::vector<Errors>> errors_;  // of each tensor's pieces: 16 bytes for 32,768 weights
};

QuantizedType& entry_of(std::vector<QuantizedType>& types, Type type) {
    const auto at = std::ranges::lower_bound(types, type, {}, &QuantizedType::type);
    if (at != types.end() && at->type == type) { return *at; }
    return *types.insert(at, {type});
}

}  // namespace

std::vector<QuantizedType> types_of(const QuantizePlan& plan) {
    std::vector<QuantizedType> types;
    for (const gguf::Tensor& tensor : plan.layout.tensors) {
        QuantizedType& entry = entry_of(types, tensor.type);
        entry.n_tensors++;
        entry.n_bytes += tensor.n_bytes;
    }
    return types;
}

Result<std::vector<QuantizedType>> quantize(const gguf::WeightSource& source, const QuantizePlan& plan,
                                            gguf::SetWriter writer, threads::Pool& pool, const base::Progress& progress,
                                            const std::stop_token& stop) {
    Encoding encoding(source, plan, pool.size());
    const auto make = [&](const Piece& piece, std::span<uint8_t> out, unsigned worker) {
        return encoding.make(piece, out, worker);
    };
    WALLABY_OK(write_tensors(std::move(writer), {piece_weights, round_bytes}, make, pool, progress, stop));
    std::vector<QuantizedType> types = types_of(plan);
    for (size_t i = 0; i < plan.layout.tensors.size(); i++) {
        const Errors errors = encoding.of_tensor(i);
        QuantizedType& entry = entry_of(types, plan.layout.tensors[i].type);
        entry.error_squared += errors.error_squared;
        entry.size_squared += errors.size_squared;
    }
    return types;
}

}  // namespace wallaby::convert
