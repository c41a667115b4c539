#include "convert/assembled.h"

#include <algorithm>

#include "base/checked.h"
#include "base/math.h"

namespace wallaby::convert {
namespace {

constexpr uint64_t span_bytes = uint64_t(1) << 20;  // read at once where what is wanted lies scattered
constexpr uint64_t chunk_weights = 16384;           // changed or converted at a time

// Copies weights of one tensor out of where they are stored.
class Gathering {
  public:
    Gathering(const gguf::Tensor& tensor, const Recipe& recipe)
        : recipe_(recipe),
          size_(quant::format_of(recipe.stored).block_bytes),
          n_part_(tensor.n_elements() / recipe.parts.size()) {}

    // Weights from `first` on, as they are stored; out: whole weights.
    Result<void> weights(uint64_t first, std::span<uint8_t> out) const {
        while (!out.empty()) {
            const Place& part = recipe_.parts[first / n_part_];
            const uint64_t within = first % n_part_, n = std::min(out.size() / size_, n_part_ - within);
            const auto head = out.first(n * size_);
            if (recipe_.transposed) {
                WALLABY_OK(columns(part, within, head));
            } else if (recipe_.order.kind == RowOrder::Kind::same) {
                WALLABY_OK(part.file->read(part.offset + within * size_, head));
            } else {
                WALLABY_OK(rows(part, within, head));
            }
            first += n;
            out = out.subspan(head.size());
        }
        return {};
    }

    // MXFP4 blocks from `first` on.
    Result<void> blocks(uint64_t first, std::span<uint8_t> out) const {
        constexpr uint64_t n_weights = 32, n_pairs = 16, n_block = 1 + n_pairs;
        const uint64_t n_row = recipe_.width / n_weights, n_part = n_part_ / n_weights;
        std::vector<uint8_t> pairs, scales;
        while (!out.empty()) {
            const uint64_t part = first / n_part, row = first % n_part / n_row, column = first % n_row;
            const uint64_t n = std::min(out.size() / n_block, n_row - column);
            const uint64_t stored = recipe_.order(row) * n_row + column;
            pairs.resize(n * n_pairs);
            scales.resize(n);
            WALLABY_OK(recipe_.parts[part].file->read(recipe_.parts[part].offset + stored * n_pairs, pairs));
            WALLABY_OK(recipe_.scales[part].file->read(recipe_.scales[part].offset + stored, scales));
            for (uint64_t b = 0; b < n; b++) {
                uint8_t* const block = out.data() + b * n_block;
                const uint8_t* const from = pairs.data() + b * n_pairs;
                const auto code = [&](uint64_t i) { return uint8_t(from[i / 2] >> (i % 2 * 4) & 15u); };
                block[0] = scales[b];
                for (uint64_t j = 0; j < n_pairs; j++) {
                    block[1 + j] = uint8_t(code(j) | uint32_t(code(j + n_pairs)) << 4);
                }
            }
            first += n;
            out = out.subspan(n * n_block);
        }
        return {};
    }

  private:
    // Rows r … r + n - 1 of ours lie in these of the stored.
    struct Span {
        uint64_t first = UINT64_MAX, end = 0;
    };
    Span span_of(uint64_t r, uint64_t n) const {
        Span span;
        for (uint64_t i = r; i < r + n; i++) {
            const uint64_t at = recipe_.order(i);
            span = {std::min(span.first, at), std::max(span.end, at + 1)};
        }
        return span;
    }
    // How many rows from r on are read together where each takes n_bytes: those of a head, or one.
    uint64_t rows_together(uint64_t r, uint64_t n_bytes) const {
        const uint64_t n = std::max<uint64_t>(1, span_bytes / n_bytes / recipe_.order.step());
        if (recipe_.order.kind != RowOrder::Kind::pairs) { return n; }
        return recipe_.order.head <= n ? recipe_.order.head - r % recipe_.order.head : 1;
    }

    Result<void> rows(const Place& part, uint64_t first, std::span<uint8_t> out) const {
        const uint64_t width = recipe_.width;
        std::vector<uint8_t> read;
        for (uint64_t at = first, end = first + out.size() / size_; at < end;) {
            const uint64_t r = at / width, skipped = at % width;
            const uint64_t n_rows = std::min(rows_together(r, width * size_), (end - 1) / width - r + 1);
            const Span span = span_of(r, n_rows);
            read.resize((span.end - span.first) * width * size_);
            WALLABY_OK(part.file->read(part.offset + span.first * width * size_, read));
            for (uint64_t i = r; i < r + n_rows; i++) {
                const uint64_t from = i == r ? skipped : 0, n = std::min(width - from, end - at);
                std::memcpy(out.data() + (at - first) * size_,
                            read.data() + ((recipe_.order(i) - span.first) * width + from) * size_, n * size_);
                at += n;
            }
        }
        return {};
    }

    Result<void> columns(const Place& part, uint64_t first, std::span<uint8_t> out) const {
        const uint64_t width = recipe_.width, end = first + out.size() / size_;
        const uint64_t n_stored = n_part_ / width * recipe_.order.step();  // weights in a column
        std::vector<uint8_t> read;
        for (uint64_t r = first / width; r * width < end;) {
            const uint64_t n_rows = std::min(rows_together(r, size_), (end - 1) / width - r + 1);
            const Span span = span_of(r, n_rows);
            read.resize((span.end - span.first) * size_);
            for (uint64_t c = 0; c < width; c++) {
                WALLABY_OK(part.file->read(part.offset + (c * n_stored + span.first) * size_, read));
                for (uint64_t i = r; i < r + n_rows; i++) {
                    const uint64_t at = i * width + c;
                    if (at < first || at >= end) { continue; }
                    std::memcpy(out.data() + (at - first) * size_,
                                read.data() + (recipe_.order(i) - span.first) * size_, size_);
                }
            }
            r += n_rows;
        }
        return {};
    }

    const Recipe& recipe_;
    uint64_t size_;    // bytes of a stored weight
    uint64_t n_part_;  // weights in a part
};

void change(Recipe::Change what, std::span<float> values) {
    for (float& x : values) {
        if (what == Recipe::Change::plus_one) { x = 1 + x; }
        if (what == Recipe::Change::minus_exp) { x = float(-base::exp(double(x))); }
    }
}

// Whole blocks of the tensor's type, from block `first` on.
Result<void> make(const gguf::Tensor& tensor, const Recipe& recipe, uint64_t first, std::span<uint8_t> out) {
    const Gathering gathering(tensor, recipe);
    if (!recipe.scales.empty()) { return gathering.blocks(first, out); }
    if (recipe.stored == tensor.type && recipe.change == Recipe::Change::none) { return gathering.weights(first, out); }
    const quant::Format& stored = quant::format_of(recipe.stored);
    std::vector<uint8_t> bytes;
    std::vector<float> values;
    while (!out.empty()) {
        const uint64_t n = std::min<uint64_t>(chunk_weights, out.size() / sizeof(float));
        bytes.resize(n * stored.block_bytes);
        values.resize(n);
        WALLABY_OK(gathering.weights(first, bytes));
        stored.decode(bytes.data(), values.data(), n);
        change(recipe.change, values);
        std::memcpy(out.data(), values.data(), n * sizeof(float));
        first += n;
        out = out.subspan(n * sizeof(float));
    }
    return {};
}

}  // namespace

uint64_t RowOrder::operator()(uint64_t r) const {
    switch (kind) {
        case Kind::pairs: return r - r % head + r % head / 2 + r % 2 * (head / 2);
        case Kind::even: return 2 * r;
        case Kind::odd: return 2 * r + 1;
        default: return r;
    }
}

Result<std::unique_ptr<AssembledSource>> AssembledSource::create(gguf::Draft metadata,
                                                                 std::vector<AssembledTensor> tensors,
                                                                 std::vector<std::unique_ptr<base::ByteSource>> files,
                                                                 const std::string& name) {
    WALLABY_TRY(gguf::Metadata keys, gguf::metadata_of(metadata, name));
    std::unique_ptr<AssembledSource> source(new AssembledSource(std::move(keys)));
    for (const AssembledTensor& t : tensors) { metadata.tensor(t.name, t.type, t.dims); }
    WALLABY_TRY(source->layout_, metadata.layout(name));
    for (size_t i = 0; i < tensors.size(); i++) {
        source->by_name_[tensors[i].name] = i;
        source->recipes_.push_back(std::move(tensors[i].recipe));
    }
    source->files_ = std::move(files);
    return source;
}

const gguf::Tensor* AssembledSource::find(std::string_view name) const {
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? nullptr : &layout_.tensors[at->second];
}

const Recipe* AssembledSource::recipe_of(const gguf::Tensor& tensor) const {
    const auto at = by_name_.find(tensor.name);
    return at == by_name_.end() ? nullptr : &recipes_[at->second];
}

const std::string& AssembledSource::file_of(const gguf::Tensor& tensor) const {
    const Recipe* const recipe = recipe_of(tensor);
    return recipe == nullptr || recipe->parts.empty() ? metadata_.file() : recipe->parts.front().file->name();
}

Result<void> AssembledSource::read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const {
    WALLABY_OK(gguf::check_range(*this, tensor, offset, out.size()));
    const Recipe* const recipe = recipe_of(tensor);
    if (recipe == nullptr) {
        return Error{ErrorCode::argument, fmt::format("'{}' is a tensor of another model", tensor.name), {}, ""};
    }
    if (!recipe->given.empty()) {
        std::copy_n(recipe->given.begin() + ptrdiff_t(offset), out.size(), out.begin());
        return {};
    }
    const uint64_t n_block = quant::format_of(tensor.type).block_bytes;
    std::vector<uint8_t> block;
    while (!out.empty()) {
        const uint64_t first = offset / n_block, skipped = offset % n_block;
        uint64_t n = skipped == 0 ? out.size() / n_block * n_block : 0;
        if (n != 0) {
            WALLABY_OK(make(tensor, *recipe, first, out.first(n)));
        } else {  // a part of a block
            block.resize(n_block);
            WALLABY_OK(make(tensor, *recipe, first, block));
            n = std::min<uint64_t>(out.size(), n_block - skipped);
            std::copy_n(block.begin() + ptrdiff_t(skipped), n, out.begin());
        }
        offset += n;
        out = out.subspan(n);
    }
    return {};
}

std::span<const uint8_t> AssembledSource::bytes(const gguf::Tensor& tensor) const {
    const Recipe* const recipe = recipe_of(tensor);
    if (recipe == nullptr || !recipe->is_copy(tensor.type)) { return {}; }
    const Place& place = recipe->parts.front();
    const std::span<const uint8_t> all = place.file->bytes();
    const auto end = base::checked_add(place.offset, tensor.n_bytes);
    return end && *end <= all.size() ? all.subspan(place.offset, tensor.n_bytes) : std::span<const uint8_t>();
}

Result<void> AssembledSource::check_bytes(const gguf::Tensor& tensor) const {
    const Recipe* const recipe = recipe_of(tensor);
    return recipe == nullptr || recipe->parts.empty() ? Result<void>() : recipe->parts.front().file->check_bytes();
}

}  // namespace wallaby::convert
