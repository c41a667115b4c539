// Which tests a command line asks for: lists of values, as llama-bench writes them, and their cross product.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "planner/work.h"
#include "quant/format.h"

namespace wallaby::bench {

// What one measurement is: n_prompt tokens in batches, then n_gen single steps, after n_depth tokens that are not
// timed. n_seqs sequences do it: prompts after each other, steps together.
struct Test {
    uint32_t n_prompt = 0, n_gen = 0, n_depth = 0, n_seqs = 1;

    bool operator==(const Test&) const = default;
    uint64_t n_tokens() const { return uint64_t(n_seqs) * (uint64_t(n_prompt) + n_gen); }  // timed
    std::string name() const;  // "pp512", "tg128", "pp512+tg128", each with " @ d4096"
};

// What one repetition of it is.
planner::Work work_of(const Test& test, uint32_t n_batch);

struct Lists {
    std::vector<uint32_t> n_prompt = {512}, n_gen = {128};  // 0: no such test
    std::vector<std::pair<uint32_t, uint32_t>> n_prompt_gen = {};
    std::vector<uint32_t> n_depth = {0}, n_seqs = {1}, n_batch = {256};
    std::vector<uint32_t> n_threads = {0};  // 0: the CPUs this process may use
    std::vector<quant::Type> k_types = {quant::Type::f16}, v_types = {quant::Type::f16};
};

// Tests that one loaded model can do.
struct Group {
    uint32_t n_batch = 0, n_threads = 0;
    quant::Type k_type = quant::Type::f16, v_type = quant::Type::f16;
    std::vector<Test> tests;

    uint32_t n_ctx() const;   // positions of the longest
    uint32_t n_seqs() const;  // of the widest
};

// In llama-bench's order: batch, types, threads, depth, and there prompts, generation, both. A prompt alone is of one
// sequence, so -np multiplies only the others. Error: nothing is left to do.
Result<std::vector<Group>> cross_product(const Lists& lists);

struct Bounds {
    uint32_t least = 0, most = 0;
};

// "512", "1,2,4", "first-last", "first-last+step" or "first-last*factor", and these separated by commas; a flag that
// was given several times has a word for each. `flag` is for messages. At most 1,000 values.
Result<std::vector<uint32_t>> parse_numbers(std::string_view flag, const std::vector<std::string>& words,
                                            const Bounds& bounds);
// "512,128": one pair a word.
Result<std::vector<std::pair<uint32_t, uint32_t>>> parse_pairs(std::string_view flag,
                                                               const std::vector<std::string>& words,
                                                               const Bounds& bounds);
// The words cut at their commas.
Result<std::vector<std::string>> parse_names(std::string_view flag, const std::vector<std::string>& words);

}  // namespace wallaby::bench
