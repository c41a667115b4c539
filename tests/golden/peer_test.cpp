// Another engine on the same synthetic models, in every weight format. WALLABY_PEER is its command, with {model}, {out}
// (for little-endian float32 [n_tokens][n_vocab]) and {tokens} (ids with commas) in it; skipped where that is not set.
//
// llama.cpp, for which this is written, rounds a matmul's input to 8 bits where weights are quantised (and to the
// weights' own type for F16 and BF16). Rounded the same way, the naive evaluation in double gives its logits to 1e-6:
// what is left between the engines is that rounding and nothing else.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/float16.h"
#include "convert/streaming.h"
#include "convert/synthetic.h"
#include "support/data.h"
#include "support/naive.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using quant::Type;

// Blocks of 32 as Q8_0: codes from the f32 scale, which is then kept as f16.
void round_per_32(Naive::Row& x) {
    for (size_t first = 0; first < x.size(); first += 32) {
        float top = 0;
        for (size_t i = 0; i < 32; i++) { top = std::max(top, std::fabs(float(x[first + i]))); }
        const float d = top / 127.0f, inverse = d == 0 ? 0 : 1 / d;
        const double kept = base::f32_from_f16(base::f16_from_f32(d));
        for (size_t i = 0; i < 32; i++) { x[first + i] = kept * std::nearbyint(float(x[first + i]) * inverse); }
    }
}

// Super-blocks of 256 as Q8_K: the farthest value becomes -127 exactly, the scale stays f32.
void round_per_256(Naive::Row& x) {
    for (size_t first = 0; first < x.size(); first += 256) {
        float farthest = 0;
        for (size_t i = 0; i < 256; i++) {
            if (std::fabs(float(x[first + i])) > std::fabs(farthest)) { farthest = float(x[first + i]); }
        }
        if (farthest == 0) { continue; }
        const float inverse = -127.0f / farthest, d = 1 / inverse;
        for (size_t i = 0; i < 256; i++) {
            x[first + i] = double(d) * std::min(127.0f, std::nearbyint(float(x[first + i]) * inverse));
        }
    }
}

void round_as_llama_cpp(Naive::Row& x, Type type) {
    if (type == Type::f32) { return; }
    if (type == Type::f16 || type == Type::bf16) {
        for (double& v : x) {
            v = type == Type::f16 ? base::f32_from_f16(base::f16_from_f32(float(v)))
                                  : base::f32_from_bf16(base::bf16_from_f32(float(v)));
        }
        return;
    }
    if (quant::format_of(type).block_len == 256) {
        round_per_256(x);
    } else {
        round_per_32(x);
    }
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
        text.replace(at, from.size(), to);
    }
    return text;
}

std::vector<float> logits_of_peer(std::string command, const std::string& model, int32_t token) {
    const std::string out = model + ".logits";
    std::filesystem::remove(out);
    command = replaced(replaced(command, "{model}", model), "{out}", out);
    if (std::system(replaced(command, "{tokens}", std::to_string(token)).c_str()) != 0) { return {}; }
    auto logits = read_array<float>(out);
    std::filesystem::remove(out);
    return logits;
}

TEST(GoldenPeer, RoundingOfActivationsIsTheOnlyDifference) {
    const char* command = std::getenv("WALLABY_PEER");
    if (command == nullptr) { GTEST_SKIP() << "no other engine: WALLABY_PEER does not name its command"; }
    const std::string path = ::testing::TempDir() + "wallaby_peer_" + std::to_string(::getpid()) + ".gguf";
    threads::Pool pool(2);
    for (const quant::Format& format : quant::formats()) {
        if (format.type == Type::f64 || (format.type >= Type::i8 && format.type <= Type::i64)) { continue; }
        SCOPED_TRACE(std::string(format.name));
        const auto source = must(convert::open_synthetic("tiny-dense", format.name, 1));
        auto writer = must(gguf::Writer::create(path, source->draft()));
        ASSERT_TRUE(convert::write_source(*source, std::move(writer), pool, {}, {}).ok());
        Runner runner(*source, {.n_ctx = 64, .n_threads = 2});
        Naive rounded(runner.model(), *source);
        rounded.round_input = round_as_llama_cpp;
        double plain = 0, best = INFINITY;
        for (const int32_t token : {1, 77, 300}) {
            runner.reset();
            const std::vector<float> theirs = logits_of_peer(command, path, token);
            ASSERT_FALSE(theirs.empty()) << "it does not run this model";
            plain = std::max(plain, relative_error(runner.feed({token}), theirs));
            best = std::min(best, relative_error(rounded.logits({token}), theirs));
        }
        std::printf("[ measured ] %-8s %.1e, with its rounding %.1e\n", std::string(format.name).c_str(), plain, best);
        EXPECT_LE(plain, format.type == Type::f32 ? 1e-6 : format.type == Type::f16 ? 1e-3 : 3e-2);
        // One code that falls to the other side of a tie changes all that follow, so the best of the tokens counts.
        // F16 has many more steps, thus ties, to a token. Q4_1 and Q5_1 meet their minima with a sum of the codes that
        // is rounded to f16 as well.
        const bool has_more_roundings =
            format.type == Type::f16 || format.type == Type::q4_1 || format.type == Type::q5_1;
        if (!has_more_roundings) { EXPECT_LE(best, 1e-6); }
    }
    std::filesystem::remove(path);
}

}  // namespace
