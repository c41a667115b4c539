// Shares a file's bytes out among its tensors: which of the types that each could have loses least in all.
//
// Losses add up over tensors, so this is a knapsack with one choice per tensor. Only choices on the lower convex hull
// of a tensor's (bytes, loss) can stand in an optimum for some price per byte (Everett 1963), and steps along all
// hulls, taken in the order of loss saved per byte, pass through those optima: the Frontier. Between two of them what
// is left over is filled with the best steps that still fit, which is within one step of the best there is.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "quant/format.h"

namespace wallaby::convert {

struct TypeChoice {
    quant::Type type = quant::Type::f32;
    uint64_t n_bytes = 0;  // of the tensor
    double loss = 0;       // not negative, in any unit that adds up
};

struct Allocation {
    std::vector<quant::Type> types;  // by tensor
    uint64_t n_bytes = 0;            // of all tensors
    double loss = 0;
};

class Frontier {
  public:
    // choices: of each tensor at least one.
    explicit Frontier(std::span<const std::vector<TypeChoice>> choices);

    const Allocation& smallest() const { return smallest_; }
    double least_loss() const { return least_loss_; }  // of the largest
    // The least loss in at most n_bytes; nothing where the smallest has more.
    std::optional<Allocation> within_bytes(uint64_t n_bytes) const;
    // The fewest bytes with at most this loss; nothing where the largest has more.
    std::optional<Allocation> within_loss(double loss) const;

  private:
    // From a tensor's choice on its hull to the next larger one.
    struct Step {
        size_t tensor;
        quant::Type type;
        uint64_t n_bytes;
        double saved;
    };
    void take(const Step& step, Allocation& at) const;

    Allocation smallest_;
    double least_loss_ = 0;
    std::vector<Step> steps_;  // most loss saved per byte first; a tensor's in the order of its hull
};

// What an allocation loses really, where its own loss is only in proportion to it.
using MeasureLoss = std::function<Result<double>(const Allocation& allocation)>;

// The smallest allocation whose measured loss is at most `wanted`, to half a percent of its bytes, by about six
// measurements. Nothing where the largest loses more.
Result<std::optional<Allocation>> smallest_within(const Frontier& frontier, double wanted, const MeasureLoss& measure);

}  // namespace wallaby::convert
