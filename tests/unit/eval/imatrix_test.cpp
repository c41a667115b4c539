#include "eval/imatrix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/perplexity.h"
#include "eval_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::eval;
using namespace wallaby::testing;
using convert::Imatrix;
using convert::InputSums;

constexpr uint32_t n_ctx = 20;

Chunks some_chunks(uint32_t n) { return must(cut(random_tokens(size_t(n) * n_ctx), n_ctx, {}, 1)); }

Imatrix collected(const EvalModel& on, const Chunks& chunks, const ImatrixOptions& options = {}) {
    Imatrix out;
    const auto done = collect_imatrix(on.model, chunks, options, out, {}, {});
    EXPECT_TRUE(done.ok()) << done.error().message();
    return out;
}

std::vector<std::string> names_of(const Imatrix& imatrix) {
    std::vector<std::string> out;
    for (const InputSums& t : imatrix.tensors) { out.push_back(t.name); }
    return out;
}

void expect_same(const Imatrix& a, const Imatrix& b) {
    ASSERT_EQ(names_of(a), names_of(b));
    for (size_t i = 0; i < a.tensors.size(); i++) {
        EXPECT_EQ(a.tensors[i].squares, b.tensors[i].squares) << a.tensors[i].name;
        EXPECT_EQ(a.tensors[i].counts, b.tensors[i].counts) << a.tensors[i].name;
    }
    EXPECT_EQ(a.n_chunks, b.n_chunks);
}

// Every token of every chunk, each matrix of each layer; the output only where it is wanted.
TEST(EvalImatrix, CountsEveryRow) {
    const EvalModel tiny(TinyModel{.n_layers = 1});
    const Imatrix plain = collected(tiny, some_chunks(3));
    const std::vector<std::string> layer{"blk.0.attn_k.weight", "blk.0.attn_output.weight", "blk.0.attn_q.weight",
                                         "blk.0.attn_v.weight", "blk.0.ffn_down.weight",    "blk.0.ffn_gate.weight",
                                         "blk.0.ffn_up.weight"};
    EXPECT_EQ(names_of(plain), layer);
    EXPECT_EQ(plain.n_chunks, 3u);
    EXPECT_EQ(plain.chunk_size, n_ctx);
    for (const InputSums& t : plain.tensors) {
        EXPECT_EQ(t.counts, (std::vector<uint64_t>{3 * n_ctx})) << t.name;
        EXPECT_EQ(t.squares.size(), t.name == "blk.0.ffn_down.weight" ? 96u : 64u);
    }
    // They read the same rows.
    EXPECT_EQ(plain.find("blk.0.attn_q.weight")->squares, plain.find("blk.0.attn_v.weight")->squares);
    EXPECT_NE(plain.find("blk.0.attn_q.weight")->squares, plain.find("blk.0.ffn_up.weight")->squares);

    std::vector<std::string> with_output = layer;
    with_output.emplace_back("output.weight");
    EXPECT_EQ(names_of(collected(tiny, some_chunks(1), {.process_output = true})), with_output);
    const EvalModel tied(TinyModel{.n_layers = 1, .tied = true});
    with_output.back() = "token_embd.weight";
    EXPECT_EQ(names_of(collected(tied, some_chunks(1), {.process_output = true})), with_output);
}

// The first matmul reads the normed embedding: worked out here.
TEST(EvalImatrix, SumsAreThoseOfTheRowsRead) {
    const TinyModel tiny;
    const Chunks chunks = some_chunks(2);
    const Imatrix imatrix = collected(EvalModel(tiny), chunks);
    const auto source = tiny.open();
    const auto embedding = must(gguf::read_floats(*source, *source->find("token_embd.weight"), 1 << 20));
    const auto gain = must(gguf::read_floats(*source, *source->find("blk.0.attn_norm.weight"), 64));
    const double eps = must(source->metadata().number("llama.attention.layer_norm_rms_epsilon"));
    std::vector<double> expected(64);
    for (const int32_t token : chunks.tokens) {
        const float* x = embedding.data() + size_t(token) * 64;
        double square = 0;
        for (size_t i = 0; i < 64; i++) { square += double(x[i]) * x[i]; }
        const double scale = 1 / std::sqrt(square / 64 + eps);
        for (size_t i = 0; i < 64; i++) { expected[i] += std::pow(double(x[i]) * scale * gain[i], 2); }
    }
    const InputSums& q = *imatrix.find("blk.0.attn_q.weight");
    for (size_t i = 0; i < 64; i++) {  // each row is rounded to float32 a few times: 2^-24 and twice that squared
        EXPECT_NEAR(q.squares[i] / expected[i], 1, 1e-6) << i;
    }
}

TEST(EvalImatrix, ExpertsCountTheRowsThatCameToThem) {
    const TinyModel tiny{.n_layers = 1, .n_expert = 5, .n_used = 2};
    const Imatrix imatrix = collected(EvalModel(tiny), some_chunks(2));
    for (const char* name : {"blk.0.ffn_up_exps.weight", "blk.0.ffn_gate_exps.weight", "blk.0.ffn_down_exps.weight"}) {
        const InputSums* t = imatrix.find(name);
        ASSERT_NE(t, nullptr) << name;
        ASSERT_EQ(t->counts.size(), 5u);
        uint64_t n_rows = 0;
        for (const uint64_t n : t->counts) { n_rows += n; }
        EXPECT_EQ(n_rows, 2 * 2 * n_ctx);
        EXPECT_EQ(t->counts, imatrix.find("blk.0.ffn_up_exps.weight")->counts);
        for (size_t e = 0; e < 5; e++) {
            const auto first = t->squares.begin() + std::ptrdiff_t(e * t->n_in());
            const bool is_zero = std::all_of(first, first + std::ptrdiff_t(t->n_in()), [](double v) { return v == 0; });
            EXPECT_EQ(is_zero, t->counts[e] == 0);
        }
    }
    // Each row came to two experts.
    const InputSums &router = *imatrix.find("blk.0.ffn_gate_inp.weight"),
                    &up = *imatrix.find("blk.0.ffn_up_exps.weight");
    for (size_t i = 0; i < 64; i++) {
        double all = 0;
        for (size_t e = 0; e < 5; e++) { all += up.squares[e * 64 + i]; }
        EXPECT_NEAR(all / (2 * router.squares[i]), 1, 1e-12);  // the same doubles in another order
    }
}

// Several matrices are parts of attn_qkv and ffn_up: a row counts once.
TEST(EvalImatrix, PartsOfATensorAreOne) {
    const Imatrix imatrix = collected(EvalModel(TinyModel{.architecture = "phi3"}), some_chunks(1));
    for (const char* name : {"blk.0.attn_qkv.weight", "blk.0.ffn_up.weight"}) {
        ASSERT_NE(imatrix.find(name), nullptr) << name;
        EXPECT_EQ(imatrix.find(name)->counts, (std::vector<uint64_t>{n_ctx}));
    }
}

TEST(EvalImatrix, TheSameBitsWhateverTheBatchAndTheThreads) {
    const TinyModel tiny{.n_expert = 5, .n_used = 2};
    const Imatrix once = collected(EvalModel(tiny), some_chunks(2));
    for (const uint32_t n_batch : {1u, 7u}) {
        expect_same(collected(EvalModel(tiny, n_batch, 3), some_chunks(2)), once);
    }
}

// Chunk by chunk into one matrix, or into two that are added up.
TEST(EvalImatrix, ChunksAddUp) {
    const EvalModel tiny;
    const Chunks both = some_chunks(2);
    Chunks first = both, second = both;
    first.tokens.resize(n_ctx);
    second.tokens.erase(second.tokens.begin(), second.tokens.begin() + n_ctx);
    Imatrix sum = collected(tiny, first);
    const Imatrix rest = collected(tiny, second);
    Imatrix on_top = sum;
    ASSERT_TRUE(convert::add(sum, rest).ok());
    expect_same(sum, collected(tiny, both));
    ASSERT_TRUE(collect_imatrix(tiny.model, second, {}, on_top, {}, {}).ok());
    expect_same(on_top, sum);
}

TEST(EvalImatrix, PerplexityIsThatOfTheText) {
    const EvalModel tiny;
    const Chunks chunks = some_chunks(3);
    std::vector<double> running;
    Imatrix out;
    const auto note = [&](size_t n_done, size_t n_total, const Estimate& ppl) -> Result<void> {
        EXPECT_EQ(n_total, 3u);
        running.push_back(ppl.value);
        EXPECT_EQ(running.size(), n_done);
        EXPECT_EQ(out.n_chunks, n_done);
        return {};
    };
    ASSERT_TRUE(collect_imatrix(tiny.model, chunks, {}, out, note, {}).ok());
    const Perplexity expected = must(perplexity(*tiny.session, chunks, nullptr, {}, {}));
    ASSERT_EQ(running.size(), 3u);
    for (size_t i = 0; i < 3; i++) { EXPECT_EQ(running[i], expected.running[i].value); }
}

// A stop in the middle of a chunk leaves the chunks before it.
TEST(EvalImatrix, AStopLeavesWholeChunks) {
    const EvalModel tiny;
    const Chunks chunks = some_chunks(3);
    Chunks one = chunks;
    one.tokens.resize(n_ctx);
    std::stop_source stop;
    Imatrix out;
    const auto note = [&](size_t, size_t, const Estimate&) -> Result<void> {
        stop.request_stop();
        return {};
    };
    const auto done = collect_imatrix(tiny.model, chunks, {}, out, note, stop.get_token());
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, ErrorCode::cancelled);
    expect_same(out, collected(tiny, one));
}

TEST(EvalImatrix, AnotherModelsIsRefused) {
    const EvalModel tiny, wider(TinyModel{.n_ff = 128});
    Imatrix imatrix = collected(tiny, some_chunks(1));
    const Imatrix before = imatrix;
    const auto done = collect_imatrix(wider.model, some_chunks(1), {}, imatrix, {}, {});
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().where.field, "tensor 'blk.0.ffn_down.weight'");
    expect_same(imatrix, before);
}

}  // namespace
