// Writes a set of files (shards.h), or the one file that a set can be, in the order of their tensors. All appear or
// none.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "gguf/writer.h"

namespace wallaby::gguf {

// Where a set is cut: whenever the tensors of a file would exceed one of these, but after one tensor at least.
struct SetLimits {
    uint64_t max_bytes = UINT64_MAX;  // of tensor data, with its padding
    uint64_t max_tensors = UINT64_MAX;
    bool first_without_tensors = false;  // the first file has the metadata alone
};
// How many tensors each file has.
std::vector<size_t> cut_set(const Layout& layout, const SetLimits& limits);

// The files' drafts: the first has the whole's metadata, all say which of the set they are.
Result<std::vector<Draft>> drafts_of_set(const Draft& whole, std::span<const size_t> n_tensors);

// Every file is written in full, under a temporary name; then they take their names, the first last: it is what a set
// is opened by. A process that is killed between two of these renames leaves files that no first file names. None may
// be there before, because several cannot be replaced at once.
class SetWriter {
  public:
    SetWriter(Writer only);  // NOLINT(google-explicit-constructor): a file is a set of one
    // PREFIX-00001-of-0000n.gguf …; room for all of them is reserved first.
    static Result<SetWriter> create(const std::string& prefix, const Draft& whole, std::span<const size_t> n_tensors,
                                    const Limits& limits = {});

    std::span<const Tensor> tensors() const { return tensors_; }  // of all files
    uint64_t n_bytes() const { return n_bytes_; }                 // of all files
    // As Writer's.
    Result<void> write(std::string_view tensor, std::span<const uint8_t> bytes);
    Result<void> copy(const WeightSource& source, const Tensor& tensor);
    Result<void> commit();

  private:
    SetWriter() = default;
    void add(Writer writer);
    Result<Writer*> next();  // the file whose turn it is

    std::string prefix_;
    std::vector<Writer> writers_;
    std::vector<Tensor> tensors_;
    uint64_t n_bytes_ = 0;
    size_t turn_ = 0;
};

}  // namespace wallaby::gguf
