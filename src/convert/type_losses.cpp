#include "convert/type_losses.h"

#include <algorithm>

#include "convert/recode.h"

namespace wallaby::convert {
namespace {

// A sample: n_stretches of stretch_weights, evenly spaced. 2^15 weights tell a relative error to 1 % or so.
constexpr uint64_t stretch_weights = 4096, n_stretches = 8;

// The stretches of a tensor: whole blocks of every type, as rows of such types are multiples of their blocks.
std::vector<WeightRange> sample_of(const gguf::Tensor& tensor, uint64_t block_len) {
    const uint64_t n = tensor.n_elements();
    if (n <= n_stretches * stretch_weights) { return {{0, n}}; }
    std::vector<WeightRange> sample;
    for (uint64_t i = 0; i < n_stretches; i++) {
        const uint64_t first = (n - stretch_weights) / (n_stretches - 1) * i;
        sample.push_back({first / block_len * block_len, stretch_weights});
    }
    return sample;
}

// What is asked of one thread: one tensor in one type.
struct Question {
    size_t tensor, choice;
};

bool can_be(const gguf::Tensor& tensor, quant::Type type) {
    const quant::Format& format = quant::format_of(type);
    return format.encode != nullptr && tensor.dims[0] % format.block_len == 0;
}

Result<double> relative_error(const gguf::WeightSource& source, const gguf::Tensor& tensor, quant::Type type,
                              std::span<const float> factors) {
    const quant::Format& to = quant::format_of(type);
    const uint64_t block_len = std::max(to.block_len, quant::format_of(tensor.type).block_len);
    RecodeBuffers buffers;
    std::vector<uint8_t> blocks;
    double error = 0, size = 0;
    for (const WeightRange& range : sample_of(tensor, block_len)) {
        blocks.resize(range.n / to.block_len * to.block_bytes);
        WALLABY_TRY(const Recoded recoded, recode(source, tensor, range, type, factors, blocks, buffers));
        for (size_t i = 0; i < range.n; i++) {
            const double x = recoded.in[i], off = double(recoded.out[i]) - x;
            const double factor = recoded.importance.empty() ? 1 : recoded.importance[i];
            error += factor * (off * off);
            size += factor * (x * x);
        }
    }
    return size > 0 ? error / size : 0;
}

}  // namespace

uint64_t bytes_as(const gguf::Tensor& tensor, quant::Type type) {
    const quant::Format& format = quant::format_of(type);
    return tensor.n_elements() / format.block_len * format.block_bytes;
}

Result<std::vector<std::vector<TypeChoice>>> type_choices(const gguf::WeightSource& source, const QuantizePlan& plan,
                                                          std::span<const quant::Type> types, threads::Pool& pool,
                                                          const base::Progress& progress, const std::stop_token& stop) {
    const auto tensors = source.tensors();
    std::vector<std::vector<TypeChoice>> choices(tensors.size());
    std::vector<Question> questions;
    for (size_t t = 0; t < tensors.size(); t++) {
        const bool stays = plan.layout.tensors[t].type == tensors[t].type;
        for (const quant::Type type : types) {
            if (type == tensors[t].type || stays) { continue; }
            if (!can_be(tensors[t], type) || bytes_as(tensors[t], type) >= tensors[t].n_bytes) { continue; }
            questions.push_back({t, choices[t].size()});
            choices[t].push_back({type, bytes_as(tensors[t], type), 0});
        }
        if (choices[t].empty() || std::ranges::find(types, tensors[t].type) != types.end()) {
            choices[t].push_back({tensors[t].type, tensors[t].n_bytes, 0});
        }
    }
    std::vector<Result<double>> answers(questions.size(), 0.0);
    // In rounds, so that progress is told.
    const size_t round = size_t(pool.size()) * 8;
    for (size_t first = 0; first < questions.size(); first += round) {
        const size_t n = std::min(round, questions.size() - first);
        WALLABY_OK(pool.run(n, stop, [&](uint64_t i, unsigned) {
            const Question& q = questions[first + i];
            answers[first + i] =
                relative_error(source, tensors[q.tensor], choices[q.tensor][q.choice].type, plan.importance[q.tensor]);
        }));
        if (stop.stop_requested()) { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }
        if (progress) { progress(first + n, questions.size()); }
    }
    for (size_t i = 0; i < questions.size(); i++) {
        WALLABY_TRY(choices[questions[i].tensor][questions[i].choice].loss, std::move(answers[i]));
    }
    return choices;
}

}  // namespace wallaby::convert
