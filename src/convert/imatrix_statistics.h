// How the factors of an importance matrix are spread: which matrices see large inputs, and in how few columns.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "convert/imatrix.h"

namespace wallaby::convert {

// Of one tensor's mean squares, those of matrices without a row left out.
struct ImportanceStatistics {
    std::string name;
    uint64_t n = 0;  // columns, of all matrices
    double sum = 0, min = 0, max = 0, mean = 0;
    double deviation = 0;          // standard deviation, of n - 1
    double entropy = 0;            // of the squares' shares, over that of equal ones: 1 where all are equal
    double far = 0;                // share of columns more than one deviation from the mean
    std::optional<double> cosine;  // with the same tensor of the layer before, where there is one of that size
};

// In the imatrix' order; tensors without a row are left out.
std::vector<ImportanceStatistics> statistics_of(const Imatrix& imatrix);

}  // namespace wallaby::convert
