// What a LoRA adapter's file has to be, and what each lie about it is answered with.
#include "gguf/adapter.h"

#include <gtest/gtest.h>

#include "support/gguf_bytes.h"
#include "support/lora.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

constexpr const char* name_a = "blk.0.attn_k.weight.lora_a";
constexpr const char* name_b = "blk.0.attn_k.weight.lora_b";

// Of the tiny llama, whose blk.0.attn_k.weight is 64 x 32.
struct Pair {
    std::string a = name_a, b = name_b;
    std::vector<uint64_t> dims_a{64, 2}, dims_b{2, 32};
    float value = 0.5f;
    std::string type = "adapter", kind = "lora", architecture = "llama";
    float alpha = 4;

    GgufBytes file() const {
        GgufBytes out;
        if (!type.empty()) { out.kv("general.type", type); }
        if (!kind.empty()) { out.kv("adapter.type", kind); }
        out.kv("general.architecture", architecture).kv("adapter.lora.alpha", alpha);
        const auto put = [&](const std::string& name, const std::vector<uint64_t>& dims) {
            uint64_t n = 1;
            for (const uint64_t d : dims) { n *= d; }
            if (!name.empty()) { out.tensor_f32(name, dims, std::vector<float>(n, value)); }
        };
        put(a, dims_a);
        put(b, dims_b);
        return out;
    }
};

Result<std::unique_ptr<gguf::Adapter>> read(const GgufBytes& file, const TinyModel& model = {}) {
    return gguf::Adapter::read(*TinyModel::open_bytes(file.build()), *model.open());
}

TEST(GgufAdapter, HasItsFactors) {
    const auto adapter = must(read(Pair().file()));
    ASSERT_EQ(adapter->changes().size(), 1u);
    const auto& [name, change] = *adapter->changes().begin();
    EXPECT_EQ(name, "blk.0.attn_k.weight");
    EXPECT_EQ(change.rank, 2u);
    EXPECT_EQ(change.n_in, 64u);
    EXPECT_EQ(change.n_out, 32u);
    EXPECT_EQ(adapter->strength(change), 2);  // 4 / 2
    EXPECT_EQ(adapter->n_bytes(), (64u * 2 + 2 * 32) * 4);
    EXPECT_EQ(must(read(Pair{.alpha = 0}.file()))->strength(change), 1);
    std::vector<float> row(64);
    change.a.decode(1, 1, row.data());
    EXPECT_EQ(row, std::vector<float>(64, 0.5f));
}

TEST(GgufAdapter, QuantisedFactorsAreDecoded) {
    const TinyModel model{.n_embd = 64, .n_ff = 96};
    const TinyAdapter quantised{.rank = 32, .type = quant::Type::q8_0}, plain{.rank = 32};
    const auto a = quantised.open(*model.open()), b = plain.open(*model.open());
    for (const auto& [name, change] : a->changes()) {
        EXPECT_EQ(change.a.type, quant::Type::f32);
        std::vector<float> got(change.n_in), wanted(change.n_in);
        change.a.decode(31, 1, got.data());
        b->changes().at(name).a.decode(31, 1, wanted.data());
        EXPECT_LT(relative_error(got, wanted), 0.01) << name;
    }
}

struct Case {
    const char* what;
    Pair pair;
    ErrorCode code;
    const char* said;
};
const Case cases[] = {
    {"no adapter", {.type = ""}, ErrorCode::model, "general.type"},
    {"a model", {.type = "model"}, ErrorCode::model, "general.type"},
    {"no kind", {.kind = ""}, ErrorCode::model, "adapter.type"},
    {"another kind", {.kind = "control"}, ErrorCode::unsupported, "adapter.type"},
    {"another architecture", {.architecture = "gpt2"}, ErrorCode::model, "general.architecture"},
    {"alpha NaN", {.alpha = NAN}, ErrorCode::model, "adapter.lora.alpha"},
    {"alpha infinite", {.alpha = INFINITY}, ErrorCode::model, "adapter.lora.alpha"},
    {"no partner", {.b = ""}, ErrorCode::model, name_a},
    {"no first", {.a = ""}, ErrorCode::model, name_b},
    {"another name", {.a = "blk.0.attn_k.weight"}, ErrorCode::unsupported, "blk.0.attn_k.weight"},
    {"unknown matrix",
     {.a = "blk.9.attn_k.weight.lora_a", .b = "blk.9.attn_k.weight.lora_b"},
     ErrorCode::model,
     "blk.9"},
    {"embedding",
     {.a = "token_embd.weight.lora_a", .b = "token_embd.weight.lora_b", .dims_a = {64, 2}, .dims_b = {2, 269}},
     ErrorCode::unsupported,
     "token_embd.weight"},
    {"ranks that differ", {.dims_b = {3, 32}}, ErrorCode::model, name_a},
    {"transposed", {.dims_a = {2, 64}, .dims_b = {32, 2}}, ErrorCode::model, name_a},
    {"exchanged", {.a = name_b, .b = name_a}, ErrorCode::model, name_a},
    {"too narrow", {.dims_a = {32, 2}}, ErrorCode::model, name_a},
    {"too tall", {.dims_b = {2, 64}}, ErrorCode::model, name_a},
    {"stacked", {.dims_a = {64, 2, 2}, .dims_b = {2, 32, 2}}, ErrorCode::model, name_a},
    {"rank", {.dims_a = {64, 65537}, .dims_b = {65537, 32}}, ErrorCode::model, "65537"},
    {"NaN", {.value = NAN}, ErrorCode::numeric, "row 0, column 0"},
    {"nothing", {.a = "", .b = ""}, ErrorCode::model, "changes no matrix"},
};

TEST(GgufAdapter, LiesAreNamed) {
    for (const Case& c : cases) {
        SCOPED_TRACE(c.what);
        const auto adapter = read(c.pair.file());
        ASSERT_FALSE(adapter.ok());
        EXPECT_EQ(adapter.error().code, c.code) << adapter.error().message();
        EXPECT_NE(adapter.error().message().find(c.said), std::string::npos) << adapter.error().message();
        EXPECT_NE(adapter.error().message().find("tiny.gguf"), std::string::npos) << adapter.error().message();
    }
}

TEST(GgufAdapter, ThatBeginsAtAWordIsRefused) {
    GgufBytes file = Pair().file();
    file.array("adapter.alora.invocation_tokens", std::vector<uint32_t>{1, 2});
    const auto adapter = read(file);
    ASSERT_FALSE(adapter.ok());
    EXPECT_EQ(adapter.error().code, ErrorCode::unsupported);
}

}  // namespace
