// What models/ builds and everything else walks: flat lists of primitive operations over one set of weights and one set
// of states. Plain data: no pointers, no callbacks, no devices, no tiles.
//
// A program reads top to bottom. Each op reads values (ids into Program::values), weights and a state, and writes one
// value or more; a value is written once. Rows say how many rows a value has in one step; widths are fixed.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "quant/format.h"

namespace wallaby::ops {

using ValueId = uint32_t;   // an index into Program::values
using WeightId = uint32_t;  // … into Model::weights
using StateId = uint32_t;   // … into Model::states
inline constexpr uint32_t none = ~0u;

// The count that a value's rows follow in one step.
enum class Rows : uint8_t {
    tokens,   // every token of the batch
    outputs,  // those whose logits are wanted
};

struct Value {
    Rows rows = Rows::tokens;
    bool is_i32 = false;  // expert ids; otherwise f32
    uint32_t width = 0;   // elements per row
};

// A matrix of n_out rows of n_in weights, or n_expert such matrices; a vector is one row. It is a view of the tensor
// `name`: `first` elements are left out at its start (fused q/k/v). No bytes here.
struct Weight {
    std::string name;
    quant::Type type = quant::Type::f32;
    uint32_t n_in = 0, n_out = 1, n_expert = 1;
    uint64_t first = 0;
    bool tied = false;  // shares its bytes with the embedding: not counted twice

    uint64_t n_elements() const { return uint64_t(n_in) * n_out * n_expert; }
    uint64_t n_bytes() const;
};

// What one layer remembers of a sequence.
struct State {
    enum class Kind : uint8_t {
        kv,         // keys and values: grows per token, paged, truncatable
        recurrent,  // float32 of a fixed size per sequence, rewritten by every token: it can be copied, not cut back
    } kind = Kind::kv;
    uint32_t layer = 0;
    uint32_t n_heads = 0;     // kv: KV heads
    uint32_t head = 0;        // kv: width of a key and of a value in one head
    uint64_t n_elements = 0;  // recurrent: float32 numbers per sequence
};

// Frequencies of one rotary embedding: dimension pair i turns by position * frequency[i] (radians), and the rotated
// part is multiplied by magnitude (YaRN and LongRoPE; else 1). Computed in double when the program is built.
struct RopeTable {
    std::vector<double> frequency;
    double magnitude = 1;
};

// Row `id` of a table: by token id, or by position (learned position embeddings). weights: table.
struct Embed {
    enum class By : uint8_t { token, position } by = By::token;
    float scale = 1;
};
// rms: x / sqrt(mean(x^2) + eps) * w.   layer: (x - mean) / sqrt(var + eps) * w + b. Over groups of `group` elements.
// weights: gain, bias or none; of one group, shared by all, or of the whole width.
struct Norm {
    enum class Kind : uint8_t { rms, layer } kind = Kind::rms;
    float eps = 0;
    uint32_t group = 0;
};
// y = (W x) * scale + bias, or (W x + bias) * scale where scale_bias. weights: W, bias or none, scale or none (one
// number per matrix).
// Routed (n_used != 0): in[1] = n_used expert ids per row; in[0] holds one input per row, shared by its experts, or
// n_used inputs side by side; the output holds n_used results side by side.
struct Matmul {
    uint32_t n_used = 0;
    bool scale_bias = false;
};
// Rotates the first n_dims of each head. pairs: elements (2i, 2i+1); halves: (i, i + n_dims/2).
struct Rope {
    enum class Kind : uint8_t { pairs, halves } kind = Kind::pairs;
    uint32_t n_dims = 0, head = 0;
    uint32_t table = 0;  // index into Model::rope_tables
};
// Stores the rows in[0] = k, in[1] = v at their positions in the state, in the state's own type.
struct Append {};
// softmax(q k^T * scale) v over the state's keys at positions up to the row's own. in[0] = q; grouped heads: query head
// h reads KV head h / (n_heads / state.n_heads).
// temperature: q is first multiplied by 1 + temperature * log(1 + floor(position / floor)) where temperature != 0.
// softcap: a score s becomes softcap * tanh(s / softcap) where softcap != 0.
// window: only the `window` newest positions are seen, the row's own among them, where window != 0.
// weights: sinks or none: one logit per head that takes part in the softmax and has no value (Xiao et al. 2023, arXiv
// 2309.17453, as gpt-oss learns them).
struct Attend {
    uint32_t n_heads = 0, head = 0;
    float scale = 0;
    float temperature = 0;
    uint32_t floor = 0;
    float softcap = 0;
    uint32_t window = 0;
};
// Causal convolution along the tokens, each channel for itself: y[t][c] = bias[c] + sum over j of w[c][j] *
// x[t - taps + 1 + j][c]; inputs before the sequence's first token are 0. weights: kernel [channels][taps], bias or
// none. Its state holds the last taps - 1 inputs, oldest first: [taps - 1][channels].
struct Conv {
    uint32_t taps = 0;
};
// The selective scan of Mamba-2 (Dao and Gu 2024, arXiv 2405.21060), sequential in the token. in[0] = x
// [n_heads][head], B [n_groups][d_state] and C [n_groups][d_state] side by side, in[1] = step sizes [n_heads]; weights:
// A, D, bias of the step sizes, each [n_heads]. Head h, of group g = h / (n_heads / n_groups), keeps S [head][d_state]:
//   dt = softplus(step + bias);   S = exp(dt * A) * S + (dt * x) B_g;   y = S C_g + D * x
struct Scan {
    uint32_t n_heads = 0, head = 0, d_state = 0, n_groups = 0;
};
// Elementwise. add: in[0] + in[1]; of in[0]: gelu_tanh (the tanh approximation), silu, softcap: a * tanh(x / a).
struct Pointwise {
    enum class Kind : uint8_t { add, gelu_tanh, silu, softcap } kind = Kind::add;
    float a = 0;
};
// act(in[0]) * in[1]. clamped_silu (gpt-oss): with x = min(in[0], limit) and u = in[1] held within +-limit:
// x / (1 + exp(-alpha * x)) * (u + 1).
struct Gate {
    enum class Act : uint8_t { silu, gelu_tanh, clamped_silu } act = Act::silu;
    float alpha = 0, limit = 0;
};
// Chooses experts by softmax of the logits in[0]: out[0] = ids of the n_used largest (value descending, then index
// ascending), out[1] = their probabilities, divided by their sum where renormalise, times scale.
struct Route {
    uint32_t n_expert = 0, n_used = 0;
    bool renormalise = true;
    float scale = 1;
};
// Sum over the experts of a row, in routing order: in[0] = n_used results side by side, in[1] = their weights.
struct Combine {
    uint32_t n_used = 0;
};
// Keeps the rows whose logits are wanted.
struct Select {};

using Spec =
    std::variant<Embed, Norm, Matmul, Rope, Append, Attend, Conv, Scan, Pointwise, Gate, Route, Combine, Select>;

std::string_view name_of(const Spec& spec);  // "embed", "matmul" …

struct Op {
    Spec spec;
    uint32_t layer = none;  // none: outside the layers
    std::array<ValueId, 2> in{none, none};
    std::array<ValueId, 2> out{none, none};
    std::array<WeightId, 3> weight{none, none, none};
    StateId state = none;
};

struct Program {
    std::string name;  // "main"; later "encode", "draft", "vision", "pool"
    std::vector<Value> values;
    std::vector<Op> ops;
    ValueId logits = none;  // the result: rows outputs, width n_vocab
};

struct Model {
    std::string family;  // the architecture's name, for people; no code looks at it
    uint32_t n_vocab = 0, n_layers = 0;
    uint32_t n_ctx_train = 0;  // context it was trained with; more is allowed
    uint32_t n_ctx_max = 0;    // positions that exist at all (learned tables), 0 = no such limit
    std::vector<Weight> weights;
    std::vector<State> states;
    std::vector<RopeTable> rope_tables;
    std::vector<Program> programs;
};

// Whether a sequence has states that cannot be cut back.
bool has_recurrent_state(const Model& model);

// Ids in range, widths that fit, values written before they are read: what a back end may rely on afterwards.
Result<void> check(const Model& model);

}  // namespace wallaby::ops
