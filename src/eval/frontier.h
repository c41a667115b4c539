// Which of several models are worth having: those that no other one beats.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace wallaby::eval {

struct SizeAndLoss {
    double size = 0, loss = 0;
};

// Pareto's frontier: places of the models than which none is smaller without losing more, nor loses less without being
// larger; by ascending size, so that losses descend. Of equal models the first.
std::vector<size_t> frontier(std::span<const SizeAndLoss> models);

}  // namespace wallaby::eval
