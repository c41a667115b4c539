#include "convert/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "convert/mixes.h"
#include "convert/synthetic.h"
#include "gguf/rewrite.h"
#include "gguf/shards.h"
#include "support/edited_gguf.h"
#include "support/failing_source.h"
#include "support/memory_sink.h"
#include "support/random_weights.h"
#include "support/runner.h"
#include "support/split_gguf.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using namespace wallaby::testing;
using quant::Type;

std::unique_ptr<gguf::WeightSource> open(const std::vector<uint8_t>& bytes) {
    return must(gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "source")));
}

struct Given {
    std::string name;
    std::vector<uint64_t> dims;
    Type type = Type::f32;
    std::vector<float> values = {};  // else random
};

// A file of no family: quantising asks nothing of one.
std::vector<uint8_t> file_of(const std::vector<Given>& tensors) {
    GgufBytes file;
    file.kv("general.architecture", "nothing known").kv("general.file_type", "a string").kv("a.key", 3.5);
    file.array<int32_t>("an.array", {1, 2, 3}).kv("split.count", uint16_t(0));
    uint64_t seed = 1;
    for (const Given& t : tensors) {
        uint64_t n = 1;
        for (const uint64_t d : t.dims) { n *= d; }
        const std::vector<float> values = t.values.empty() ? random_weights("normal", n, seed++) : t.values;
        const quant::Format& format = quant::format_of(t.type);
        std::vector<uint8_t> bytes(n / format.block_len * format.block_bytes);
        if (format.encode != nullptr) { format.encode(values.data(), bytes.data(), n / format.block_len, nullptr); }
        file.tensor(t.name, t.dims, uint32_t(t.type), bytes);
    }
    return file.build();
}

// The tensors of a LLaMA 256 wide, with nine layers so that the mixes differ between them.
std::vector<Given> llama() {
    std::vector<Given> out{{"token_embd.weight", {256, 12}}};
    for (int i = 0; i < 9; i++) {
        const std::string blk = "blk." + std::to_string(i) + ".";
        for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
            out.push_back({blk + name + ".weight", {256, 4}, i % 2 == 0 ? Type::f16 : Type::bf16});
        }
        out.push_back({blk + "attn_norm.weight", {256}});
        out.push_back({blk + "attn_q.bias", {256}, Type::f16});
    }
    out.push_back({"output_norm.weight", {256}});
    out.push_back({"output.weight", {256, 12}});
    return out;
}

struct Made {
    MemorySink::Seen seen;
    Result<std::vector<QuantizedType>> types = std::vector<QuantizedType>();
};

Made run(const gguf::WeightSource& source, const QuantizePlan& plan, unsigned n_threads,
         const std::stop_token& stop = {}) {
    Made made;
    threads::Pool pool(n_threads);
    auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(made.seen), plan.draft));
    made.types = quantize(source, plan, std::move(writer), pool, {}, stop);
    return made;
}

std::vector<uint8_t> quantized(const gguf::WeightSource& source, std::string_view type,
                               const QuantizeOptions& options = {}, unsigned n_threads = 2) {
    const QuantizePlan plan = must(plan_quantize(source, type, options, "out"));
    Made made = run(source, plan, n_threads);
    must(std::move(made.types));
    EXPECT_TRUE(made.seen.committed);
    EXPECT_EQ(made.seen.bytes.size(), plan.layout.file_bytes);
    return std::move(made.seen.bytes);
}

std::vector<uint8_t> bytes_of(const gguf::WeightSource& source, const gguf::Tensor& tensor) {
    std::vector<uint8_t> bytes(tensor.n_bytes);
    EXPECT_TRUE(source.read(tensor, 0, bytes).ok());
    return bytes;
}

std::string type_of(const gguf::WeightSource& source, std::string_view name) {
    return std::string(quant::format_of(source.find(name)->type).name);
}

// Every tensor of every type: what the mix says, and the bytes that the format's encoder gives for it as a whole.
TEST(ConvertQuantize, TensorsAreWhatTheMixSaysAndWhatTheirEncoderGives) {
    const auto file = file_of(llama());
    const auto source = open(file);
    std::vector<TensorShape> shapes;
    for (const Given& t : llama()) { shapes.push_back({t.name, t.dims}); }
    for (const std::string_view name : quantize_names()) {
        if (name == copy_name) { continue; }
        SCOPED_TRACE(std::string(name));
        const Types expected = must(choose_types(name, shapes));
        const auto out_file = quantized(*source, name);
        const auto out = open(out_file);
        ASSERT_EQ(out->tensors().size(), shapes.size());
        EXPECT_EQ(must(out->metadata().u32("general.file_type")), expected.file_type);
        EXPECT_EQ(must(out->metadata().u32("general.quantization_version")), 2u);
        for (size_t i = 0; i < shapes.size(); i++) {
            const gguf::Tensor &from = source->tensors()[i], &to = out->tensors()[i];
            EXPECT_EQ(to.name, from.name);
            EXPECT_EQ(to.dims, from.dims);
            const bool is_matrix = from.n_dims > 1;
            // Vectors stay as they are; F32 is for all of them.
            EXPECT_EQ(to.type, is_matrix || name == "F32" ? expected.of[i] : from.type) << to.name;
            const std::vector<float> values = must(gguf::read_floats(*source, from, UINT64_MAX));
            std::vector<uint8_t> bytes(to.n_bytes);
            const quant::Format& format = quant::format_of(to.type);
            format.encode(values.data(), bytes.data(), values.size() / format.block_len, nullptr);
            EXPECT_EQ(bytes_of(*out, to), bytes) << to.name;
        }
    }
}

TEST(ConvertQuantize, TypesByName) {
    const auto file = file_of(llama());
    const auto source = open(file);
    const auto mixed_file = quantized(*source, "q4_k_m"), pure_file = quantized(*source, "Q4_K_M", {.pure = true});
    const auto mixed = open(mixed_file), pure = open(pure_file);
    EXPECT_EQ(type_of(*mixed, "output.weight"), "Q6_K");
    EXPECT_EQ(type_of(*mixed, "blk.0.attn_v.weight"), "Q6_K");
    EXPECT_EQ(type_of(*mixed, "blk.0.attn_q.weight"), "Q4_K");
    for (const char* name : {"output.weight", "blk.0.attn_v.weight", "blk.0.attn_q.weight", "token_embd.weight"}) {
        EXPECT_EQ(type_of(*pure, name), "Q4_K") << name;
    }
    for (const auto* out : {mixed.get(), pure.get()}) {
        EXPECT_EQ(type_of(*out, "blk.0.attn_norm.weight"), "F32");
        EXPECT_EQ(type_of(*out, "blk.0.attn_q.bias"), "F16");
        EXPECT_EQ(must(out->metadata().u32("general.file_type")), 15u);
    }
    const auto names = quantize_names();
    for (const char* name : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q2_K", "Q6_K", "IQ4_NL", "Q3_K_S", "Q5_K_M"}) {
        EXPECT_NE(std::ranges::find(names, name), names.end()) << name;
    }
    EXPECT_EQ(std::ranges::find(names, "I8"), names.end());
}

TEST(ConvertQuantize, MetadataIsKept) {
    const auto file = file_of(llama());
    const auto source = open(file);
    const auto out_file = quantized(*source, "Q8_0");
    const auto out = open(out_file);
    EXPECT_EQ(must(out->metadata().string("general.architecture")), "nothing known");
    EXPECT_EQ(must(out->metadata().number("a.key")), 3.5);
    EXPECT_EQ(must(out->metadata().integers("an.array")), (std::vector<int32_t>{1, 2, 3}));
    EXPECT_FALSE(out->metadata().has("split.count"));
    EXPECT_EQ(out->metadata().entries().size(), 5u);
}

// A row that is no whole blocks gets what the mixes put in its place.
TEST(ConvertQuantize, OddRowsFallBack) {
    const auto file = file_of({{"blk.0.ffn_up.weight", {96, 5}},
                               {"blk.0.ffn_down.weight", {172, 3}},
                               {"blk.0.attn_q.weight", {64, 3, 2}},
                               {"blk.0.odd.weight", {1, 7}}});
    const auto source = open(file);
    for (const auto& [type, expected] :
         {std::pair("Q4_K", "Q5_0"), std::pair("Q5_K", "Q5_1"), std::pair("Q6_K", "Q8_0"), std::pair("Q3_K", "Q4_0"),
          std::pair("Q2_K", "Q4_0")}) {
        EXPECT_EQ(must(plan_quantize(*source, type, {}, "out")).n_replaced, 4u);
        const auto out_file = quantized(*source, type);
        const auto out = open(out_file);
        EXPECT_EQ(type_of(*out, "blk.0.ffn_up.weight"), expected);
        EXPECT_EQ(type_of(*out, "blk.0.attn_q.weight"), expected);
        EXPECT_EQ(type_of(*out, "blk.0.ffn_down.weight"), "F16");
        EXPECT_EQ(type_of(*out, "blk.0.odd.weight"), "F16");
    }
}

// Tensors larger than a piece and a file larger than a round, in rows that pieces cut anywhere.
TEST(ConvertQuantize, BytesDoNotDependOnThreadsNorOnPieces) {
    const auto file = file_of({{"blk.0.ffn_up.weight", {96, 70000}, Type::f16},
                               {"blk.0.ffn_down.weight", {256, 500}, Type::bf16},
                               {"blk.1.ffn_down.weight", {96, 2}}});
    const auto source = open(file);
    for (const char* type : {"Q4_0", "BF16", "Q4_K"}) {
        const QuantizePlan plan = must(plan_quantize(*source, type, {}, "out"));
        const Made one = run(*source, plan, 1);
        for (const unsigned n_threads : {2u, 5u}) {
            const Made several = run(*source, plan, n_threads);
            EXPECT_EQ(several.seen.bytes, one.seen.bytes) << type;
            ASSERT_EQ(several.types->size(), one.types->size());
            for (size_t i = 0; i < one.types->size(); i++) {
                EXPECT_EQ((*several.types)[i].error_squared, (*one.types)[i].error_squared);
                EXPECT_EQ((*several.types)[i].size_squared, (*one.types)[i].size_squared);
            }
        }
        const auto out = open(one.seen.bytes);
        double off = 0, size = 0;
        for (size_t t = 0; t < out->tensors().size(); t++) {
            const auto a = must(gguf::read_floats(*out, out->tensors()[t], UINT64_MAX));
            const auto b = must(gguf::read_floats(*source, source->tensors()[t], UINT64_MAX));
            for (size_t i = 0; i < a.size(); i++) {
                off += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
                size += double(b[i]) * double(b[i]);
            }
        }
        double told_off = 0, told_size = 0;
        for (const QuantizedType& entry : *one.types) {
            told_off += entry.error_squared;
            told_size += entry.size_squared;
        }
        EXPECT_NEAR(told_off / off, 1, 1e-9) << type;
        // What was in BF16 already is copied, and not counted.
        if (std::string_view(type) != "BF16") { EXPECT_NEAR(told_size / size, 1, 1e-9); }
    }
}

TEST(ConvertQuantize, WhatIsQuantisedStaysUnlessAsked) {
    const auto file =
        file_of({{"blk.0.ffn_up.weight", {256, 4}, Type::f16}, {"blk.1.ffn_up.weight", {256, 4}, Type::q8_0}});
    const auto source = open(file);
    const auto refused = plan_quantize(*source, "Q4_K", {}, "out");
    ASSERT_FALSE(refused.ok());
    const std::string message = refused.error().message();
    for (const char* part : {"source", "blk.1.ffn_up.weight", "Q8_0", "--allow-requantize"}) {
        EXPECT_NE(message.find(part), std::string::npos) << message;
    }
    const auto asked_file = quantized(*source, "Q4_K", {.allow_requantize = true});
    EXPECT_EQ(type_of(*open(asked_file), "blk.1.ffn_up.weight"), "Q4_K");
    EXPECT_FALSE(plan_quantize(*source, "F16", {}, "out").ok());
    // As it is, or in F32, nothing is lost.
    const auto same_file = quantized(*source, "Q8_0"), wide_file = quantized(*source, "F32");
    const auto same = open(same_file), wide = open(wide_file);
    EXPECT_EQ(bytes_of(*same, same->tensors()[1]), bytes_of(*source, source->tensors()[1]));
    EXPECT_EQ(must(gguf::read_floats(*wide, wide->tensors()[1], 1024)),
              must(gguf::read_floats(*source, source->tensors()[1], 1024)));
}

TEST(ConvertQuantize, WhatCannotBeDone) {
    const auto refusal = [](const std::vector<Given>& tensors, std::string_view type) {
        const auto file = file_of(tensors);
        const auto plan = plan_quantize(*open(file), type, {}, "out");
        return plan.ok() ? std::string() : plan.error().message();
    };
    const std::vector<Given> one = {{"blk.0.ffn_up.weight", {256, 2}}};
    EXPECT_EQ(refusal(one, "Q4_K"), "");
    EXPECT_NE(refusal(one, "Q9").find("Q4_K_M"), std::string::npos);
    for (const quant::Format& format : quant::formats()) {
        if (format.encode != nullptr || !is_weight_type(format.type)) { continue; }
        EXPECT_NE(refusal(one, format.name).find("no encoder"), std::string::npos) << format.name;
    }
    EXPECT_NE(refusal(one, "I8").find("no type that weights can have"), std::string::npos);
    EXPECT_NE(refusal({}, "Q4_K").find("no tensors"), std::string::npos);
    EXPECT_NE(refusal({{"blk.0.ffn_up.weight", {256, 2}, Type::i32}}, "Q4_K").find("integers"), std::string::npos);
    // Integers that are no matrices stay.
    const auto file = file_of({{"table", {256, 2}, Type::i32}, {"blk.0.ffn_up.weight", {256, 2}}});
    for (const char* type : {"Q4_K", "F32"}) {
        const auto out_file = quantized(*open(file), type);
        EXPECT_EQ(type_of(*open(out_file), "table"), "I32");
    }
}

// The error is that of the first such weight in the file, whichever thread sees it first.
TEST(ConvertQuantize, WeightsThatAreNotFiniteAreNamed) {
    std::vector<float> values(256 * 400, 0.5f);
    values[256 * 300 + 17] = std::numeric_limits<float>::quiet_NaN();
    values[256 * 301] = std::numeric_limits<float>::infinity();
    const auto file =
        file_of({{"blk.0.ffn_up.weight", {256, 2}}, {"blk.1.ffn_up.weight", {256, 400}, Type::f32, values}});
    const auto source = open(file);
    for (const char* type : {"Q8_0", "Q4_K", "F16"}) {
        const QuantizePlan plan = must(plan_quantize(*source, type, {}, "out"));
        for (const unsigned n_threads : {1u, 3u}) {
            const Made made = run(*source, plan, n_threads);
            ASSERT_FALSE(made.types.ok());
            EXPECT_FALSE(made.seen.committed);
            EXPECT_EQ(made.types.error().code, ErrorCode::numeric);
            const std::string message = made.types.error().message();
            EXPECT_NE(message.find("blk.1.ffn_up.weight"), std::string::npos) << message;
            EXPECT_NE(message.find("nan at row 300, column 17"), std::string::npos) << message;
        }
    }
}

TEST(ConvertQuantize, WeightsBeyondTheTypeAreNamed) {
    std::vector<float> values(256 * 3, 1.0f);
    values[256 + 9] = 1e12f;
    const auto file = file_of({{"blk.0.ffn_up.weight", {256, 3}, Type::f32, values}});
    const auto source = open(file);
    for (const char* type : {"Q8_0", "Q6_K", "Q2_K", "F16"}) {
        const Made made = run(*source, must(plan_quantize(*source, type, {}, "out")), 2);
        ASSERT_FALSE(made.types.ok()) << type;
        EXPECT_FALSE(made.seen.committed);
        const std::string message = made.types.error().message();
        EXPECT_NE(message.find("row 1, column"), std::string::npos) << message;
        EXPECT_NE(message.find(type), std::string::npos) << message;
    }
    EXPECT_TRUE(run(*source, must(plan_quantize(*source, "BF16", {}, "out")), 2).types.ok());
}

TEST(ConvertQuantize, AStopEndsIt) {
    const auto file = file_of(llama());
    const auto source = open(file);
    std::stop_source stop;
    stop.request_stop();
    const Made made = run(*source, must(plan_quantize(*source, "Q4_K", {}, "out")), 2, stop.get_token());
    ASSERT_FALSE(made.types.ok());
    EXPECT_EQ(made.types.error().code, ErrorCode::cancelled);
    EXPECT_FALSE(made.seen.committed);
}

// Any read, after the header's: of what is encoded, and of what is copied as it is.
TEST(ConvertQuantize, AReadThatFailsIsTheErrorWhicheverItIs) {
    const auto file = file_of({{"a.weight", {256, 2}}, {"b.weight", {256, 900}, Type::f16}});
    uint64_t n_left = UINT64_MAX;
    const auto source = must(gguf::open_gguf(std::make_unique<FailingSource>(file, n_left)));
    for (const char* type : {"Q4_0", "F16"}) {
        n_left = UINT64_MAX;
        const QuantizePlan plan = must(plan_quantize(*source, type, {}, "out"));
        uint64_t n = 0;
        for (bool ok = false; !ok; n++) {
            n_left = n;
            const Made made = run(*source, plan, 1);
            ok = made.types.ok();
            EXPECT_EQ(made.seen.committed, ok);
            if (!ok) { EXPECT_EQ(made.types.error().what, "no more"); }
        }
        EXPECT_GE(n, 9u);  // eight pieces of the second tensor
    }
}

TEST(ConvertQuantize, RulesGiveTypesToMatricesByName) {
    const auto file = file_of(llama());
    const auto source = open(file);
    const QuantizeOptions options{
        .rules = {{"\\.[0-3]\\.attn_q", Type::q8_0}, {"attn_q|ffn_up", Type::q6_k}, {"output", Type::q5_1}}};
    const auto out_file = quantized(*source, "Q4_K_S", options);
    const auto out = open(out_file);
    EXPECT_EQ(type_of(*out, "blk.0.attn_q.weight"), "Q8_0");  // the first rule that fits
    EXPECT_EQ(type_of(*out, "blk.4.attn_q.weight"), "Q6_K");
    EXPECT_EQ(type_of(*out, "blk.0.ffn_up.weight"), "Q6_K");
    EXPECT_EQ(type_of(*out, "output.weight"), "Q5_1");
    EXPECT_EQ(type_of(*out, "blk.0.attn_output.weight"), "Q5_1");
    EXPECT_EQ(type_of(*out, "output_norm.weight"), "F32");  // no matrix
    EXPECT_EQ(type_of(*out, "blk.5.attn_k.weight"), "Q4_K");
    // Whatever the mix, and where nothing else changes.
    const auto half_file = quantized(*source, "copy", {.rules = {{"attn_k", Type::q8_0}}});
    const auto half = open(half_file);
    EXPECT_EQ(type_of(*half, "blk.0.attn_k.weight"), "Q8_0");
    EXPECT_EQ(type_of(*half, "blk.0.attn_q.weight"), "F16");
    EXPECT_EQ(type_of(*half, "blk.1.attn_q.weight"), "BF16");
    for (const char* pattern : {"atn_k", "_norm", "("}) {
        const auto refused =
            plan_quantize(*source, "Q4_K_S", {.rules = {{"attn_k", Type::q8_0}, {pattern, Type::q8_0}}}, "out");
        ASSERT_FALSE(refused.ok()) << pattern;
        EXPECT_EQ(refused.error().code, ErrorCode::argument);
        EXPECT_NE(refused.error().what.find(pattern), std::string::npos);
    }
}

TEST(ConvertQuantize, TheOutputAndTheEmbeddingAsAsked) {
    for (const bool tied : {false, true}) {
        auto tensors = llama();
        if (tied) { tensors.pop_back(); }
        const auto file = file_of(tensors);
        const auto source = open(file);
        const auto type_in = [&](const QuantizeOptions& options, std::string_view name) {
            const auto plan = must(plan_quantize(*source, "Q4_K_S", options, "out"));
            for (const gguf::Tensor& t : plan.layout.tensors) {
                if (t.name == name) { return t.type; }
            }
            return Type::i8;
        };
        const char* const output = tied ? "token_embd.weight" : "output.weight";
        EXPECT_EQ(type_in({.output = Type::q5_0}, output), Type::q5_0);
        EXPECT_EQ(type_in({.embedding = Type::q5_1}, "token_embd.weight"), Type::q5_1);
        EXPECT_EQ(type_in({.output = Type::q5_0, .embedding = Type::q5_1}, "token_embd.weight"), Type::q5_1);
        EXPECT_EQ(type_in({.output = Type::q5_0, .rules = {{"output|embd", Type::q8_0}}}, output), Type::q5_0);
        if (!tied) {
            EXPECT_EQ(type_in({.output = Type::q5_0}, "token_embd.weight"), Type::q4_k);
            EXPECT_EQ(type_in({.embedding = Type::q5_1}, "output.weight"), Type::q6_k);
            EXPECT_EQ(type_in({.leave_output = true}, "output.weight"), Type::f32);
        }
    }
}

TEST(ConvertQuantize, CopyKeepsEveryTensor) {
    const auto file = file_of({{"blk.0.ffn_up.weight", {256, 4}, Type::q4_0}, {"x", {3}, Type::i32}});
    const auto source = open(file);
    const auto out_file = quantized(*source, "COPY");
    const auto out = open(out_file);
    for (size_t i = 0; i < 2; i++) {
        EXPECT_EQ(bytes_of(*out, out->tensors()[i]), bytes_of(*source, source->tensors()[i]));
    }
    EXPECT_EQ(must(out->metadata().string("general.file_type")), "a string");  // as it was
}

TEST(ConvertQuantize, TypesGivenTensorByTensor) {
    const auto file = file_of({{"blk.0.ffn_up.weight", {96, 4}, Type::f16},
                               {"blk.0.ffn_down.weight", {256, 4}, Type::q8_0},
                               {"blk.0.attn_norm.weight", {96}},
                               {"table", {256, 2}, Type::i32}});
    const auto source = open(file);
    std::vector<std::vector<Type>> possible;
    for (const gguf::Tensor& tensor : source->tensors()) {
        possible.push_back(possible_types(tensor, false));
        const auto more = possible_types(tensor, true);
        EXPECT_TRUE(std::ranges::includes(more, possible.back()));
    }
    const auto has = [&](size_t i, Type type) { return std::ranges::find(possible[i], type) != possible[i].end(); };
    EXPECT_TRUE(has(0, Type::f16) && has(0, Type::q4_0) && has(0, Type::f32));
    EXPECT_FALSE(has(0, Type::q4_k));  // 96 are no whole blocks
    EXPECT_EQ(possible[1], (std::vector{Type::f32, Type::q8_0}));
    EXPECT_EQ(possible[2], std::vector{Type::f32});
    EXPECT_EQ(possible[3], std::vector{Type::i32});
    EXPECT_TRUE(std::ranges::includes(possible_types(source->tensors()[1], true), std::vector{Type::q4_k, Type::q6_k}));
    for (const Type type : possible[0]) {
        const std::vector<Type> types = {type, Type::q8_0, Type::f32, Type::i32};
        const QuantizePlan plan = must(plan_types(*source, types, {.file_type = 7u}, "out"));
        EXPECT_EQ(plan.layout.tensors[0].type, type);
        EXPECT_TRUE(run(*source, plan, 1).types.ok());
    }
}

TEST(ConvertQuantize, TypesThatWantAnImportanceAreCounted) {
    const auto file = file_of(llama());
    const auto source = open(file);
    EXPECT_EQ(must(plan_quantize(*source, "Q4_K_M", {}, "out")).n_wanting_importance, 0u);
    EXPECT_EQ(must(plan_quantize(*source, "Q2_K", {}, "out")).n_wanting_importance, 0u);
    // All but attn_v, one ffn_down, the embedding's and the output's.
    EXPECT_EQ(must(plan_quantize(*source, "Q2_K_S", {}, "out")).n_wanting_importance, 9u * 7 - 1);
}

// As many files as there were, and what is in each.
TEST(ConvertQuantize, ASetBecomesASet) {
    std::string folder = ::testing::TempDir() + "wallaby-quantize-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const TinyModel tiny;
    const auto whole = tiny.open();
    for (const bool first_without_tensors : {false, true}) {
        const auto paths =
            write_split(*whole, folder + "/m", {.n_files = 3, .first_without_tensors = first_without_tensors});
        const auto parts = must(gguf::open_gguf(paths[0]));
        const auto n_tensors = must(gguf::tensors_of_files(*parts));
        const QuantizePlan plan = must(plan_quantize(*parts, "Q8_0", {}, "out"));
        threads::Pool pool(2);
        const std::string prefix = folder + (first_without_tensors ? "/b" : "/a");
        must(quantize(*parts, plan, must(gguf::SetWriter::create(prefix, plan.draft, n_tensors)), pool, {}, {}));
        const auto set = must(gguf::open_gguf(gguf::shard_path(prefix, 0, 3)));
        EXPECT_EQ(must(gguf::tensors_of_files(*set)), n_tensors);
        const auto one_file = quantized(*whole, "Q8_0");
        const auto one = open(one_file);
        for (const gguf::Tensor& tensor : set->tensors()) {
            EXPECT_EQ(bytes_of(*set, tensor), bytes_of(*one, *one->find(tensor.name))) << tensor.name;
        }
        EXPECT_EQ(must(set->metadata().u32("general.file_type")), 7u);
    }
    std::filesystem::remove_all(folder);
}

// A split set becomes one file, and quantising it is quantising the whole.
TEST(ConvertQuantize, SplitFilesBecomeOne) {
    std::string folder = ::testing::TempDir() + "wallaby-quantize-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const TinyModel tiny;
    const auto whole = tiny.open();
    const auto paths = write_split(*whole, folder + "/m", {.n_files = 3});
    const auto parts = must(gguf::open_gguf(paths[0]));
    const auto a_file = quantized(*whole, "Q8_0"), b_file = quantized(*parts, "Q8_0");
    const auto a = open(a_file), b = open(b_file);
    ASSERT_EQ(b->tensors().size(), a->tensors().size());
    for (const gguf::Tensor& tensor : a->tensors()) {
        EXPECT_EQ(bytes_of(*b, *b->find(tensor.name)), bytes_of(*a, tensor)) << tensor.name;
    }
    EXPECT_FALSE(b->metadata().has("split.no"));
    std::filesystem::remove_all(folder);
}

// What comes out runs, and the better the type, the nearer it is to the original.
TEST(ConvertQuantize, QuantisedModelsRun) {
    const TinyModel tiny{.n_embd = 256, .n_heads = 4, .n_heads_kv = 2, .n_ff = 512};
    const auto source = tiny.open();
    const std::vector<int32_t> tokens{1, 10, 20, 30, 40, 261, 262};
    const auto expected = Runner(*source, {}).feed(tokens);
    double before = 0;
    for (const char* type : {"F32", "F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K"}) {
        const auto out_file = quantized(*source, type);
        const double error = relative_error(Runner(*open(out_file), {}).feed(tokens), expected);
        std::printf("[ measured ] %s: %.5f\n", type, error);
        EXPECT_GE(error, before) << type;
        EXPECT_LE(error, 0.9) << type;
        if (std::string_view(type) == "F32") { EXPECT_EQ(error, 0.0); }
        if (std::string_view(type) == "Q8_0") { EXPECT_LE(error, 0.03); }
        before = error;
    }
}

}  // namespace
