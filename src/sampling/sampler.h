// From logits to a token. The chain, in llama.cpp's order: repeat penalty, top-k, top-p, min-p, temperature, draw.
// Everything is computed in double with our own exp and ties go to the lower token id, so that a seed fixes the text.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "sampling/random.h"

namespace wallaby::sampling {

struct Params {
    double temperature = 0.8;     // 0: the most likely token
    uint32_t top_k = 40;          // 0: all
    double top_p = 0.95;          // 1: off
    double min_p = 0.05;          // 0: off; a share of the largest probability
    double repeat_penalty = 1.0;  // 1: off
    uint32_t repeat_last_n = 64;  // tokens looked back at; 0: none
    uint64_t seed = 0;
};

// Out of range: an error that names the flag.
Result<void> check(const Params& params);

struct Choice {
    int32_t token = 0;
    double log_probability = 0;  // natural logarithm, under the model's own distribution: before the chain
};

class Sampler {
  public:
    // params have passed check().
    explicit Sampler(const Params& params) : params_(params), random_(params.seed) {}

    // logits: finite, one per token, at least one. history: the sequence so far, prompt included.
    Choice sample(std::span<const float> logits, std::span<const int32_t> history);

  private:
    struct Candidate {
        double logit;
        int32_t token;
    };
    void penalise(std::span<const int32_t> history);
    void cut_top_k();
    void cut_by_probability();
    int32_t draw();

    Params params_;
    Random random_;
    std::vector<Candidate> candidates_;  // kept between calls for its memory
    std::vector<double> weights_;
};

// log(softmax(logits)[token])
double log_probability(std::span<const float> logits, int32_t token);

}  // namespace wallaby::sampling
