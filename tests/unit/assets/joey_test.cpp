// The built-in model is the file of the tree, costs nothing until it is used, and has what `run` and the tests rely on.
#include "support/joey.h"

#include <fstream>
#include <sstream>

#include "sampling/random.h"
#include "support/children.h"
#include "support/data.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

Result<std::unique_ptr<gguf::WeightSource>> open(std::span<const uint8_t> bytes) {
    return gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, std::string(assets::joey_name)));
}

// Where the last tensor's data ends: a file that is cut behind it has lost padding only.
uint64_t end_of_data(const gguf::WeightSource& source) {
    uint64_t end = 0;
    for (const gguf::Tensor& tensor : source.tensors()) { end = std::max(end, tensor.offset + tensor.n_bytes); }
    return end;
}

// An object that was not built again after the file changed fails here too.
TEST(AssetsJoey, IsTheFileOfTheTree) {
    const auto file = read_array<uint8_t>(joey_path());
    ASSERT_FALSE(file.empty());
    EXPECT_LE(file.size(), 4u << 20);
    EXPECT_TRUE(std::ranges::equal(assets::joey_bytes(), file));
}

TEST(AssetsJoey, StandsAlignedInReadOnlyMemory) {
    const auto first = reinterpret_cast<uintptr_t>(assets::joey_bytes().data());
    EXPECT_EQ(first % 64, 0u);
    std::ifstream maps("/proc/self/maps");
    std::string line, flags;
    while (flags.empty() && std::getline(maps, line)) {
        uintptr_t begin = 0, end = 0;
        char dash = 0;
        std::string its_flags;
        std::istringstream(line) >> std::hex >> begin >> dash >> end >> its_flags;
        if (begin <= first && first < end) { flags = its_flags; }
    }
    EXPECT_EQ(flags, "r--p");
}

TEST(AssetsJoey, OpensWithoutBeingCopied) {
    if (under_sanitizer) { GTEST_SKIP() << "a sanitizer's own memory hides what is allocated"; }
    ChildLimits limits;
    limits.address_space = [](size_t) { return 1 << 20; };
    const Verdicts verdicts = run_in_children(1, limits, [](size_t) {
        const auto joey = assets::open_joey();
        return joey.ok() && (*joey)->find("output_norm.weight") != nullptr ? Verdict::accepted : Verdict::refused;
    });
    EXPECT_EQ(verdicts.each[0], Verdict::accepted);
    EXPECT_GT(assets::joey_bytes().size(), 2u << 20);  // so that a copy would not have fitted
}

TEST(AssetsJoey, HasTheShapeThatTestsRelyOn) {
    const auto joey = open_joey();
    EXPECT_EQ(joey->metadata().file(), "joey (built in)");
    const auto number = [&](const char* key) { return must(joey->metadata().u32(key)); };
    const ops::Model model = must(models::build(*joey, {}));
    EXPECT_EQ(model.family, "llama");
    EXPECT_EQ(model.n_ctx_train, 1024u);
    EXPECT_EQ(number("llama.embedding_length"), 64 * number("llama.attention.head_count"));
    EXPECT_LT(number("llama.attention.head_count_kv"), number("llama.attention.head_count"));
    uint64_t n_weights = 0;
    for (const gguf::Tensor& tensor : joey->tensors()) {
        n_weights += tensor.n_elements();
        EXPECT_EQ(tensor.dims[0] % 256, 0u) << tensor.name;
        EXPECT_EQ(tensor.type, tensor.n_dims == 1 ? quant::Type::f32 : quant::Type::q8_0) << tensor.name;
    }
    EXPECT_LE(n_weights, 3'700'000u);
}

TEST(AssetsJoey, ChatsInChatMlAndGoesOnFromAPlainPrompt) {
    const auto joey = open_joey();
    const gguf::Metadata& metadata = joey->metadata();
    EXPECT_EQ(must(metadata.string("wallaby.run.prompt")), "continue");
    const auto format = must(text::find_chat_format(must(metadata.string("tokenizer.chat_template"))));
    const std::vector<text::ChatMessage> messages{{"user", "hello"}};
    const std::string question = must(text::render(format, messages, {}, true));
    EXPECT_EQ(question, "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
    const auto tokenizer = must(text::Tokenizer::load(metadata));
    for (const char* mark : {"<|im_start|>", "<|im_end|>"}) {
        const auto ids = must(tokenizer->encode(mark, {false, true}));
        ASSERT_EQ(ids.size(), 1u) << mark;
        EXPECT_TRUE(tokenizer->is_special(ids[0])) << mark;
        EXPECT_EQ(tokenizer->is_eog(ids[0]), std::string_view(mark) == "<|im_end|>");
    }
    ASSERT_TRUE(tokenizer->eos().has_value());
    EXPECT_TRUE(tokenizer->is_eog(*tokenizer->eos()));
}

TEST(AssetsJoey, ReadsWhatItsBytesSay) {
    const auto joey = open_joey();
    const std::span<const uint8_t> bytes = assets::joey_bytes();
    for (const gguf::Tensor& tensor : joey->tensors()) {
        std::vector<uint8_t> got(tensor.n_bytes - 5);
        ASSERT_TRUE(joey->read(tensor, 5, got).ok());
        EXPECT_TRUE(std::ranges::equal(got, bytes.subspan(tensor.offset + 5, got.size()))) << tensor.name;
    }
    const gguf::Tensor& last = joey->tensors().back();
    uint8_t two[2];
    const auto beyond = joey->read(last, last.n_bytes - 1, two);
    ASSERT_FALSE(beyond.ok());
    EXPECT_EQ(beyond.error().where.file, assets::joey_name);
}

TEST(AssetsJoey, CutBytesAreErrorsThatNameIt) {
    const std::span<const uint8_t> bytes = assets::joey_bytes();
    const uint64_t end = end_of_data(*open_joey());
    ASSERT_TRUE(open(bytes.first(end)).ok());
    std::vector<uint64_t> cuts{end - 1, end / 2, end / 4 * 3};
    for (uint64_t n = 0; n < end / 4; n += n < 300 ? 1 : 997) { cuts.push_back(n); }
    for (const uint64_t n : cuts) {
        const auto opened = open(bytes.first(n));
        ASSERT_FALSE(opened.ok()) << n;
        EXPECT_EQ(opened.error().where.file, assets::joey_name) << n;
        EXPECT_EQ(opened.error().message().find("joey (built in)"), 0u) << opened.error().message();
    }
}

TEST(AssetsJoey, DamagedBytesAreErrorsThatNameItOrAnotherModel) {
    const std::span<const uint8_t> bytes = assets::joey_bytes();
    const auto joey = open_joey();
    const uint64_t header = std::ranges::min(joey->tensors(), {}, &gguf::Tensor::offset).offset;
    std::vector<uint8_t> damaged(bytes.begin(), bytes.end());
    size_t n_refused = 0;
    sampling::Random random(7);
    for (int i = 0; i < 500; i++) {
        const uint64_t at = random.next() % header;
        damaged[at] = bytes[at] ^ uint8_t(1 << random.next() % 8);
        if (const auto opened = open(damaged); !opened.ok()) {
            n_refused++;
            EXPECT_EQ(opened.error().where.file, assets::joey_name);
        }
        damaged[at] = bytes[at];
    }
    EXPECT_GT(n_refused, 0u);
    damaged[0] = 'g';
    EXPECT_FALSE(open(damaged).ok());
}

}  // namespace
