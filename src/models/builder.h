// What families are written with: hyper-parameters with their ranges, weights with their shapes, ops in order.
// Problems are collected, not returned call by call, so that a family reads like its paper and an error lists all that
// is wrong with a file. After a problem every call still returns something harmless.
#pragma once
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "gguf/weight_source.h"
#include "models/models.h"
#include "ops/program.h"

namespace wallaby::models {

// A weight matrix with what may come with it.
struct Linear {
    ops::WeightId weight = ops::none, bias = ops::none, scale = ops::none;
    bool scale_bias = false;  // ops::Matmul
};

class Builder {
  public:
    Builder(const gguf::WeightSource& source, const Options& options, std::string_view architecture);

    const gguf::WeightSource& source() const { return source_; }
    const Options& options() const { return options_; }
    bool failed() const { return !problems_.empty(); }
    // The model, or an error: the first problem in full and the others' names. Also checks that no tensor was left over
    // and that the ops fit together.
    Result<ops::Model> finish();
    void problem(Error error);

    // --- Hyper-parameters: the key is "<architecture>.<suffix>". Out of [low, high] is a problem.
    std::string key(std::string_view suffix) const { return architecture_ + "." + std::string(suffix); }
    bool has(std::string_view suffix) const { return source_.metadata().has(key(suffix)); }
    uint32_t u32(std::string_view suffix, uint32_t low, uint32_t high);
    uint32_t u32_or(std::string_view suffix, uint32_t otherwise, uint32_t low, uint32_t high);
    double number(std::string_view suffix, double low, double high);
    double number_or(std::string_view suffix, double otherwise, double low, double high);
    std::string string_or(std::string_view suffix, std::string_view otherwise);
    // One number for all layers, or an array with one per layer.
    std::vector<uint32_t> per_layer(std::string_view suffix, uint32_t n_layers, uint32_t low, uint32_t high);
    // By layer: the width of its sliding window, 0 where it sees everything. `window` applies to the layers that
    // attention.sliding_window_pattern marks; as a number n (`period` where the file has none) it spares each n-th
    // layer, the last of every n; 1 spares all, 0 none.
    std::vector<uint32_t> windows(uint32_t window, uint32_t n_layers, uint32_t period);

    // --- Weights. Shapes are checked; `optional` ones give none (an empty Linear) when the file has no such tensor.
    bool has_tensor(const std::string& name) const { return source_.find(name) != nullptr; }
    ops::WeightId vector(const std::string& name, uint64_t width, bool optional = false);
    ops::WeightId matrix(const std::string& name, uint32_t n_in, uint32_t n_out, uint32_t n_expert = 1);
    // name + ".weight" [n_in][n_out], and ".bias" and ".scale" when they are there.
    Linear linear(const std::string& name, uint32_t n_in, uint32_t n_out, uint32_t n_expert = 1);
    // Rows first_row … first_row + n_rows - 1 of such a matrix of n_out rows, with their part of the bias.
    Linear linear_rows(const std::string& name, uint32_t n_in, uint32_t n_out, uint32_t first_row, uint32_t n_rows);
    // name + ".weight", or the embedding's matrix when the file has none (tied output).
    Linear linear_or_tied(const std::string& name, ops::WeightId embedding, uint32_t n_in, uint32_t n_out);
    bool is_type(ops::WeightId weight, quant::Type type) const {
        return weight != ops::none && model_.weights[weight].type == type;
    }
    // Tensors that the family has no use for: every name with this ending.
    void ignore_ending(std::string ending) { ignored_.push_back(std::move(ending)); }
    // A small tensor's values, decoded; empty when it is not there.
    std::vector<float> values_of(const std::string& name, uint64_t n_expected);

    // --- Rotary frequencies, from the file's rope.* keys and factor tensors (rope.cpp).
    uint32_t rope_table(uint32_t n_dims, uint32_t n_ctx_train);
    // The same by the base frequency alone, not scaled: what layers with a window use where a family scales the others.
    uint32_t plain_rope_table(uint32_t n_dims, double base);
    double rope_base();  // of rope_table()

    // --- Ops of the program "main". `layer` is set for what follows.
    void layer(uint32_t index) { layer_ = index; }
    void outside_layers() { layer_ = ops::none; }
    ops::StateId state(uint32_t n_heads, uint32_t head);
    ops::ValueId embed(ops::WeightId table, ops::Embed::By by, float scale = 1);
    // group: elements that are normalised together; 0: all.
    ops::ValueId rms_norm(ops::ValueId x, ops::WeightId gain, double eps, uint32_t group = 0);
    ops::ValueId layer_norm(ops::ValueId x, ops::WeightId gain, ops::WeightId bias, double eps);
    ops::ValueId matmul(ops::ValueId x, const Linear& linear);
    // ids: n_used experts per row; x: one input per row, or n_used of them.
    ops::ValueId routed_matmul(ops::ValueId x, ops::ValueId ids, const Linear& linear, uint32_t n_used);
    ops::ValueId rope(ops::ValueId x, ops::Rope::Kind kind, uint32_t n_dims, uint32_t head, uint32_t table);
    void append(ops::StateId state, ops::ValueId k, ops::ValueId v);
    ops::ValueId attend(ops::StateId state, ops::ValueId q, const ops::Attend& spec, ops::WeightId sinks = ops::none);
    // With a state of their own.
    ops::ValueId conv(ops::ValueId x, ops::WeightId kernel, ops::WeightId bias, uint32_t taps);
    ops::ValueId scan(ops::ValueId x, ops::ValueId steps, const std::array<ops::WeightId, 3>& a_d_bias,
                      const ops::Scan& spec);
    ops::ValueId add(ops::ValueId a, ops::ValueId b);
    ops::ValueId gelu_tanh(ops::ValueId x);
    ops::ValueId silu(ops::ValueId x);
    ops::ValueId softcap(ops::ValueId x, float cap);  // x itself where cap is 0
    ops::ValueId gate(ops::ValueId activated, ops::ValueId other, const ops::Gate& spec = {});
    struct Routing {
        ops::ValueId ids, weights;
    };
    Routing route(ops::ValueId logits, const ops::Route& spec);
    ops::ValueId combine(ops::ValueId results, ops::ValueId weights, uint32_t n_used);
    ops::ValueId select(ops::ValueId x);
    void logits(ops::ValueId x);

    // What the family fills in besides.
    ops::Model& model() { return model_; }

  private:
    const gguf::Tensor* tensor(const std::string& name, bool optional);
    ops::WeightId bind(const gguf::Tensor& tensor, uint32_t n_in, uint32_t n_out, uint32_t n_expert, uint64_t first);
    ops::StateId recurrent_state(uint64_t n_elements);
    ops::ValueId value(ops::Rows rows, uint32_t n, bool is_i32 = false);
    ops::ValueId like(ops::ValueId x, uint32_t n);
    ops::Op& op(ops::Spec spec, ops::ValueId a, ops::ValueId b = ops::none);
    ops::ValueId unary(ops::Spec spec, ops::ValueId x, uint32_t n);
    uint32_t width(ops::ValueId x) const { return program().values[x].width; }
    ops::Program& program() { return model_.programs.front(); }
    const ops::Program& program() const { return model_.programs.front(); }
    template <class T>
    T in_range(Result<T> value, std::string_view suffix, T low, T high);

    const gguf::WeightSource& source_;
    const Options& options_;
    std::string architecture_;
    ops::Model model_;
    uint32_t layer_ = ops::none;
    std::unordered_set<std::string> used_;
    std::vector<std::string> ignored_;
    std::vector<Error> problems_;
};

}  // namespace wallaby::models
