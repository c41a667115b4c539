// What a good file gives back, the odd but valid ones, and that no damage of a good file does worse than an Error.
#include "gguf/reader.h"

#include <limits>

#include "gguf/weight_source.h"
#include "support/data.h"
#include "support/gguf_bytes.h"
#include "unit/gguf/raw.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using gguf::ValueType;

// Every value type, arrays of every element type, tensors of plain and block formats.
std::vector<uint8_t> rich_file(uint32_t version = 3) {
    GgufBytes file(version);
    file.kv("general.architecture", "llama").kv("u8", uint8_t(200)).kv("i8", int8_t(-3)).kv("u16", uint16_t(60000));
    file.kv("i16", int16_t(-300)).kv("u32", uint32_t(4000000000)).kv("i32", int32_t(-70000)).kv("f32", 0.5f);
    file.kv("bool", true).kv("u64", UINT64_MAX).kv("i64", INT64_MIN).kv("f64", -1e300);
    file.array<uint8_t>("a.u8", {0, 255}).array<int32_t>("a.i32", {-7, 8}).array<float>("a.f32", {0.25f, -1.5f});
    file.array<bool>("a.bool", {false, true}).array<double>("a.f64", {}).array("a.string", {"", "a", "\u2581the"});
    std::vector<uint8_t> blocks(2 * 3 * 34);
    for (size_t i = 0; i < blocks.size(); i++) { blocks[i] = uint8_t(i * 37); }
    file.tensor("blk.0.w", {64, 3}, 8, blocks).tensor_f32("norm", {5}, {1, 2, 3, 4, 5}).tensor_f32("b", {1, 2}, {6, 7});
    return file.build();
}

TEST(GgufReader, ReadsEverythingBack) {
    for (const uint32_t version : {2u, 3u}) {
        SCOPED_TRACE(version);
        const std::vector<uint8_t> bytes = rich_file(version);
        const auto file = read(bytes);
        ASSERT_TRUE(file.ok()) << file.error().message();
        EXPECT_EQ(file->version, version);
        EXPECT_EQ(file->alignment, 32u);
        EXPECT_EQ(file->metadata.entries().size(), 18u);
        EXPECT_EQ(file->metadata.entries()[0].key, "general.architecture");
        EXPECT_EQ(file->metadata.entries()[17].key, "a.string");
        EXPECT_EQ(*file->metadata.string("general.architecture"), "llama");
        EXPECT_EQ(file->metadata.find("i8")->integer(), -3);
        EXPECT_EQ(file->metadata.find("i64")->integer(), INT64_MIN);
        EXPECT_EQ(file->metadata.find("f64")->number(), -1e300);
        std::vector<std::string> strings;
        for (const std::string_view text : *file->metadata.strings("a.string")) { strings.emplace_back(text); }
        EXPECT_EQ(strings, (std::vector<std::string>{"", "a", "\u2581the"}));

        ASSERT_EQ(file->tensors.size(), 3u);
        const gguf::Tensor& w = file->tensors[0];
        EXPECT_EQ(w.name, "blk.0.w");
        EXPECT_EQ(w.type, quant::Type::q8_0);
        EXPECT_EQ(w.n_dims, 2u);
        EXPECT_EQ(w.dims, (std::array<uint64_t, 4>{64, 3, 1, 1}));
        EXPECT_EQ(w.n_bytes, 2u * 3 * 34);
        EXPECT_EQ(w.row_bytes(), 68u);
        EXPECT_EQ(w.n_elements(), 192u);
        EXPECT_EQ(w.shape(), "64 x 3");
        EXPECT_EQ(w.offset, file->data_offset);
        EXPECT_EQ(file->data_offset % 32, 0u);
        EXPECT_EQ(file->tensors[1].offset, file->data_offset + 224);  // 204 bytes, padded
        EXPECT_EQ(file->find("norm"), &file->tensors[1]);
        EXPECT_EQ(file->find("b"), &file->tensors[2]);
        EXPECT_EQ(file->find("norm2"), nullptr);
        EXPECT_EQ(file->find(""), nullptr);
    }
}

TEST(GgufReader, KeepsItsViewsWhenMoved) {
    const std::vector<uint8_t> bytes = rich_file();
    auto first = read(bytes);
    ASSERT_TRUE(first.ok());
    const gguf::File moved = std::move(*first);
    EXPECT_EQ(*moved.metadata.string("general.architecture"), "llama");
    EXPECT_EQ(moved.find("norm"), &moved.tensors[1]);
}

TEST(GgufReader, AcceptsAFileWithNothingInIt) {
    for (const uint32_t version : {2u, 3u}) {
        const auto file = read(Raw::header(0, 0, version).done());
        ASSERT_TRUE(file.ok()) << file.error().message();
        EXPECT_TRUE(file->tensors.empty());
        EXPECT_TRUE(file->metadata.entries().empty());
        EXPECT_FALSE(file->metadata.has("general.architecture"));
    }
}

TEST(GgufReader, AcceptsEveryAlignment) {
    for (uint32_t alignment = 1; alignment <= 65536; alignment *= 2) {
        SCOPED_TRACE(alignment);
        GgufBytes writer(3, alignment);
        writer.kv("general.alignment", alignment).tensor_f32("a", {3}, {1, 2, 3}).tensor_f32("b", {1}, {4});
        const auto file = read(writer.build());
        ASSERT_TRUE(file.ok()) << file.error().message();
        EXPECT_EQ(file->alignment, alignment);
        EXPECT_EQ(file->tensors[1].offset, file->data_offset + (12 + alignment - 1) / alignment * alignment);
    }
}

TEST(GgufReader, AcceptsOddButValidFiles) {
    const uint8_t one = 1;
    // Keys and names at their longest, with any byte above 0x1f but 0x7f.
    const std::string key(65535, 'k'), name(63, 'n');
    const auto longest = read(Raw::header(1, 2)
                                  .key(key, ValueType::u8)
                                  .put(one)
                                  .key("\xc3\xa9 \xff", ValueType::u8)
                                  .put(one)
                                  .tensor(name, {1}, 24, 0)
                                  .data(1)
                                  .done());
    ASSERT_TRUE(longest.ok()) << longest.error().message();
    EXPECT_TRUE(longest->metadata.has(key));
    EXPECT_NE(longest->find(name), nullptr);
    // Tensors whose data stands in another order than their records, with a gap.
    const auto shuffled =
        read(Raw::header(2, 0).tensor("a", {8}, 0, 96).tensor("b", {1, 1, 1, 8}, 0, 0).data(128).done());
    ASSERT_TRUE(shuffled.ok()) << shuffled.error().message();
    EXPECT_EQ(shuffled->tensors[0].offset, shuffled->data_offset + 96);
    EXPECT_EQ(shuffled->tensors[1].shape(), "1 x 1 x 1 x 8");
    // The last tensor may end with the file, unpadded; bytes after it do no harm.
    EXPECT_TRUE(read(Raw::header(1, 0).tensor("a", {3}, 24, 0).data(3).done()).ok());
    EXPECT_TRUE(read(Raw::header(1, 0).tensor("a", {3}, 24, 0).data(99).done()).ok());
}

TEST(GgufReader, ReadsEveryFormatOfTheTable) {
    for (const quant::Format& format : quant::formats()) {
        SCOPED_TRACE(format.name);
        const std::vector<uint8_t> bytes(size_t(format.block_bytes) * 6);
        GgufBytes writer;
        writer.tensor("t", {uint64_t(format.block_len) * 2, 3}, uint32_t(format.type), bytes);
        const auto file = read(writer.build());
        ASSERT_TRUE(file.ok()) << file.error().message();
        EXPECT_EQ(file->tensors[0].n_bytes, bytes.size());
        EXPECT_EQ(file->tensors[0].row_bytes(), uint64_t(format.block_bytes) * 2);
    }
}

// A header far larger than the reader's first read: it has to fetch more, in the middle of a value and of a string.
TEST(GgufReader, ReadsHeadersOfAnySize) {
    std::vector<std::string> tokens;
    for (size_t i = 0; i < 40000; i++) { tokens.push_back("token" + std::to_string(i) + std::string(i % 40, '.')); }
    std::vector<float> scores(300000);
    for (size_t i = 0; i < scores.size(); i++) { scores[i] = float(i); }
    GgufBytes writer;
    writer.array("tokens", tokens).array("scores", scores).kv("last", uint32_t(7)).tensor_f32("t", {2}, {1, 2});
    const std::vector<uint8_t> bytes = writer.build();
    ASSERT_GT(bytes.size(), size_t(2) << 20);
    const auto file = read(bytes);
    ASSERT_TRUE(file.ok()) << file.error().message();
    size_t i = 0;
    for (const std::string_view token : *file->metadata.strings("tokens")) { ASSERT_EQ(token, tokens[i++]); }
    EXPECT_EQ(i, tokens.size());
    EXPECT_EQ(*file->metadata.floats("scores"), scores);
    EXPECT_EQ(*file->metadata.u32("last"), 7u);
    EXPECT_EQ(file->tensors[0].offset + 32, bytes.size());
}

// Opens the bytes and reads everything that they offer.
void use(const std::vector<uint8_t>& bytes) {
    const auto opened = gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "memory"));
    if (!opened.ok()) {
        EXPECT_FALSE(opened.error().message().empty());
        return;
    }
    for (const auto& entry : (*opened)->metadata().entries()) {
        if (const auto strings = (*opened)->metadata().strings(entry.key); strings.ok()) {
            uint64_t n = 0;
            for (const std::string_view text : *strings) { n += 1 + 0 * text.size(); }
            EXPECT_EQ(n, strings->size());
        }
        (void)(*opened)->metadata().floats(entry.key);
        (void)(*opened)->metadata().integers(entry.key);
    }
    for (const gguf::Tensor& tensor : (*opened)->tensors()) {
        EXPECT_TRUE(gguf::read_floats(**opened, tensor, 1 << 20).ok()) << tensor.name;
    }
}

TEST(GgufReader, RefusesEveryPrefix) {
    std::vector<uint8_t> bytes = rich_file();
    // The writer pads the last tensor (8 bytes) to 32; without the padding, every byte is needed.
    bytes.resize(bytes.size() - 24);
    ASSERT_TRUE(read(bytes).ok());
    for (size_t n = 0; n < bytes.size(); n++) {
        const std::vector<uint8_t> prefix(bytes.begin(), bytes.begin() + long(n));
        const auto file = read(prefix);
        ASSERT_FALSE(file.ok()) << n;
        EXPECT_EQ(file.error().code, ErrorCode::format) << n;
        EXPECT_TRUE(file.error().where.offset.has_value()) << n;
        EXPECT_LE(*file.error().where.offset, n) << n;
    }
}

TEST(GgufReader, SurvivesEveryChangedByte) {
    const std::vector<uint8_t> good = rich_file();
    const auto file = read(good);
    ASSERT_TRUE(file.ok());
    std::vector<uint8_t> bytes = good;
    for (size_t i = 0; i < file->data_offset; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] = good[i] ^ uint8_t(1u << bit);
            use(bytes);
        }
        for (const uint8_t value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
            bytes[i] = value;
            use(bytes);
        }
        bytes[i] = good[i];
    }
}

// Lengths, counts and offsets are 64 or 32 bits wide: every aligned-or-not word set to the values that wrap.
TEST(GgufReader, SurvivesEveryChangedWord) {
    const std::vector<uint8_t> good = rich_file();
    const auto file = read(good);
    ASSERT_TRUE(file.ok());
    const uint64_t values[] = {0,
                               1,
                               uint64_t(1) << 31,
                               uint64_t(1) << 32,
                               (uint64_t(1) << 42) + 1,
                               uint64_t(1) << 60,
                               uint64_t(1) << 61,
                               uint64_t(1) << 62,
                               uint64_t(1) << 63,
                               uint64_t(INT64_MAX),
                               UINT64_MAX - 31,
                               UINT64_MAX,
                               good.size()};
    for (size_t i = 0; i + 8 <= file->data_offset; i++) {
        for (const uint64_t value : values) {
            std::vector<uint8_t> bytes = good;
            std::memcpy(&bytes[i], &value, 8);
            use(bytes);
        }
    }
}

// The fuzzer's seeds: those named bad_… are refused, the others open.
TEST(GgufReader, JudgesTheCorpusByItsNames) {
    size_t n_good = 0, n_bad = 0;
    const std::filesystem::path folder = std::filesystem::path(source_dir()) / "tests/fuzz/corpus/gguf";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename();
        const bool bad = name.starts_with("bad_");
        const auto opened = gguf::open_gguf(entry.path());
        EXPECT_EQ(opened.ok(), !bad) << name;
        if (!opened.ok()) { EXPECT_TRUE(opened.error().where.offset.has_value()) << name; }
        (bad ? n_bad : n_good)++;
    }
    EXPECT_GE(n_good, 9u);
    EXPECT_GE(n_bad, 36u);
}

}  // namespace
