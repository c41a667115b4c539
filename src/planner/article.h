// The arithmetic of "How is LLaMa.cpp possible?" (Finbarr Timbers, 16 March 2023; finbarrtimbers.github.io,
// _posts/2023-03-16-how-is-llama-cpp-possible.md): its formulas as it gives them, the same with their slip put right,
// and every number that it derives beside what both give. docs/arithmetic.md derives them.
#pragma once
#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

namespace wallaby::planner {

// A machine as the article sees it.
struct Roofline {
    double bytes_per_s = 0;
    double flops_per_s = 0;  // a multiply-add is two; 0 where the article names no rate, and then no time
};

// bits: of one weight.
constexpr double weight_bytes(double n_params, double bits) { return n_params * bits / 8; }

// Keys and values of one token in all blocks, each as wide as the model (no grouped-query attention); bits: of one
// number.
constexpr double kv_bytes_per_token(double n_blocks, double d_model, double bits) {
    return n_blocks * (bits / 8) * 2 * d_model;
}

// Moving n_bytes and computing n_flops at the same time.
constexpr double latency_seconds(const Roofline& machine, double n_bytes, double n_flops) {
    const double memory = n_bytes / machine.bytes_per_s;
    return machine.flops_per_s > 0 ? std::max(memory, n_flops / machine.flops_per_s) : memory;
}

// One step, which makes `batch` tokens, one in each sequence: all weights are moved once, and each costs a multiply-add
// a token. KV cache and activations count as nothing.
// The article moves 2·P·n_bytes bytes. The 2 is the bytes of an fp16 parameter in its source (kipply, "Transformer
// Inference Arithmetic"), so that a weight's bytes are counted twice.
constexpr double article_latency_seconds(const Roofline& machine, double n_params, double bits, double batch = 1) {
    return latency_seconds(machine, 2 * weight_bytes(n_params, bits), 2 * n_params * batch);
}
// Moves P·n_bytes bytes.
constexpr double corrected_latency_seconds(const Roofline& machine, double n_params, double bits, double batch = 1) {
    return latency_seconds(machine, weight_bytes(n_params, bits), 2 * n_params * batch);
}

// The batch, in tokens, at which moving the weights takes as long as computing with them, whatever the model: below it
// a step waits for memory. The article's own 161 is flops_per_s / bytes_per_s: the corrected one of 16-bit weights.
constexpr double article_batch_threshold(const Roofline& machine, double bits) {
    return bits / 8 * machine.flops_per_s / machine.bytes_per_s;
}
constexpr double corrected_batch_threshold(const Roofline& machine, double bits) {
    return bits / 16 * machine.flops_per_s / machine.bytes_per_s;
}

// One number of the article, or one that its formulas give and it leaves out.
struct Claim {
    // "weights", "KV cache", "latency", "decode", "batch threshold". Claims of one quantity follow each other.
    std::string_view quantity = {};
    std::string_view unit = {};  // "GB" (1e9 bytes), "ms/token", "tokens/s", "tokens"
    // Empty where the number depends on none.
    std::string_view machine = {};
    std::string_view model = {};           // a size of LLaMA, "7B"
    std::string_view format = {};          // of weights or cache, "int4"
    std::optional<double> article = {};    // as printed there
    double formula = 0;                    // by the article's formula
    double corrected = 0;                  // each byte counted once; where the formula has no slip, the same
    std::optional<double> published = {};  // measured with llama.cpp
    std::string_view source = {};          // of `published`, and what ran
    std::string_view note = {};
};

// In the order of the article's text.
std::vector<Claim> article_claims();

}  // namespace wallaby::planner
