#include "convert/shapes.h"

#include <gtest/gtest.h>

#include <set>

#include "convert/synthetic.h"
#include "models/models.h"
#include "support/runner.h"
#include "text/tokenizer.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using wallaby::testing::must;

uint64_t n_weights(const Shape& shape) {
    uint64_t sum = 0;
    for (const TensorShape& t : shape.tensors) {
        uint64_t n = 1;
        for (const uint64_t d : t.dims) { n *= d; }
        sum += t.values.empty() ? n : 0;
    }
    return sum;
}

// The parameter counts that the models' publishers give (safetensors headers on Hugging Face).
TEST(ConvertShapes, ParametersOfThePublishedModels) {
    const std::pair<const char*, uint64_t> published[] = {
        {"tinyllama-1.1b", 1100048384},
        {"llama-3.2-1b", 1235814400},
        {"llama-2-7b", 6738415616},
        {"llama-3.1-8b", 8030261248},
        {"mistral-7b", 7248023552},
        {"mixtral-8x7b", 46702792704},
        {"qwen2.5-0.5b", 494032768},
        {"qwen2.5-7b", 7615616512},
        {"qwen3-0.6b", 596049920},
        {"qwen3-8b", 8190735360},
        {"qwen3-30b-a3b", 30532122624},
        {"gemma-3-1b", 999885952},
        {"gemma-2-2b", 2614341888},
        {"phi-3-mini", 3821079552},
        {"gpt-oss-20b", 20914757184},
        {"llama-1-7b", 6738415616},
        {"llama-1-13b", 13015864320},
        {"llama-1-33b", 32528943616},
        {"llama-1-65b", 65285660672},
        {"llama-2-13b", 13015864320},
        {"llama-2-70b", 68976648192},
        {"llama-3.1-70b", 70553706496},
        {"llama-3.2-3b", 3212749824},
        {"olmo-2-7b", 7298617344},
        {"gpt2", 124439808},
    };
    for (const auto& [name, n] : published) { EXPECT_EQ(n_weights(must(named_shape(name))), n) << name; }
}

TEST(ConvertShapes, TinyModelsAreAsTheTestsWantThem) {
    for (const char* name : {"tiny-dense", "tiny-moe", "tiny-window"}) {
        const auto source = must(open_synthetic(name, "F32", 1));
        const ops::Model model = must(models::build(*source, {}));
        EXPECT_EQ(model.n_vocab, 512u);
        EXPECT_EQ(model.n_layers, 3u);
        EXPECT_EQ(model.n_ctx_train, 4096u);
        EXPECT_EQ(source->find("blk.2.attn_k.weight")->shape(), "512 x 128");
    }
}

// Every shape whose family this build runs makes a program, without reading a weight.
TEST(ConvertShapes, FamiliesAcceptThem) {
    std::set<std::string_view> known;
    for (const std::string_view name : models::known_architectures()) { known.insert(name); }
    size_t n_built = 0;
    for (const NamedShape& shape : named_shapes()) {
        const auto source = must(open_synthetic(shape.name, "Q4_K_M", 1));
        if (!known.contains(must(source->metadata().string("general.architecture")))) { continue; }
        const auto model = models::build(*source, {});
        EXPECT_TRUE(model.ok()) << shape.name << ": " << model.error().message();
        n_built++;
    }
    EXPECT_EQ(n_built, named_shapes().size());
}

TEST(ConvertShapes, UnknownNamesAreRefusedNamingTheKnown) {
    const auto refused = named_shape("llama-9-1b");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::argument);
    EXPECT_NE(refused.error().remedy.find("tinyllama-1.1b"), std::string::npos);
}

TEST(ConvertShapes, ThePlaceholderTokenizerEncodesAnyText) {
    for (const uint32_t n_vocab : {355u, 512u, 32000u, 262144u}) {
        Shape shape;
        set_placeholder_tokenizer(shape.metadata, n_vocab);
        const auto source = must(SyntheticSource::create(std::move(shape), "F32", 1, "x"));
        const auto tokenizer = must(text::Tokenizer::load(source->metadata()));
        ASSERT_EQ(tokenizer->n_tokens(), int32_t(n_vocab));
        std::set<std::string_view> texts;
        for (int32_t id = 0; id < tokenizer->n_tokens(); id++) { texts.insert(tokenizer->token_text(id)); }
        EXPECT_EQ(texts.size(), n_vocab);
        for (const char* text : {"", "abcdefgh ij", "Größe\n日本 <s> ~"}) {
            EXPECT_EQ(tokenizer->decode(must(tokenizer->encode(text, {.parse_special = false}))), text) << n_vocab;
        }
        const size_t n_letters = n_vocab > 18278 + 355 ? 4 : n_vocab > 702 + 355 ? 3 : n_vocab > 355 ? 2 : 1;
        const auto ids = must(tokenizer->encode("abcd", {.add_special = false}));
        EXPECT_EQ(ids.size(), 1 + 4 / n_letters + 4 % n_letters);  // after the token of the space before the text
    }
}

TEST(ConvertShapes, LikeAFileKeepsKeysShapesTypesAndFactors) {
    const auto original = must(open_synthetic("llama-3.2-1b", "Q4_K_M", 1));
    const auto same = must(SyntheticSource::create(must(shape_like(*original)), "", 2, "same"));
    ASSERT_EQ(same->tensors().size(), original->tensors().size());
    for (size_t i = 0; i < same->tensors().size(); i++) {
        EXPECT_EQ(same->tensors()[i].name, original->tensors()[i].name);
        EXPECT_EQ(same->tensors()[i].type, original->tensors()[i].type);
        EXPECT_EQ(same->tensors()[i].dims, original->tensors()[i].dims);
    }
    ASSERT_EQ(same->metadata().entries().size(), original->metadata().entries().size());
    for (size_t i = 0; i < same->metadata().entries().size(); i++) {
        EXPECT_EQ(same->metadata().entries()[i].key, original->metadata().entries()[i].key);
    }
    const auto factors = [](const gguf::WeightSource& source) {
        return must(gguf::read_floats(source, *source.find("rope_freqs.weight"), 64));
    };
    EXPECT_EQ(factors(*same), factors(*original));
    EXPECT_EQ(factors(*same).front(), 1.0f);
    EXPECT_EQ(factors(*same).back(), 32.0f);
    const auto other = must(SyntheticSource::create(must(shape_like(*original)), "Q8_0", 2, "other"));
    EXPECT_EQ(other->find("blk.3.ffn_up.weight")->type, quant::Type::q8_0);
    EXPECT_EQ(must(other->metadata().u32("general.file_type")), 7u);
}

}  // namespace
