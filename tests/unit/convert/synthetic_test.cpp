#include "convert/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convert/streaming.h"
#include "support/memory_sink.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using wallaby::testing::MemorySink;
using wallaby::testing::must;

std::vector<uint8_t> file_of(const SyntheticSource& source, unsigned n_threads) {
    MemorySink::Seen seen;
    threads::Pool pool(n_threads);
    auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(seen), source.draft()));
    const auto written = write_source(source, std::move(writer), pool, {}, {});
    EXPECT_TRUE(written.ok());
    return std::move(seen.bytes);
}

// A file larger than a round of the writer, read back: the source's own bytes, whatever the threads.
TEST(ConvertSynthetic, TheFileHoldsWhatTheSourceGives) {
    Shape shape = must(named_shape("tiny-dense"));
    shape.tensors[0].dims = {512, 70000};  // 70 MiB of Q8_0
    const auto source = must(SyntheticSource::create(std::move(shape), "Q8_0", 3, "x"));
    const std::vector<uint8_t> bytes = file_of(*source, 1);
    ASSERT_EQ(bytes.size(), source->layout().file_bytes);
    EXPECT_EQ(file_of(*source, 3), bytes);
    const base::MemorySource memory(bytes, "memory");
    const gguf::File file = must(gguf::read_file(memory));
    ASSERT_EQ(file.tensors.size(), source->tensors().size());
    for (const gguf::Tensor& tensor : file.tensors) {
        std::vector<uint8_t> expected(tensor.n_bytes);
        ASSERT_TRUE(source->read(*source->find(tensor.name), 0, expected).ok());
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin() + std::ptrdiff_t(tensor.offset)))
            << tensor.name;
    }
    EXPECT_EQ(file.metadata.entries().size(), source->metadata().entries().size());
}

TEST(ConvertSynthetic, WeightsDependOnSeedNameAndNothingElse) {
    const auto bytes = [](const SyntheticSource& source, const char* name) {
        const gguf::Tensor& tensor = *source.find(name);
        std::vector<uint8_t> out(tensor.n_bytes);
        EXPECT_TRUE(source.read(tensor, 0, out).ok());
        return out;
    };
    const auto dense = must(open_synthetic("tiny-dense", "Q4_K", 1));
    const auto moe = must(open_synthetic("tiny-moe", "Q4_K", 1));
    const auto other = must(open_synthetic("tiny-dense", "Q4_K", 2));
    const char* const q = "blk.0.attn_q.weight";
    EXPECT_EQ(bytes(*dense, q), bytes(*moe, q));
    EXPECT_NE(bytes(*dense, q), bytes(*other, q));
    EXPECT_NE(bytes(*dense, q), bytes(*dense, "blk.1.attn_q.weight"));
}

TEST(ConvertSynthetic, ReadingPastATensorIsAnError) {
    const auto source = must(open_synthetic("tiny-dense", "Q4_K", 1));
    gguf::Tensor tensor = *source->find("output_norm.weight");
    std::vector<uint8_t> out(tensor.n_bytes);
    EXPECT_TRUE(source->read(tensor, 0, out).ok());
    EXPECT_FALSE(source->read(tensor, 1, out).ok());
    EXPECT_FALSE(source->read(tensor, UINT64_MAX, out).ok());
    tensor.name = "nothing";
    EXPECT_FALSE(source->read(tensor, 0, out).ok());
    EXPECT_EQ(source->find("nothing"), nullptr);
}

TEST(ConvertSynthetic, AStopEndsTheWriting) {
    const auto source = must(open_synthetic("tiny-dense", "Q4_K", 1));
    MemorySink::Seen seen;
    threads::Pool pool(2);
    std::stop_source stop;
    stop.request_stop();
    auto writer = must(gguf::Writer::create(std::make_unique<MemorySink>(seen), source->draft()));
    const auto written = write_source(*source, std::move(writer), pool, {}, stop.get_token());
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().code, ErrorCode::cancelled);
}

// A shape that cannot be a file: the error, not a crash.
TEST(ConvertSynthetic, BadShapesAreErrors) {
    for (const std::vector<uint64_t>& dims :
         {std::vector<uint64_t>{}, {0}, {1, 1, 1, 1, 1}, {1ull << 40, 1ull << 40}}) {
        Shape shape;
        shape.tensors.push_back({"x.weight", dims});
        EXPECT_FALSE(SyntheticSource::create(std::move(shape), "F32", 1, "x").ok());
    }
}

// Logits of every kind of model are finite, of ordinary size, and differ from token to token.
TEST(ConvertSynthetic, LogitsAreWellConditioned) {
    for (const char* name : {"tiny-dense", "tiny-moe", "tiny-window"}) {
        for (const bool tied : {false, true}) {
            Shape shape = must(named_shape(name));
            if (tied) {
                std::erase_if(shape.tensors, [](const auto& t) { return t.name == "output.weight"; });
            }
            const auto source = must(SyntheticSource::create(std::move(shape), "Q4_0", 1, "x"));
            wallaby::testing::Runner runner(*source, {.n_ctx = 64, .n_threads = 2});
            const std::vector<float> logits = runner.feed({1, 300, 301, 302});
            const std::vector<float> first(logits.begin(), logits.begin() + 512),
                last(logits.end() - 512, logits.end());
            double square = 0;
            for (const float v : last) { square += double(v) * v / 512; }
            EXPECT_GT(std::sqrt(square), 0.3) << name << tied;
            EXPECT_LT(std::sqrt(square), 5) << name << tied;
            EXPECT_GT(wallaby::testing::relative_error(first, last), 0.3) << name << tied;
        }
    }
}

}  // namespace
