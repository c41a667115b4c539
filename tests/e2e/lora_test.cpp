// --lora, --lora-scaled: adapters used and merged by the program.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "gguf/weight_source.h"
#include "support/data.h"
#include "support/lora.h"
#include "support/tiny_model.h"
#include "support/wallaby_program.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Words = std::vector<std::string>;

class CliLora : public ::testing::Test {
  protected:
    void SetUp() override {
        std::filesystem::create_directory(folder_);
        write(model_, tiny_.build());
        write(a_, TinyAdapter{.rank = 4, .alpha = 8}.build(*tiny_.open()));
        write(b_, TinyAdapter{.rank = 3, .seed = 8}.build(*tiny_.open()));
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    static void write(const std::string& path, const std::vector<uint8_t>& bytes) {
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    }
    std::vector<float> logits(const std::string& model, const Words& more = {}) const {
        const std::string out = folder_ + "/logits";
        Words words{"logits", "-m", model, "--tokens", "1,5,9,260,44,7", "--out", out};
        words.insert(words.end(), more.begin(), more.end());
        const Ran ran = wallaby_run(words);
        EXPECT_EQ(ran.code, 0) << ran.err;
        const std::string bytes = read_file(out);
        std::vector<float> values(bytes.size() / sizeof(float));
        std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
        return values;
    }

    TinyModel tiny_{.type = quant::Type::f16};
    std::string folder_ = ::testing::TempDir() + "wallaby_lora_" + std::to_string(::getpid());
    std::string model_ = folder_ + "/model.gguf", a_ = folder_ + "/a.gguf", b_ = folder_ + "/b.gguf";
    std::string out_ = folder_ + "/out.gguf";
};

TEST_F(CliLora, UsedOrMergedItIsTheSameModel) {
    const auto plain = logits(model_), used = logits(model_, {"--lora", a_, "--lora-scaled", b_ + ":-0.5"});
    EXPECT_GT(relative_error(plain, used), 0.05);
    const Ran merged = wallaby_run({"quantize", model_, out_, "F32", "--lora", a_, "--lora-scaled", b_ + ":-0.5"});
    ASSERT_EQ(merged.code, 0) << merged.err;
    EXPECT_LT(relative_error(logits(out_), used), 1e-5);
    EXPECT_EQ(logits(model_, {"--lora-scaled", a_ + ":0"}), plain);
    EXPECT_EQ(logits(model_, {"--lora-scaled", a_ + ":1"}), logits(model_, {"--lora", a_}));
}

TEST_F(CliLora, MergedTensorsKeepTheirTypesWhereTheyAreCopied) {
    const Ran merged = wallaby_run({"quantize", model_, out_, "COPY", "--lora", a_});
    ASSERT_EQ(merged.code, 0) << merged.err;
    const auto before = must(gguf::open_gguf(model_)), after = must(gguf::open_gguf(out_));
    ASSERT_EQ(before->tensors().size(), after->tensors().size());
    for (const gguf::Tensor& tensor : before->tensors()) {
        EXPECT_EQ(after->find(tensor.name)->type, tensor.type) << tensor.name;
    }
    EXPECT_LT(relative_error(logits(out_), logits(model_, {"--lora", a_})), 1e-3);  // of F16
}

TEST_F(CliLora, EveryVerbThatEvaluatesTakesIt) {
    const std::string text = folder_ + "/text";
    std::ofstream(text) << "abc dde abcde eda bbc adc dea abd abc dde abcde eda bbc adc dea abd\n";
    const Words eval{"eval", "perplexity", "-m", model_, "-f", text, "-c", "16"};
    const auto with = [](Words words, const Words& more) {
        words.insert(words.end(), more.begin(), more.end());
        return words;
    };
    const Ran plain = wallaby_run(eval), adapted = wallaby_run(with(eval, {"--lora", a_}));
    EXPECT_EQ(plain.code, 0) << plain.err;
    EXPECT_EQ(adapted.code, 0) << adapted.err;
    EXPECT_NE(plain.out, adapted.out);
    const Words run{"run", "-m", model_, "--temp", "0", "-n", "12", "--ignore-eos", "--special", "abc"};
    const Ran spoken = wallaby_run(run), otherwise = wallaby_run(with(run, {"--lora", a_, "--lora", b_}));
    EXPECT_EQ(otherwise.code, 0) << otherwise.err;
    EXPECT_NE(spoken.out, otherwise.out);
    // What an evaluation with other adapters has kept is no part of this one.
    const std::string state = folder_ + "/state";
    EXPECT_EQ(wallaby_run(with(eval, {"--lora", a_, "--resume", state})).code, 0);
    expect_failure(wallaby_run(with(eval, {"--lora-scaled", a_ + ":0.5", "--resume", state})), 1, {state, "adapters"});
    expect_failure(wallaby_run(with(eval, {"--lora", b_, "--resume", state})), 1, {state, "adapters"});
    EXPECT_EQ(wallaby_run(with(eval, {"--lora", a_, "--resume", state})).out, adapted.out);
}

TEST_F(CliLora, WhatIsWrongIsNamed) {
    const auto run = [&](const Words& more) {
        Words words{"run", "-m", model_, "-n", "1", "abc"};
        words.insert(words.end(), more.begin(), more.end());
        return wallaby_run(words);
    };
    for (const std::string& scaled : {a_, a_ + ":", a_ + ":x", a_ + ":1x", a_ + ":inf", std::string(":1")}) {
        expect_failure(run({"--lora-scaled", scaled}), 2, {"--lora-scaled", "FILE:SCALE"});
    }
    expect_failure(run({"--lora", folder_ + "/none.gguf"}), 1, {"none.gguf"});
    expect_failure(run({"--lora", model_}), 1, {"model.gguf", "general.type"});
    const TinyModel other{.architecture = "gpt2", .n_ctx = 64};
    write(out_, TinyAdapter{}.build(*other.open()));
    expect_failure(run({"--lora", out_}), 1, {"out.gguf", "gpt2"});
    expect_failure(wallaby_run({"quantize", model_, folder_ + "/merged.gguf", "F32", "--lora", out_}), 1, {"gpt2"});
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/merged.gguf"));
}

}  // namespace
