#include "convert/llama2c.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/checkpoint_writer.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using namespace wallaby::testing;

// export.py's legacy_export of a tiny model.
std::string llama2c_file(const TinyModel& tiny) {
    const auto source = tiny.open();
    std::string out;
    const auto n_vocab = int32_t(TinyModel::n_vocab);
    for (const uint32_t n : {tiny.n_embd, tiny.n_ff, tiny.n_layers, tiny.n_heads, tiny.n_heads_kv}) {
        append_le(out, int32_t(n));
    }
    append_le(out, tiny.tied ? n_vocab : -n_vocab);
    append_le(out, int32_t(tiny.n_ctx));
    const auto put = [&](const std::string& name) {
        out += elements(must(gguf::read_floats(*source, *source->find(name), UINT64_MAX)), "F32");
    };
    put("token_embd.weight");
    for (const char* name :
         {"attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_down", "ffn_up"}) {
        for (uint32_t il = 0; il < tiny.n_layers; il++) { put(fmt::format("blk.{}.{}.weight", il, name)); }
    }
    put("output_norm.weight");
    out += std::string(size_t(tiny.n_ctx) * (tiny.n_embd / tiny.n_heads) * sizeof(float), '\x55');  // frequencies
    if (!tiny.tied) { put("output.weight"); }
    return out;
}

class ConvertLlama2c : public ::testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove(path_); }
    std::string refusal(const std::string& bytes) const {
        write_text(path_, bytes);
        const auto opened = open_llama2c(path_, "");
        return opened.ok() ? "" : opened.error().message();
    }
    std::string path_ = ::testing::TempDir() + "wallaby-llama2c-" + std::to_string(::getpid()) + ".bin";
};

TEST_F(ConvertLlama2c, LogitsAreTheOriginals) {
    for (const bool tied : {false, true}) {
        const TinyModel tiny{.tied = tied};
        ASSERT_EQ(refusal(llama2c_file(tiny)), "");
        const auto source = must(open_llama2c(path_, ""));
        EXPECT_EQ(source->find("output.weight") == nullptr, tied);
        const std::vector<int32_t> tokens{1, 10, 20, 30, 40, 261, 262, 3};
        EXPECT_EQ(relative_error(Runner(*source, {}).feed(tokens), Runner(*tiny.open(), {}).feed(tokens)), 0.0);
    }
}

TEST_F(ConvertLlama2c, WhatIsNoneIsRefused) {
    const TinyModel tiny{.n_layers = 1};
    const std::string whole = llama2c_file(tiny);
    for (const size_t n : {size_t(0), size_t(27), size_t(28), size_t(100), whole.size() - 4, whole.size() - 1}) {
        EXPECT_NE(refusal(whole.substr(0, n)), "") << n;
    }
    EXPECT_NE(refusal(whole + "abcd").find("takes"), std::string::npos);
    const auto with = [&](size_t field, int32_t value) {
        std::string bytes = whole;
        std::memcpy(bytes.data() + field * sizeof(value), &value, sizeof(value));
        return refusal(bytes);
    };
    constexpr std::string_view names[] = {"dim",        "hidden_dim", "n_layers", "n_heads",
                                          "n_kv_heads", "vocab_size", "seq_len"};
    for (size_t i = 0; i < std::size(names); i++) {
        for (const int32_t value : {0, INT32_MAX, INT32_MIN}) {
            const std::string message = with(i, value);
            EXPECT_NE(message.find(names[i]), std::string::npos) << message;
        }
    }
    EXPECT_NE(with(3, 3), "");
    EXPECT_NE(with(4, 3), "");
    EXPECT_NE(with(3, 64), "");  // heads of one element
    EXPECT_NE(refusal("PK\x03\x04" + whole).find("pickle"), std::string::npos);
}

}  // namespace
