// An importance matrix: how large the inputs of a model's matrices are, column by column, while it reads a text. An
// error of a weight costs as much as the inputs that it is multiplied by, so their mean squares are the factors by
// which quantising weighs errors.
//
// Files in llama.cpp's two formats (its tools/imatrix), little-endian:
//
//     GGUF    general.type = "imatrix", imatrix.datasets (strings), imatrix.chunk_count and imatrix.chunk_size (u32),
//     and
//             of each matrix NAME two tensors in F32: NAME.in_sum2 [n_in][n] and NAME.counts [1][n], n matrices; and
//             ours, which other programs pass over: NAME.sensitivity [1], where it was measured
//     .dat    i32 n_entries, then so many times: i32 length, name | i32 n_calls | i32 n_values | f32 values[n_values],
//     the
//             mean squares times n_calls; then, in newer files, i32 n_chunks, and in still newer ones i32 length, the
//             dataset's name. Experts have one count together, and how long a chunk was is not told.
//
// Sums are kept in double: of files that are read, written and added up nothing is lost but the last rounding.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace wallaby::convert {

// Of one tensor, which holds a matrix or one for each expert.
struct InputSums {
    std::string name;
    std::vector<double> squares;   // [n_matrices][n_in]: sums over the rows
    std::vector<uint64_t> counts;  // how many rows: of each matrix, or one number for all of them

    uint64_t n_in() const { return squares.size() / counts.size(); }  // where each matrix has a count
};

// How much a tensor's error counts for the model's: nats of KL divergence per relative squared error (sensitivity.h).
struct Sensitivity {
    std::string name;
    double value = 0;  // not negative
};

struct Imatrix {
    std::string file;                // for messages, and what quantised files name
    std::vector<InputSums> tensors;  // ascending by name
    std::vector<std::string> datasets;
    uint32_t n_chunks = 0, chunk_size = 0;        // of text; tokens of one
    std::vector<Sensitivity> sensitivities = {};  // ascending by name; empty: not measured. .dat files have none

    const InputSums* find(std::string_view name) const;
    double sensitivity_of(std::string_view name) const;  // 0 of tensors that are not there
};

inline constexpr uint32_t max_chunk_size = 1u << 30;

// The mean squares: a factor for each column, [n_matrices][n_in]. Matrices without a row, which is what experts are
// that the text never asked, have 1 throughout.
std::vector<float> importance_of(const InputSums& sums);

// Reads either format. dat_chunk_size: of the chunks that a .dat file was made of.
Result<Imatrix> read_imatrix(const std::string& path, uint32_t dat_chunk_size);
Result<Imatrix> read_imatrix(std::unique_ptr<base::ByteSource> source, uint32_t dat_chunk_size);

enum class ImatrixFormat : uint8_t { gguf, dat };
// The file appears whole or not at all. A .dat file names the last dataset, has 1 for matrices without a row, and
// leaves out tensors without any.
Result<void> write_imatrix(const Imatrix& imatrix, ImatrixFormat format, const std::string& path);
Result<void> write_imatrix(const Imatrix& imatrix, ImatrixFormat format, std::unique_ptr<base::ByteSink> sink);

// Adds another's rows, as if both texts had been read in one go. Chunks are counted in those of `imatrix`, where it has
// any. Tensors of different sizes are an error, and nothing is added then. Sensitivities, which cannot be added up, are
// dropped where both have rows.
Result<void> add(Imatrix& imatrix, const Imatrix& other);

// Leaves the tensors whose names contain one of the words; or, not `wanted`, those whose names contain none.
void select(Imatrix& imatrix, std::span<const std::string> words, bool wanted);

}  // namespace wallaby::convert
