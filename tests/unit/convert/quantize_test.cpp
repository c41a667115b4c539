#include "convert/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "convert/mixes.h"
#include "convert/synthetic.h"
#include "support/edited_gguf.h"
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
    EXPECT_EQ(std::ranges::find(names, "IQ2_XXS"), names.end());
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
         {std::pair("Q4_K", "Q5_0"), std::pair("Q5_K", "Q5_1"), std::pair("Q6_K", "Q8_0"), std::pair("Q3_K", "IQ4_NL"),
          std::pair("Q2_K", "IQ4_NL")}) {
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
                               {"blk.1.ffn_down.weight", {96, 1}}});
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
    EXPECT_NE(refusal(one, "IQ2_XXS").find("no encoder"), std::string::npos);
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

// A disk that fails half way, after the header has been read.
class Failing final : public base::ByteSource {
  public:
    Failing(const std::vector<uint8_t>& bytes, const bool& fails) : inner_(bytes, "failing"), fails_(fails) {}
    uint64_t size() const override { return inner_.size(); }
    Result<void> read(uint64_t offset, std::span<uint8_t> out) const override {
        if (fails_ && offset + out.size() > inner_.size() / 2) {
            return Error{ErrorCode::io, "no more", {inner_.name(), "", {}}, ""};
        }
        return inner_.read(offset, out);
    }
    const std::string& name() const override { return inner_.name(); }

  private:
    base::MemorySource inner_;
    const bool& fails_;
};

TEST(ConvertQuantize, AReadThatFailsIsTheError) {
    const auto file = file_of({{"a.weight", {256, 2}}, {"b.weight", {256, 900}, Type::f16}});
    bool fails = false;
    const auto source = must(gguf::open_gguf(std::make_unique<Failing>(file, fails)));
    fails = true;
    for (const char* type : {"Q4_0", "F16"}) {  // encoded, and copied as it is
        const Made made = run(*source, must(plan_quantize(*source, type, {}, "out")), 2);
        ASSERT_FALSE(made.types.ok());
        EXPECT_EQ(made.types.error().what, "no more");
        EXPECT_FALSE(made.seen.committed);
    }
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
