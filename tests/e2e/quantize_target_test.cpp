// quantize --target-size, --target-bpw and --max-kld, as their users meet them.
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/tiny_model.h"
#include "support/wallaby_program.h"

namespace {

using namespace wallaby::testing;
using Words = std::vector<std::string>;

class CliTarget : public ::testing::Test {
  protected:
    std::string folder_ = ::testing::TempDir() + "wallaby_target_" + std::to_string(::getpid());
    std::string model_ = folder_ + "/model.gguf", text_ = folder_ + "/text", out_ = folder_ + "/out.gguf",
                imatrix_ = folder_ + "/imatrix.gguf";

    void SetUp() override {
        std::filesystem::create_directory(folder_);
        const auto bytes = TinyModel{.n_embd = 256, .n_heads = 4, .n_heads_kv = 2, .n_ff = 512, .n_layers = 3}.build();
        std::ofstream(model_, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        std::ofstream text(text_);
        for (int i = 0; i < 100; i++) { text << (i % 3 == 0 ? "d" : "e"); }
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void measure_sensitivities() const {
        const Ran ran = wallaby_run({"imatrix", "-m", model_, "-f", text_, "-c", "16", "--sensitivity",
                                     "--sensitivity-chunks", "2", "--no-ppl", "-o", imatrix_});
        ASSERT_EQ(ran.code, 0) << ran.err;
    }
    double kld_of(const std::string& path) const {
        const std::string base = folder_ + "/base";
        if (!std::filesystem::exists(base)) {
            const Ran ran = wallaby_run({"eval", "kl", "-m", model_, "-f", text_, "-c", "16", "--save-base", base});
            EXPECT_EQ(ran.code, 0) << ran.err;
        }
        const Ran ran = wallaby_run({"eval", "kl", "-m", path, "--base", base, "-o", "json"});
        EXPECT_EQ(ran.code, 0) << ran.err;
        return nlohmann::json::parse(ran.out)[0]["kld"]["mean"]["value"];
    }
};

TEST_F(CliTarget, AFileOfThatSizeAtMost) {
    for (const char* size : {"700KB", "900 kB", "1.5MB"}) {
        const Ran ran = wallaby_run({"quantize", model_, out_, "--target-size", size});
        ASSERT_EQ(ran.code, 0) << ran.err;
        EXPECT_NE(ran.out.find("every matrix counts alike"), std::string::npos);
        const double wanted = std::stod(size) * (std::string(size).ends_with("MB") ? 1e6 : 1e3);
        const auto n_bytes = double(std::filesystem::file_size(out_));
        EXPECT_LE(n_bytes, wanted);
        EXPECT_GT(n_bytes, 0.85 * wanted);  // the largest step of one matrix, 256 x 512 in a type, is 80 kB
        EXPECT_EQ(wallaby_run({"logits", "-m", out_, "--tokens", "1,5,9", "--out", folder_ + "/l"}).code, 0);
    }
}

TEST_F(CliTarget, BitsPerWeightAndMeasuredSensitivities) {
    measure_sensitivities();
    double before = 1e9;
    for (const char* bits : {"3", "4.5", "7"}) {
        const Ran ran = wallaby_run({"quantize", model_, out_, "--target-bpw", bits, "--imatrix", imatrix_});
        ASSERT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.out.find("counts alike: an importance"), std::string::npos);
        const double kld = kld_of(out_);
        EXPECT_LT(kld, before);
        before = kld;
    }
}

TEST_F(CliTarget, TheSmallestFileOfALoss) {
    measure_sensitivities();
    // What Q4_K_M loses, and less than that in fewer bytes or as many.
    ASSERT_EQ(wallaby_run({"quantize", model_, out_, "Q4_K", "--pure"}).code, 0);
    const double wanted = kld_of(out_);
    const Words words{"quantize", model_,      out_,    "--max-kld", fmt::format("{:.9f}", wanted),
                      "-f",       text_,       "-c",    "16",        "--chunks",
                      "100",      "--imatrix", imatrix_};
    const Ran ran = wallaby_run(words);
    ASSERT_EQ(ran.code, 0) << ran.err;
    const size_t at = ran.out.find("KL divergence ");
    ASSERT_NE(at, std::string::npos) << ran.out;
    const double told = std::stod(ran.out.substr(at + 14));
    EXPECT_LE(told, wanted);
    EXPECT_NEAR(kld_of(out_), told, 1e-6);
}

TEST_F(CliTarget, WhatCannotBe) {
    const auto refused = [&](const Words& more, const std::string& part) {
        Words words{"quantize", model_, out_};
        words.insert(words.end(), more.begin(), more.end());
        const Ran ran = wallaby_run(words);
        EXPECT_EQ(ran.code, 2) << ran.err;
        EXPECT_NE(ran.err.find(part), std::string::npos) << part << "\n" << ran.err;
        EXPECT_FALSE(std::filesystem::exists(out_));
    };
    refused({}, "--target-size");
    refused({"Q8_0", "--target-size", "1MB"}, "excludes --target-size");
    refused({"--target-size", "1MB", "--target-bpw", "4"}, "excludes");
    refused({"--target-size", "a lot"}, "is no size");
    refused({"--target-size", "1kB"}, "smallest file of these types");
    refused({"--target-bpw", "1"}, "smallest file of these types");
    refused({"--target-bpw", "4", "--types", "Q4_K_M"}, "is no format of weights");
    refused({"--max-kld", "0.1"}, "requires");
    refused({"--max-kld", "1e-9", "-f", text_, "-c", "16", "--types", "Q2_K,Q3_K,IQ4_NL"}, "no choice of these types");
}

}  // namespace
