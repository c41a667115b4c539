// The reference definitions of the ops, one row or one matrix row at a time. Inputs and outputs are float32; inside,
// sums and elementary functions are double, and each result is rounded to float32 once.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kv/pages.h"
#include "ops/program.h"
#include "quant/format.h"

namespace wallaby::backends::reference {

// A matrix as stored: rows of blocks.
struct Matrix {
    const quant::Format* format = nullptr;
    const uint8_t* bytes = nullptr;  // [n_expert][n_out] rows
    uint32_t n_in = 0, n_out = 0;
    uint64_t row_bytes() const { return uint64_t(n_in) / format->block_len * format->block_bytes; }
    void decode_row(uint64_t row, float* out) const {
        format->decode(bytes + row * row_bytes(), out, n_in / format->block_len);
    }
};

// A sum is one chain of additions, and a processor can start several before the first ends. So eight rows are taken at
// a time, their numbers side by side, [column][8]: eight chains advance together, each in its own order.
inline constexpr uint32_t n_abreast = 8;
// rows: eight rows of n numbers, `stride` apart.
void put_abreast(const float* rows, uint64_t stride, uint32_t n, float* out);
// sums[row] = the chain of rows[i][row] * x[i], i ascending, from +0. Products of two float32 are exact in double.
void chains(const float* rows, const double* x, uint32_t n, double* sums);
// Rows [first, first + n_rows) of a matrix, at most eight, side by side; rows that are not there are 0.
void decode_abreast(const Matrix& m, uint64_t first, uint32_t n_rows, float* out);

// The rule of eight (docs/numerics.md): k cut into eight contiguous ranges of whole blocks, each one ascending chain,
// the eight sums added as a fixed tree.
class EightRanges {
  public:
    EightRanges(uint32_t k, uint32_t block_len);
    // out[row] = the sum of rows[i][row] * x[i] for eight rows that lie side by side.
    void dot(const float* rows, const double* x, double* out) const;

  private:
    uint32_t begin_[9] = {};
};

struct NormWeights {
    const float* gain = nullptr;
    const float* bias = nullptr;  // may be absent
    bool per_group = false;       // of the whole width, not one group's for all
};
void norm(const ops::Norm& spec, const NormWeights& w, const float* in, float* out, uint32_t width);
void rope(const ops::Rope& spec, const ops::RopeTable& table, uint32_t position, const float* in, float* out,
          uint32_t width);
// The elementwise kinds of one operand.
void pointwise(const ops::Pointwise& spec, const float* in, float* out, uint32_t width);
void gate(const ops::Gate& spec, const float* activated, const float* other, float* out, uint32_t width);
// ids: expert numbers, each as the bits of a float.
void route(const ops::Route& spec, const float* logits, float* ids, float* weights);
void combine(uint32_t n_used, const float* results, const float* weights, float* out, uint32_t width);

// One row of a convolution. rows: its taps inputs, oldest first. bias may be nullptr.
void convolve(const ops::Conv& spec, const float* kernel, const float* bias, const float* const* rows, float* out,
              uint32_t width);

// What one head of a scan is made of besides its input.
struct ScanHead {
    uint32_t index = 0;
    float a = 0, d = 0, step_bias = 0;
};
// One head's next token. in: x, B and C of the token side by side; step: its step size; state [head][d_state] is
// brought forward; out [head].
void scan(const ops::Scan& spec, const ScanHead& h, const float* in, float step, float* state, float* out);

// Keys and values of one state: [page][kv head][64 positions][head], each row of `head` numbers in its type's blocks.
struct Cache {
    uint8_t* keys = nullptr;
    uint8_t* values = nullptr;
    const quant::Format* k_format = nullptr;
    const quant::Format* v_format = nullptr;
    uint32_t n_heads = 0, head = 0;

    static uint64_t row_bytes(const quant::Format& format, uint32_t head) {
        return uint64_t(head) / format.block_len * format.block_bytes;
    }
    uint64_t row(kv::PageId page, uint32_t kv_head, uint32_t slot) const {
        return (uint64_t(page) * n_heads + kv_head) * kv::page_tokens + slot;
    }
    void store(kv::PageId page, uint32_t slot, const float* k, const float* v) const;
};

struct AttendScratch {
    std::vector<float> rows;  // one page of keys or values, decoded
    std::vector<float> keys;  // eight of them side by side
    // Per query head: running maximum, weight sum and weighted values, for a range and in all; scores; the query.
    std::vector<double> state;
    void resize(uint32_t n_group, uint32_t head);
};

// The query heads that read one KV head, for one row at `position`. q, out: [n_heads / n_kv_heads][head]; sinks: of
// these query heads, or nullptr.
void attend(const ops::Attend& spec, const Cache& cache, uint32_t kv_head, std::span<const kv::PageId> pages,
            uint32_t position, const float* sinks, const float* q, float* out, AttendScratch& scratch);

}  // namespace wallaby::backends::reference
