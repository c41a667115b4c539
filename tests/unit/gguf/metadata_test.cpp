// Typed access: a value of another type, out of range or missing is an error that names the key and its place.
#include "gguf/metadata.h"

#include <limits>

#include "support/gguf_bytes.h"
#include "unit/gguf/raw.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using gguf::ValueType;

gguf::Metadata metadata_of(const GgufBytes& file) {
    auto parsed = read(file.build());
    EXPECT_TRUE(parsed.ok()) << parsed.error().message();
    return std::move(parsed->metadata);
}

template <class T>
void expect_refused(const Result<T>& result, std::string_view key, std::string_view says) {
    ASSERT_FALSE(result.ok()) << key;
    EXPECT_EQ(result.error().code, ErrorCode::model) << key;
    EXPECT_EQ(result.error().where.file, "memory") << key;
    EXPECT_EQ(result.error().where.field, "key '" + std::string(key) + "'");
    EXPECT_TRUE(result.error().where.offset.has_value()) << key;
    EXPECT_NE(result.error().what.find(says), std::string::npos) << result.error().what;
}

TEST(GgufMetadata, IntegersOfAnyWidth) {
    GgufBytes file;
    file.kv("u8", uint8_t(255)).kv("i8", int8_t(127)).kv("u16", uint16_t(65535)).kv("i16", int16_t(32767));
    file.kv("u32", UINT32_MAX).kv("i32", INT32_MAX).kv("u64", uint64_t(UINT32_MAX)).kv("i64", int64_t(UINT32_MAX));
    const gguf::Metadata metadata = metadata_of(file);
    EXPECT_EQ(*metadata.u32("u8"), 255u);
    EXPECT_EQ(*metadata.u32("i8"), 127u);
    EXPECT_EQ(*metadata.u32("u16"), 65535u);
    EXPECT_EQ(*metadata.u32("i16"), 32767u);
    EXPECT_EQ(*metadata.u32("u32"), UINT32_MAX);
    EXPECT_EQ(*metadata.u32("i32"), uint32_t(INT32_MAX));
    EXPECT_EQ(*metadata.u32("u64"), UINT32_MAX);
    EXPECT_EQ(*metadata.u32("i64"), UINT32_MAX);
}

TEST(GgufMetadata, IntegersOutOfRangeOrOfAnotherKind) {
    GgufBytes file;
    file.kv("minus", int8_t(-1))
        .kv("i64", int64_t(UINT32_MAX) + 1)
        .kv("u64", UINT64_MAX)
        .kv("f32", 1.0f)
        .kv("bool", true);
    file.kv("string", "1").array<uint32_t>("array", {1});
    const gguf::Metadata metadata = metadata_of(file);
    expect_refused(metadata.u32("minus"), "minus", "is -1, outside 0 to 2^32 - 1");
    expect_refused(metadata.u32("i64"), "i64", "is 4294967296, outside");
    expect_refused(metadata.u32("u64"), "u64", "is above 2^63 - 1, outside");
    expect_refused(metadata.u32("f32"), "f32", "is of type f32, but an integer is required");
    expect_refused(metadata.u32("bool"), "bool", "is of type bool");
    expect_refused(metadata.u32("string"), "string", "is of type string");
    expect_refused(metadata.u32("array"), "array", "is of type array of 1 u32");
    expect_refused(metadata.u32_or("string", 3), "string", "is of type string");
}

TEST(GgufMetadata, Numbers) {
    GgufBytes file;
    file.kv("f32", 0.25f)
        .kv("f64", 1e-300)
        .kv("i8", int8_t(-7))
        .kv("u64", UINT64_MAX)
        .kv("bool", true)
        .kv("string", "1");
    file.array<float>("array", {1});
    const gguf::Metadata metadata = metadata_of(file);
    EXPECT_EQ(*metadata.number("f32"), 0.25);
    EXPECT_EQ(*metadata.number("f64"), 1e-300);
    EXPECT_EQ(*metadata.number("i8"), -7);
    EXPECT_EQ(*metadata.number("u64"), 0x1p64);
    expect_refused(metadata.number("bool"), "bool", "a number is required");
    expect_refused(metadata.number("string"), "string", "a number is required");
    expect_refused(metadata.number("array"), "array", "a number is required");
    expect_refused(metadata.number_or("string", 1), "string", "a number is required");
}

TEST(GgufMetadata, BooleansAndStrings) {
    GgufBytes file;
    file.kv("yes", true).kv("no", false).kv("u8", uint8_t(1)).kv("text", "a b").kv("empty", "");
    const gguf::Metadata metadata = metadata_of(file);
    EXPECT_TRUE(*metadata.boolean("yes"));
    EXPECT_FALSE(*metadata.boolean("no"));
    expect_refused(metadata.boolean("u8"), "u8", "is of type u8, but a bool is required");
    expect_refused(metadata.boolean_or("text", true), "text", "a bool is required");
    EXPECT_EQ(*metadata.string("text"), "a b");
    EXPECT_EQ(*metadata.string("empty"), "");
    expect_refused(metadata.string("u8"), "u8", "a string is required");
    expect_refused(metadata.string_or("yes", "x"), "yes", "a string is required");
}

TEST(GgufMetadata, Arrays) {
    GgufBytes file;
    file.array<float>("f32", {1, -2}).array<double>("f64", {0.5}).array<uint8_t>("u8", {0, 255});
    file.array<int64_t>("i64", {INT32_MIN, INT32_MAX}).array<int64_t>("big", {0, int64_t(INT32_MAX) + 1});
    file.array<uint64_t>("huge", {UINT64_MAX}).array<bool>("bool", {true, false}).array("text", {"x", ""});
    file.array<float>("none", {}).kv("scalar", 1.0f);
    const gguf::Metadata metadata = metadata_of(file);
    EXPECT_EQ(*metadata.floats("f32"), (std::vector<float>{1, -2}));
    EXPECT_EQ(*metadata.floats("f64"), (std::vector<float>{0.5}));
    EXPECT_EQ(*metadata.floats("none"), std::vector<float>());
    expect_refused(metadata.floats("u8"), "u8", "is of type array of 2 u8, but an array of floats is required");
    expect_refused(metadata.floats("scalar"), "scalar", "an array of floats is required");
    EXPECT_EQ(*metadata.integers("u8"), (std::vector<int32_t>{0, 255}));
    EXPECT_EQ(*metadata.integers("i64"), (std::vector<int32_t>{INT32_MIN, INT32_MAX}));
    EXPECT_EQ(*metadata.integers("bool"), (std::vector<int32_t>{1, 0}));
    expect_refused(metadata.integers("big"), "big", "element 1 does not fit");
    expect_refused(metadata.integers("huge"), "huge", "element 0 does not fit");
    expect_refused(metadata.integers("f32"), "f32", "an array of integers is required");
    expect_refused(metadata.integers("text"), "text", "an array of integers is required");
    EXPECT_EQ(metadata.strings("text")->size(), 2u);
    expect_refused(metadata.strings("f32"), "f32", "an array of strings is required");
    expect_refused(metadata.strings("scalar"), "scalar", "an array of strings is required");
}

TEST(GgufMetadata, MissingKeys) {
    const gguf::Metadata metadata = metadata_of(GgufBytes().kv("b", uint32_t(1)));
    for (const std::string_view key : {"a", "bb", "", "c"}) {
        EXPECT_EQ(metadata.find(key), nullptr);
        const auto refused = metadata.u32(key);
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().code, ErrorCode::model);
        EXPECT_EQ(refused.error().where.field, "key '" + std::string(key) + "'");
        EXPECT_FALSE(refused.error().where.offset.has_value());
        EXPECT_EQ(refused.error().what, "is missing");
        EXPECT_FALSE(metadata.strings(key).ok());
        EXPECT_EQ(*metadata.u32_or(key, 5), 5u);
        EXPECT_EQ(*metadata.number_or(key, 0.5), 0.5);
        EXPECT_TRUE(*metadata.boolean_or(key, true));
        EXPECT_EQ(*metadata.string_or(key, "x"), "x");
    }
    EXPECT_EQ(*metadata.u32_or("b", 5), 1u);
}

TEST(GgufMetadata, FindsEachOfManyKeys) {
    GgufBytes file;
    for (uint32_t i = 0; i < 1000; i++) { file.kv("key." + std::to_string(i * 7919 % 1000), i); }
    const gguf::Metadata metadata = metadata_of(file);
    for (uint32_t i = 0; i < 1000; i++) { EXPECT_EQ(*metadata.u32("key." + std::to_string(i * 7919 % 1000)), i); }
}

TEST(GgufMetadata, ValueElements) {
    const gguf::Metadata metadata =
        metadata_of(GgufBytes().array<int16_t>("i16", {-1, 2}).kv("f32", 1.5f).kv("text", "abcdefghij"));
    const gguf::Value& array = *metadata.find("i16");
    EXPECT_EQ(array.integer(0), -1);
    EXPECT_EQ(array.number(1), 2.0);
    EXPECT_EQ(array.integer(2), std::nullopt);
    EXPECT_EQ(array.number(2), std::nullopt);
    EXPECT_EQ(array.integer(UINT64_MAX), std::nullopt);
    EXPECT_EQ(metadata.find("f32")->integer(), std::nullopt);
    EXPECT_EQ(metadata.find("f32")->number(1), std::nullopt);
    EXPECT_EQ(metadata.find("text")->integer(), std::nullopt);
    EXPECT_EQ(metadata.find("text")->number(), std::nullopt);
}

TEST(GgufMetadata, NamesOfTypes) {
    const std::string_view names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                      "bool", "string", "array", "u64", "i64", "f64"};
    const uint64_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    for (uint32_t i = 0; i < 13; i++) {
        EXPECT_EQ(gguf::name_of(ValueType(i)), names[i]);
        EXPECT_EQ(gguf::scalar_size(ValueType(i)), sizes[i]);
    }
    EXPECT_EQ(gguf::name_of(ValueType(13)), "unknown");
    EXPECT_EQ(gguf::scalar_size(ValueType(13)), 0u);
}

}  // namespace
