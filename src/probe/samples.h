// Models that are made to be timed: programs that do one kind of op many times, over random weights.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convert/synthetic.h"
#include "kv/pages.h"
#include "ops/program.h"

namespace wallaby::probe {

// Width of the rows that programs begin and end with, which is their vocabulary's size too.
inline constexpr uint32_t sample_width = 2048;

// Builds programs one after another: begin(), ops in a chain, end(). Values and weights are finite for any tokens.
class SampleBuilder {
  public:
    SampleBuilder();

    // A value to begin with: embedded tokens.
    ops::ValueId begin(std::string name, uint32_t width = sample_width);
    ops::ValueId embed(uint32_t width);
    ops::WeightId matrix(quant::Type type, uint32_t n_in, uint32_t n_out);
    ops::WeightId gains(uint32_t width);
    // Of n numbers in F32, of a name that ends so: the ending says how they are spread (convert/synthetic.cpp).
    ops::WeightId vector(std::string_view ending, uint32_t n);
    ops::StateId kv_state(uint32_t n_heads, uint32_t head);
    ops::StateId recurrent_state(uint64_t n_elements);
    uint32_t rope_table(uint32_t n_dims);
    // Appends an op that writes one row a token, and returns what it writes.
    ops::ValueId add(ops::Op op, uint32_t width);
    ops::ValueId matmul(ops::ValueId in, ops::WeightId weight);
    // That of an earlier program's matmul, by its place among its ops after the first.
    ops::WeightId weight_of(uint32_t program, uint32_t i) const {
        return model_.programs[program].ops[i + 1].weight[0];
    }
    // Ops that write nothing, or more than one value.
    void add_bare(const ops::Op& op);
    ops::ValueId value(uint32_t width, bool is_i32 = false);
    // The program's result is `last`, sample_width wide. Returns the program's index.
    uint32_t end(ops::ValueId last);

    struct Built {
        ops::Model model;
        std::unique_ptr<convert::SyntheticSource> source;
    };
    Result<Built> build() &&;

  private:
    ops::WeightId weight(std::string name, quant::Type type, uint32_t n_in, uint32_t n_out);
    ops::Program& program() { return model_.programs.back(); }

    ops::Model model_;
    convert::Shape shape_;
    std::vector<std::pair<uint32_t, ops::WeightId>> tables_;  // of embeddings, by width
};

}  // namespace wallaby::probe
