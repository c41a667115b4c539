// wallaby imatrix and quantize --imatrix, as their users meet them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "convert/imatrix.h"
#include "gguf/weight_source.h"
#include "support/data.h"
#include "support/runner.h"
#include "support/tiny_model.h"
#include "support/wallaby_program.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Words = std::vector<std::string>;

class CliImatrix : public ::testing::Test {
  protected:
    std::string folder_ = ::testing::TempDir() + "wallaby_imatrix_" + std::to_string(::getpid());
    std::string model_ = folder_ + "/model.gguf", text_ = folder_ + "/text", out_ = folder_ + "/out.gguf";

    void SetUp() override {
        std::filesystem::create_directory(folder_);
        const auto bytes = TinyModel{.n_embd = 256, .n_heads = 4, .n_heads_kv = 2, .n_ff = 512}.build();
        std::ofstream(model_, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        std::ofstream text(text_);
        for (int i = 0; i < 100; i++) { text << (i % 3 == 0 ? "d" : "e"); }
        text << "\n";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    Ran collect(const Words& more) const {
        Words words{"imatrix", "-m", model_, "-f", text_, "-c", "16"};
        words.insert(words.end(), more.begin(), more.end());
        return wallaby_run(words);
    }
    static convert::Imatrix read(const std::string& path) { return must(convert::read_imatrix(path, 16)); }
};

TEST_F(CliImatrix, CollectsAndSaysThePerplexity) {
    const Ran ran = collect({"-o", out_});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    const std::string ppl = wallaby_run({"eval", "perplexity", "-m", model_, "-f", text_, "-c", "16"}).out;
    EXPECT_EQ(ran.out, ppl + out_ + ": 14 tensors, 6 chunks of 16 tokens\n");
    const convert::Imatrix imatrix = read(out_);
    EXPECT_EQ(imatrix.n_chunks, 6u);
    EXPECT_EQ(imatrix.chunk_size, 16u);
    EXPECT_EQ(imatrix.datasets, Words{text_});
    EXPECT_EQ(imatrix.find("output.weight"), nullptr);

    const std::string first = read_file(out_);
    EXPECT_EQ(collect({"-o", out_, "--no-ppl", "-b", "5", "-t", "2"}).out,
              out_ + ": 14 tensors, 6 chunks of 16 tokens\n");
    EXPECT_EQ(read_file(out_), first);
    EXPECT_NE(collect({"-o", out_, "--process-output", "--chunks", "2"}).out.find("15 tensors, 2 chunks"),
              std::string::npos);
}

TEST_F(CliImatrix, FilesAddUpInEitherFormat) {
    const std::string dat = folder_ + "/out.dat", sum = folder_ + "/sum.gguf";
    ASSERT_EQ(collect({"-o", out_, "--no-ppl"}).code, 0);
    ASSERT_EQ(collect({"-o", dat, "--no-ppl", "--output-format", "dat", "--chunks", "3"}).code, 0);
    const Ran ran = wallaby_run({"imatrix", "--in-file", out_, "--in-file", dat, "-c", "16", "-o", sum});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, sum + ": 14 tensors, 9 chunks of 16 tokens\n");
    EXPECT_EQ(read(sum).find("blk.0.attn_q.weight")->counts, (std::vector<uint64_t>{9 * 16}));
    // And on top of what is there.
    ASSERT_EQ(collect({"-o", sum, "--in-file", out_, "--no-ppl", "--chunks", "1"}).code, 0);
    EXPECT_EQ(read(sum).n_chunks, 7u);

    const Ran shown = wallaby_run({"imatrix", "--in-file", dat, "--show-statistics"});
    ASSERT_EQ(shown.code, 0) << shown.err;
    EXPECT_EQ(std::count(shown.out.begin(), shown.out.end(), '\n'), 15);
    EXPECT_NE(shown.out.find("blk.1.ffn_down.weight"), std::string::npos);
}

TEST_F(CliImatrix, CopiesAreKeptOnTheWay) {
    ASSERT_EQ(collect({"-o", out_, "--no-ppl", "--save-frequency", "4"}).code, 0);
    EXPECT_EQ(read(out_ + ".at_4").n_chunks, 4u);
    EXPECT_FALSE(std::filesystem::exists(out_ + ".at_6"));
}

// Ctrl-C keeps the chunks that were read; kill those that were saved.
TEST_F(CliImatrix, WhatWasReadIsKept) {
    std::ofstream text(text_);
    for (int i = 0; i < 400000; i++) { text << (i % 3 == 0 ? "d" : "e"); }
    text.close();
    for (const bool is_killed : {false, true}) {
        std::filesystem::remove(out_);
        RunOptions options;
        options.meanwhile = [&](pid_t pid) {
            for (int i = 0; i < 3000 && !std::filesystem::exists(out_); i++) { ::usleep(10000); }
            ::kill(pid, is_killed ? SIGKILL : SIGINT);
        };
        const Ran ran = wallaby_run(
            {"imatrix", "-m", model_, "-f", text_, "-c", "16", "-o", out_, "--output-frequency", "2"}, options);
        const uint32_t n_chunks = read(out_).n_chunks;
        EXPECT_GE(n_chunks, 2u);
        EXPECT_EQ(read(out_).find("blk.0.attn_q.weight")->counts[0], n_chunks * 16);
        if (is_killed) {
            EXPECT_EQ(ran.signal, SIGKILL);
        } else {
            EXPECT_EQ(ran.code, 130);
            EXPECT_NE(ran.err.find(std::to_string(n_chunks) + " of "), std::string::npos) << ran.err;
        }
    }
}

TEST_F(CliImatrix, WhatCannotBe) {
    expect_failure(wallaby_run({"imatrix", "-m", model_}), 2, {"-f, --in-file"});
    expect_failure(wallaby_run({"imatrix", "--in-file", model_}), 1, {model_, "general.type"});
    expect_failure(wallaby_run({"imatrix", "--in-file", text_}), 1, {text_, "n_entries"});
    expect_failure(collect({"-o", folder_ + "/no/where"}), 1, {folder_ + "/no/where"});
    expect_failure(wallaby_run({"imatrix", "-m", model_, "-f", text_, "-c", "200", "-o", out_}), 1,
                   {"102 tokens", "200", text_});
    EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(CliImatrix, QuantizeWeighsByIt) {
    const std::string quantised = folder_ + "/q.gguf", plain = folder_ + "/plain.gguf";
    ASSERT_EQ(collect({"-o", out_, "--no-ppl"}).code, 0);
    const auto quantize = [&](const std::string& to, const Words& more) {
        Words words{"quantize", model_, to, "Q4_K", "--pure"};
        words.insert(words.end(), more.begin(), more.end());
        return wallaby_run(words);
    };
    const Ran ran = quantize(quantised, {"--imatrix", out_});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_NE(ran.out.find("2 matrices are not in the importance matrix"), std::string::npos) << ran.out;
    ASSERT_EQ(quantize(plain, {}).code, 0);
    const auto bytes_of = [&](const std::string& path, std::string_view name) {
        const auto source = must(gguf::open_gguf(path));
        std::vector<uint8_t> bytes(source->find(name)->n_bytes);
        EXPECT_TRUE(source->read(*source->find(name), 0, bytes).ok());
        return bytes;
    };
    EXPECT_NE(bytes_of(quantised, "blk.0.ffn_down.weight"), bytes_of(plain, "blk.0.ffn_down.weight"));
    EXPECT_EQ(bytes_of(quantised, "output.weight"), bytes_of(plain, "output.weight"));
    const auto out = must(gguf::open_gguf(quantised));
    EXPECT_EQ(must(out->metadata().string("quantize.imatrix.file")), out_);
    EXPECT_EQ(must(out->metadata().string("quantize.imatrix.dataset")), text_);
    EXPECT_EQ(must(out->metadata().u32("quantize.imatrix.entries_count")), 14u);
    EXPECT_EQ(must(out->metadata().u32("quantize.imatrix.chunks_count")), 6u);

    // Of some tensors alone, or of all but some.
    ASSERT_EQ(quantize(quantised, {"--imatrix", out_, "--include-weights", "ffn_down"}).code, 0);
    EXPECT_NE(bytes_of(quantised, "blk.0.ffn_down.weight"), bytes_of(plain, "blk.0.ffn_down.weight"));
    EXPECT_EQ(bytes_of(quantised, "blk.0.ffn_up.weight"), bytes_of(plain, "blk.0.ffn_up.weight"));
    ASSERT_EQ(quantize(quantised, {"--imatrix", out_, "--exclude-weights", "ffn_down"}).code, 0);
    EXPECT_EQ(bytes_of(quantised, "blk.0.ffn_down.weight"), bytes_of(plain, "blk.0.ffn_down.weight"));
    EXPECT_NE(bytes_of(quantised, "blk.0.ffn_up.weight"), bytes_of(plain, "blk.0.ffn_up.weight"));

    EXPECT_EQ(quantize(quantised, {"--include-weights", "ffn"}).code, 2);
    EXPECT_EQ(quantize(quantised, {"--imatrix", out_, "--include-weights", "a", "--exclude-weights", "b"}).code, 2);
    expect_failure(quantize(quantised, {"--imatrix", out_, "--include-weights", "nothing"}), 1, {out_, "none"});
    expect_failure(quantize(quantised, {"--imatrix", text_}), 1, {text_});
}

}  // namespace
