// The same logits to the bit, however a text is cut into steps, what else is in the batch, and how many threads run:
// the promise of docs/numerics.md. On models made here, on stories260K and on the golden ones where they are.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "convert/synthetic.h"
#include "support/data.h"
#include "support/joey.h"
#include "support/naive.h"
#include "support/runner.h"
#include "support/sanitized.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

std::vector<int32_t> some_tokens(size_t n, uint32_t n_vocab, uint64_t seed) {
    sampling::Random random(seed);
    std::vector<int32_t> out(n);
    for (int32_t& t : out) { t = int32_t(random.next() % n_vocab); }
    return out;
}

// Bit equality: NaN would not pass, nor -0 for +0.
void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
    ASSERT_EQ(a.size(), b.size()) << what;
    for (size_t i = 0; i < a.size(); i++) {
        ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i]))
            << what << ", element " << i << ": " << a[i] << " against " << b[i];
    }
}

std::vector<float> expect_invariant(const gguf::WeightSource& source, uint32_t n_tokens, uint32_t n_ctx, quant::Type kv,
                                    const std::string& backend) {
    const RunnerOptions base{.n_ctx = n_ctx, .n_seqs = 2, .n_threads = 1, .kv = kv, .backend = backend};
    Runner runner(source, base);
    const auto first = some_tokens(n_tokens, runner.n_vocab(), 1);
    const auto second = some_tokens(n_tokens * 2 / 3, runner.n_vocab(), 2);
    auto expected = runner.feed(first);
    const auto expected_second = runner.feed(second, 128, 1);
    for (const size_t n_chunk : {size_t(1), size_t(7), size_t(64)}) {
        if (under_sanitizer && n_chunk != 7) { continue; }  // the same code, for other numbers of rows
        runner.reset();
        expect_same_bits(runner.feed(first, n_chunk), expected, "chunks of " + std::to_string(n_chunk));
    }
    // Two sequences in one batch, in unequal pieces and changing order.
    runner.reset(0);
    runner.reset(1);
    std::vector<float> a, b;
    const size_t n_vocab = runner.n_vocab();
    for (size_t i = 0, j = 0; i < first.size() || j < second.size();) {
        const size_t di = std::min<size_t>(5, first.size() - i), dj = std::min<size_t>(3, second.size() - j);
        const Runner::Part pa{0, {first.begin() + std::ptrdiff_t(i), first.begin() + std::ptrdiff_t(i + di)}};
        const Runner::Part pb{1, {second.begin() + std::ptrdiff_t(j), second.begin() + std::ptrdiff_t(j + dj)}};
        const bool swapped = i % 2 == 1;
        const auto logits = swapped ? runner.step({pb, pa}) : runner.step({pa, pb});
        const auto middle = logits.begin() + std::ptrdiff_t((swapped ? dj : di) * n_vocab);
        (swapped ? b : a).insert((swapped ? b : a).end(), logits.begin(), middle);
        (swapped ? a : b).insert((swapped ? a : b).end(), middle, logits.end());
        i += di;
        j += dj;
    }
    expect_same_bits(a, expected, "interleaved, first sequence");
    expect_same_bits(b, expected_second, "interleaved, second sequence");
    for (const uint32_t n_threads : {2u, 3u, 4u}) {
        if (under_sanitizer && n_threads != 3) { continue; }
        RunnerOptions options = base;
        options.n_threads = n_threads;
        Runner threaded(source, options);
        expect_same_bits(threaded.feed(first), expected, std::to_string(n_threads) + " threads");
    }
    return expected;
}

// Each back end for itself; and the CPU back end's instruction sets, which also have to agree with each other.
void expect_invariant(const gguf::WeightSource& source, uint32_t n_tokens, uint32_t n_ctx, quant::Type kv) {
    {
        SCOPED_TRACE("reference");
        expect_invariant(source, n_tokens, n_ctx, kv, "reference");
    }
    SCOPED_TRACE("cpu");
    const auto fastest = expect_invariant(source, n_tokens, n_ctx, kv, "auto");
    Runner portable(source, {.n_ctx = n_ctx, .n_threads = 2, .kv = kv, .backend = "portable"});
    expect_same_bits(portable.feed(some_tokens(n_tokens, portable.n_vocab(), 1), 31), fastest, "portable");
    Runner in_file(
        source, {.n_ctx = n_ctx, .n_threads = 2, .kv = kv, .backend = "auto", .weights_in = backends::WeightsIn::file});
    expect_same_bits(in_file.feed(some_tokens(n_tokens, in_file.n_vocab(), 1), 31), fastest, "weights in the file");
}

const std::pair<const char*, TinyModel> models_made_here[] = {
    {"llama", {}},
    {"llama q8_0", {.type = quant::Type::q8_0}},
    {"llama q4_0 tied", {.tied = true, .type = quant::Type::q4_0}},
    {"llama moe", {.n_expert = 5, .n_used = 2, .biases = true}},
    {"mistral3 yarn",
     {.architecture = "mistral3",
      .numbers = {{"rope.scaling.factor", 4.0f},
                  {"rope.scaling.original_context_length", 64},
                  {"attention.temperature_scale", 0.1f}},
      .strings = {{"rope.scaling.type", "yarn"}}}},
    {"gpt2", {.architecture = "gpt2", .n_ctx = 512, .biases = true}},
    {"qwen3moe q8_0", {.architecture = "qwen3moe", .n_expert = 5, .n_used = 2, .type = quant::Type::q8_0}},
    {"gemma2 window", {.architecture = "gemma2", .numbers = {{"attention.sliding_window", 70}}}},
    {"gemma3 window",
     {.architecture = "gemma3",
      .n_layers = 6,
      .numbers = {{"attention.sliding_window", 20}, {"rope.scaling.factor", 8.0f}, {"rope.freq_base", 1e6f}}}},
    {"phi3 window", {.architecture = "phi3", .numbers = {{"attention.sliding_window", 64}}}},
    {"gpt-oss window and sinks",
     {.architecture = "gpt-oss",
      .n_expert = 5,
      .n_used = 2,
      .biases = true,
      .numbers = {{"attention.sliding_window", 33}}}},
    {"olmo2", {.architecture = "olmo2"}},
    {"mamba2", {.architecture = "mamba2"}},
    {"mamba2 q8_0", {.architecture = "mamba2", .type = quant::Type::q8_0}},
};

TEST(BackendsDeterminism, ModelsMadeHere) {
    for (const auto& [name, model] : models_made_here) {
        SCOPED_TRACE(name);
        if (!under_sanitizer) { expect_invariant(*model.open(), 150, 256, quant::Type::f32); }
        expect_invariant(*model.open(), 80, 256, quant::Type::f16);
    }
}

TEST(BackendsDeterminism, PastRangesOf256) {
    TinyModel model;
    model.n_layers = 1;
    model.n_embd = 32;
    expect_invariant(*model.open(), 600, 640, quant::Type::f32);
    model.architecture = "phi3";
    model.numbers = {{"attention.sliding_window", 300}};
    expect_invariant(*model.open(), 600, 640, quant::Type::f16);
}

TEST(BackendsDeterminism, CpuPastRangesOf256) {
    TinyModel model;
    model.n_layers = 1;
    model.n_embd = 64;
    for (const quant::Type kv : {quant::Type::f32, quant::Type::f16, quant::Type::bf16}) {
        expect_invariant(*model.open(), 1200, 1216, kv, "auto");
    }
}

// Keys and values of types that only the CPU back end keeps, at the one shape they need: heads of whole blocks.
TEST(BackendsDeterminism, QuantisedCaches) {
    for (const quant::Type kv : {quant::Type::q8_0, quant::Type::q4_0}) {
        SCOPED_TRACE(quant::format_of(kv).name);
        const auto source = must(convert::open_synthetic("tiny-dense", "Q8_0", 1));
        const uint32_t n_tokens = under_sanitizer ? 70 : 150;
        const auto fastest = expect_invariant(*source, n_tokens, 256, kv, "auto");
        Runner portable(*source, {.n_ctx = 256, .kv = kv, .backend = "portable"});
        expect_same_bits(portable.feed(some_tokens(n_tokens, portable.n_vocab(), 1), 31), fastest, "portable");
    }
}

// One format of each kind. (The digests of golden/ have all.)
TEST(BackendsDeterminism, CpuFormats) {
    for (const auto& [type, bound] : {std::pair{"F32", 2e-4},
                                      {"F16", 2e-4},
                                      {"BF16", 2e-4},
                                      {"Q4_0", 0.1},
                                      {"Q8_0", 0.1},
                                      {"Q4_K", 0.1},
                                      {"Q6_K", 0.1},
                                      {"Q5_1", 0.1},
                                      {"NVFP4", 0.1},
                                      {"IQ2_XS", 0.1}}) {
        for (const char* model : {"tiny-dense", "tiny-moe"}) {
            if (under_sanitizer && (model == std::string_view("tiny-moe")) != (type == std::string_view("Q4_K"))) {
                continue;
            }
            const auto source = must(convert::open_synthetic(model, type, 1));
            Runner fast(*source, {.n_ctx = 256, .n_threads = 2, .kv = quant::Type::f16, .backend = "auto"});
            Runner portable(*source, {.n_ctx = 256, .n_threads = 1, .kv = quant::Type::f16, .backend = "portable"});
            Runner reference(*source, {.n_ctx = 256, .n_threads = 2, .kv = quant::Type::f16});
            const auto tokens = some_tokens(13, fast.n_vocab(), 3);
            const auto logits = fast.feed(tokens);
            expect_same_bits(portable.feed(tokens, 5), logits, "portable");
            // Random weights amplify every rounding: of float32 by 500, of int8 activations (0.4 % each) by 15.
            const double error = relative_error(logits, reference.feed(tokens));
            std::printf("[ measured ] %s %s: %.2g\n", model, type, error);
            EXPECT_LE(error, bound) << model << " " << type;
        }
    }
}

TEST(BackendsDeterminism, JoeyF16) { expect_invariant(*open_joey(), 70, 128, quant::Type::f16); }  // two pages
TEST(BackendsDeterminism, JoeyF32) { expect_invariant(*open_joey(), 24, 64, quant::Type::f32); }
TEST(BackendsDeterminism, JoeyBf16) { expect_invariant(*open_joey(), 24, 64, quant::Type::bf16); }

TEST(BackendsDeterminism, Stories) {
    WALLABY_NEED_DATA(data);
    for (const char* name : {"stories260K.gguf", "stories260K-Q8_0.gguf", "stories260K-Q4_0.gguf"}) {
        SCOPED_TRACE(name);
        const auto source = must(gguf::open_gguf((data / "models" / "stories260K" / name).string()));
        if (!under_sanitizer) { expect_invariant(*source, 140, 256, quant::Type::f32); }
        expect_invariant(*source, under_sanitizer ? 70 : 140, 256, quant::Type::f16);
    }
}

TEST(BackendsDeterminism, GoldenFamilies) {
    WALLABY_NEED_DATA(data);
    for (const char* name :
         {"llama-dense", "llama-moe", "mistral3-dense", "mistral3-moe", "gpt2-dense", "qwen3moe-moe", "gemma2-dense",
          "gemma3-dense", "phi3-dense", "gpt-oss-moe", "olmo2-dense", "mamba2-dense"}) {
        SCOPED_TRACE(name);
        expect_invariant(*must(gguf::open_gguf((data / "golden" / "archs" / (std::string(name) + ".gguf")).string())),
                         under_sanitizer ? 40 : 100, 256, quant::Type::f32);
    }
}

RC_GTEST_PROP(BackendsDeterminism, AnyCutOfATextGivesTheSameBits, ()) {
    static const auto source = TinyModel{.n_expert = 3, .n_used = 2, .type = quant::Type::q8_0}.open();
    static Runner runner(*source, {.n_ctx = 256, .n_threads = 2, .kv = quant::Type::f16});
    static const auto tokens = some_tokens(130, TinyModel::n_vocab, 9);
    static const auto expected = [] {
        runner.reset();
        return runner.feed(tokens);
    }();
    runner.reset();
    std::vector<float> got;
    for (size_t i = 0; i < tokens.size();) {
        const size_t n = std::min<size_t>(*rc::gen::inRange<size_t>(1, 100), tokens.size() - i);
        const auto logits =
            runner.step({{0, {tokens.begin() + std::ptrdiff_t(i), tokens.begin() + std::ptrdiff_t(i + n)}}});
        got.insert(got.end(), logits.begin(), logits.end());
        i += n;
    }
    RC_ASSERT(got.size() == expected.size());
    RC_ASSERT(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) == 0);
}

// No family scales an expert's bias; the op can.
TEST(BackendsAgainstDouble, ScaledBiasesOfExperts) {
    TinyModel tiny{.n_expert = 5, .n_used = 2, .biases = true};
    for (const char* name : {"blk.0.ffn_up_exps.scale", "blk.0.ffn_down_exps.scale"}) {
        tiny.vectors[name] = {0.5f, -1, 2, 1.5f, -0.25f};
    }
    const auto source = tiny.open();
    Runner runner(*source, {.n_ctx = 256}, [](ops::Model& model) {
        for (ops::Op& op : model.programs[0].ops) {
            if (auto* matmul = std::get_if<ops::Matmul>(&op.spec)) { matmul->scale_bias = true; }
        }
    });
    const auto tokens = some_tokens(60, runner.n_vocab(), 4);
    Naive naive(runner.model(), *source);
    EXPECT_LE(relative_error(runner.feed(tokens), naive.logits(tokens)), 5e-7);
}

// Windows that end within a page, at its edge, and in another range than the newest key.
TEST(BackendsAgainstDouble, WindowsOfEveryKind) {
    for (const uint32_t window : {1u, 2u, 63u, 64u, 65u, 256u, 257u, 300u, 500u}) {
        TinyModel tiny{.architecture = "gpt-oss", .n_embd = 32, .n_layers = 2, .n_expert = 2, .n_used = 1};
        tiny.numbers = {{"attention.sliding_window", float(window)}};
        const auto source = tiny.open();
        Runner runner(*source, {.n_ctx = 512, .n_threads = 2});
        if (under_sanitizer && window != 65 && window != 300) { continue; }  // `naive` is quadratic
        const auto tokens = some_tokens(400, runner.n_vocab(), window);
        Naive naive(runner.model(), *source);
        EXPECT_LE(relative_error(runner.feed(tokens), naive.logits(tokens)), 5e-7) << window;
    }
}

// The CPU back end against the reference, where activations are not quantised: what is left is float32 arithmetic.
TEST(BackendsAgainstReference, ModelsMadeHere) {
    for (const auto& [name, model] : models_made_here) {
        if (model.type != quant::Type::f32) { continue; }
        const auto source = model.open();
        Runner cpu(*source, {.n_ctx = 256, .n_threads = 2, .backend = "auto"});
        Runner reference(*source, {.n_ctx = 256, .n_threads = 2});
        const auto tokens = some_tokens(100, cpu.n_vocab(), 4);
        const double error = relative_error(cpu.feed(tokens), reference.feed(tokens));
        std::printf("[ measured ] %s: %.2g\n", name, error);
        EXPECT_LE(error, 5e-6) << name;
    }
}

// The reference back end against the naive evaluation in double: what is left is the rounding of each op to float32.
TEST(BackendsAgainstDouble, ModelsMadeHere) {
    for (const auto& [name, model] : models_made_here) {
        const auto source = model.open();
        Runner runner(*source, {.n_ctx = 256, .n_threads = 2});
        const auto tokens = some_tokens(under_sanitizer ? 30 : 100, runner.n_vocab(), 4);
        Naive naive(runner.model(), *source);
        const double error = relative_error(runner.feed(tokens), naive.logits(tokens));
        std::printf("[ measured ] %s: %.2g\n", name, error);
        EXPECT_LE(error, 5e-7) << name;
    }
}

}  // namespace
