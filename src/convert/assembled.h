// A model whose tensors are put together from those of other files as they are read: rows in another order, matrices
// transposed or stacked, vectors as float32. Nothing is held but where things lie.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gguf/weight_source.h"
#include "gguf/writer.h"

namespace wallaby::convert {

// Where one matrix (or vector) of a stack begins.
struct Place {
    const base::ByteSource* file = nullptr;
    uint64_t offset = 0;
};

// Which row of a stored matrix is row r of ours.
struct RowOrder {
    enum class Kind : uint8_t {
        same,
        // Of heads of `head` rows: stored are all first halves of the pairs that are rotated together, then all second
        // ones; ours alternate.
        pairs,
        even,  // of twice as many rows: 0, 2, 4 …
        odd,   // 1, 3, 5 …
    };
    Kind kind = Kind::same;
    uint64_t head = 0;

    uint64_t operator()(uint64_t r) const;
    uint64_t step() const { return kind == Kind::even || kind == Kind::odd ? 2 : 1; }  // stored rows for one of ours
};

// How a tensor is made.
struct Recipe {
    enum class Change : uint8_t { none, plus_one, minus_exp };  // of each value: 1 + x, -exp(x)

    quant::Type stored = quant::Type::f32;
    std::vector<Place> parts;  // one behind the other, of equally many rows
    uint64_t width = 1;        // weights in a row, as the order counts them: 1 for biases, one to each row of a matrix
    RowOrder order = {};
    bool transposed = false;  // stored are columns: weight c of row r stands at place order(r) of column c
    Change change = Change::none;
    // MXFP4 as gpt-oss has it: `parts` are 16 bytes a block with neighbouring weights in each, these the scales, a byte
    // each.
    std::vector<Place> scales = {};
    std::vector<uint8_t> given = {};  // all bytes, in place of parts

    // Whether the bytes are those stored, from the first to the last.
    bool is_copy(quant::Type type) const {
        return given.empty() && parts.size() == 1 && order.kind == RowOrder::Kind::same && !transposed &&
               change == Change::none && scales.empty() && stored == type;
    }
};

struct AssembledTensor {
    std::string name;
    quant::Type type = quant::Type::f32;  // that stored, or F32
    std::vector<uint64_t> dims;           // dims[0] is the length of a row
    Recipe recipe;
};

class AssembledSource final : public gguf::WeightSource {
  public:
    // `metadata` without tensors; `name` stands for the whole in messages.
    static Result<std::unique_ptr<AssembledSource>> create(gguf::Draft metadata, std::vector<AssembledTensor> tensors,
                                                           std::vector<std::unique_ptr<base::ByteSource>> files,
                                                           const std::string& name);

    const gguf::Metadata& metadata() const override { return metadata_; }
    std::span<const gguf::Tensor> tensors() const override { return layout_.tensors; }
    const gguf::Tensor* find(std::string_view name) const override;
    const std::string& file_of(const gguf::Tensor& tensor) const override;
    Result<void> read(const gguf::Tensor& tensor, uint64_t offset, std::span<uint8_t> out) const override;
    std::span<const uint8_t> bytes(const gguf::Tensor& tensor) const override;
    Result<void> check_bytes(const gguf::Tensor& tensor) const override;

  private:
    explicit AssembledSource(gguf::Metadata metadata) : metadata_(std::move(metadata)) {}
    const Recipe* recipe_of(const gguf::Tensor& tensor) const;

    gguf::Metadata metadata_;
    gguf::Layout layout_;
    std::map<std::string, size_t, std::less<>> by_name_;
    std::vector<Recipe> recipes_;
    std::vector<std::unique_ptr<base::ByteSource>> files_;
};

}  // namespace wallaby::convert
