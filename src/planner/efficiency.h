// What shares of their published figures machines reach, learnt from published results: one pair of numbers for decode
// and one for prompts of all machines of a tier, never per machine. How far such a prediction may be trusted is told by
// machines that were left out of the fit.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace wallaby::planner {

// A result beside what the arithmetic says of it. Per token.
struct Observation {
    std::string machine, tier;
    bool is_prompt = false;
    double ideal_seconds = 0;  // at the published bandwidth and rates
    double n_ops = 0;          // of the op list; each is started once a step
    double seconds = 0;        // measured
};

// seconds = ideal_seconds / share + n_ops * op_seconds.
struct Efficiency {
    double share = 1;       // of the published bandwidth (decode) or rate (prompts); at most 1
    double op_seconds = 0;  // to start an op and wait for it, whatever it does

    double seconds(double ideal_seconds, double n_ops) const { return ideal_seconds / share + n_ops * op_seconds; }
};

// The least sum of absolute relative errors, in which a machine counts for the root of the number of its results: they
// are not independent. Starting an op costs a CPU some microseconds, nothing beside reading weights: there has_starts
// is false and op_seconds stays 0. Left free it would take up what machines differ in.
Efficiency fit(const std::vector<const Observation*>& observations, bool has_starts = true);

// A prediction's factors to both ends of the interval that holds four of five results.
struct Spread {
    double low = 1, high = 1;  // of the measured time by the predicted one
};
struct Learnt {
    Efficiency efficiency;
    Spread spread;
    size_t n_machines = 0;  // that it was learnt from
    std::string basis;      // the tier, or the family of tiers ("apple") where the tier has too few machines
};

// Of a tier, for decode or for prompts, without one machine ("": with all). A tier of fewer than two machines besides
// borrows its family's: the tier's name up to its first hyphen; n_machines 0: nothing is known of that either.
Learnt learn(const std::vector<Observation>& all, std::string_view tier, bool is_prompt, std::string_view without);

}  // namespace wallaby::planner
