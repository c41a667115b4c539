#include "convert/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/checkpoint_writer.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using namespace wallaby::testing;
using Bytes = SafetensorsBytes;

// A folder of its own for each test.
class ConvertSafetensors : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "wallaby-safetensors-XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string put(const std::string& name, const std::string& content) const {
        write_text(folder_ + "/" + name, content);
        return folder_ + "/" + name;
    }
    std::string refusal_of_folder() const {
        const auto opened = open_safetensors(folder_);
        return opened.ok() ? "" : opened.error().message();
    }

    std::string folder_;
};

std::string refusal(const std::string& bytes) {
    const base::MemorySource file({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "x.safetensors");
    const auto read = read_safetensors(file);
    return read.ok() ? "" : read.error().message();
}

void expect_in(const std::string& message, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
        EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
    }
}

TEST_F(ConvertSafetensors, TensorsAreFoundWhereTheyLie) {
    const std::string path = put("model.safetensors", Bytes()
                                                          .add({"b", {2, 3}, {1, 2, 3, 4, 5, 6}}, "F32")
                                                          .add({"a", {4}, {1, 2, 3, 4}}, "BF16")
                                                          .add("empty", "I64", {0, 7}, "")
                                                          .add("scalar", "U8", {}, "\x07")
                                                          .add({"c", {1}, {0.5f}}, "F16")
                                                          .build());
    const Safetensors all = must(open_safetensors(folder_));
    ASSERT_EQ(all.tensors.size(), 5u);
    const StoredTensor* const b = all.find("b");
    ASSERT_NE(b, nullptr);
    EXPECT_EQ(b->shape(), "[2, 3]");
    EXPECT_EQ(b->type->weights, quant::Type::f32);
    std::vector<float> values(6);
    ASSERT_TRUE(b->file->read(b->offset, {reinterpret_cast<uint8_t*>(values.data()), 24}).ok());
    EXPECT_EQ(values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(all.find("a")->n_bytes, 8u);
    EXPECT_EQ(all.find("a")->type->weights, quant::Type::bf16);
    EXPECT_EQ(all.find("c")->type->weights, quant::Type::f16);
    EXPECT_EQ(all.find("scalar")->n_bytes, 1u);
    EXPECT_FALSE(all.find("scalar")->type->weights.has_value());
    EXPECT_EQ(all.find("empty")->n_bytes, 0u);
    EXPECT_EQ(all.find("d"), nullptr);
    EXPECT_EQ(must(open_safetensors(path)).tensors.size(), 5u);
}

TEST_F(ConvertSafetensors, WhatBreaksTheFormatIsRefused) {
    const std::string data(8, '\0');
    const auto with = [&](const std::string& header) { return refusal(Bytes::with_header(header, data)); };
    const auto tensor = [](const std::string& fields) { return "{\"t\": {" + fields + "}}"; };
    EXPECT_EQ(with(tensor(R"("dtype": "F32", "shape": [2], "data_offsets": [0, 8], "more": [1, {"x": 2}])")), "");
    const std::vector<std::pair<std::string, std::string>> wrong{
        {tensor(R"("dtype": "F32", "shape": [3], "data_offsets": [0, 8])"), "its shape and dtype take 12"},
        {tensor(R"("dtype": "F32", "shape": [2], "data_offsets": [0, 9])"), "lies at 0 to 9 of 8"},
        {tensor(R"("dtype": "F32", "shape": [2], "data_offsets": [8, 0])"), "lies at 8 to 0"},
        {tensor(R"("dtype": "F32", "shape": [2], "data_offsets": [0])"), "lacks one of"},
        {tensor(R"("dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8])"), "lacks one of"},
        {tensor(R"("dtype": "F32", "shape": [2])"), "lacks one of"},
        {tensor(R"("shape": [2], "data_offsets": [0, 8])"), "lacks one of"},
        {tensor(R"("dtype": "F32", "data_offsets": [0, 8])"), "lacks one of"},
        {tensor(R"("dtype": "F33", "shape": [2], "data_offsets": [0, 8])"), "'F33'"},
        {tensor(R"("dtype": 7, "shape": [2], "data_offsets": [0, 8])"), "dtype"},
        {tensor(R"("dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8])"), "two of 'dtype'"},
        {tensor(R"("dtype": "F32", "shape": [2], "shape": [2], "data_offsets": [0, 8])"), "two of 'shape'"},
        {tensor(R"("dtype": "F32", "shape": [-2], "data_offsets": [0, 8])"), "natural numbers"},
        {tensor(R"("dtype": "F32", "shape": [2.0], "data_offsets": [0, 8])"), "natural numbers"},
        {tensor(R"("dtype": "F32", "shape": [[2]], "data_offsets": [0, 8])"), "two of 'shape'"},
        {tensor(R"("dtype": "F32", "shape": 2, "data_offsets": [0, 8])"), "natural numbers"},
        {tensor(R"("dtype": "F32", "shape": [1,1,1,1,1,1,1,1,2], "data_offsets": [0, 8])"), "natural numbers"},
        {tensor(R"("dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8])"), "overflows"},
        {tensor(R"("dtype": "F32", "shape": [18446744073709551616], "data_offsets": [0, 8])"), "natural numbers"},
        {tensor(R"("dtype": "F32", "shape": [1], "data_offsets": [4, 8])"), "gap"},
        {tensor(R"("dtype": "F32", "shape": [1], "data_offsets": [0, 4])"), "4 bytes that belong to no tensor"},
        {R"({"t": 1})", "something other than an object"},
        {R"({"t": [1]})", "something other than an object"},
        {R"({"": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", "name of 0 bytes"},
        {R"({"a\u0007": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", "control characters"},
        {R"([])", "no JSON object"},
        {R"(7)", "no JSON object"},
        {R"({"t": )", "not JSON"},
        {R"({} x)", "not JSON"},
        {R"({})", "8 bytes that belong to no tensor"},
    };
    for (const auto& [header, part] : wrong) {
        SCOPED_TRACE(header);
        expect_in(with(header), {part, "x.safetensors"});
    }
    const std::string half = R"({"dtype": "F32", "shape": [1], "data_offsets": [)";
    expect_in(with("{\"a\": " + half + "0, 4]}, \"a\": " + half + "4, 8]}}"), {"'a'", "stands twice"});
    expect_in(with("{\"a\": " + half + "0, 4]}, \"b\": " + half + "0, 4]}}"), {"overlaps"});
    std::string deep;
    for (int i = 0; i < 20; i++) { deep += '['; }
    expect_in(with("{\"__metadata__\": " + deep), {"deeper"});
}

TEST_F(ConvertSafetensors, FilesCutShortAreRefused) {
    const std::string whole = Bytes().add({"a", {4}, {1, 2, 3, 4}}, "F32").build();
    EXPECT_EQ(refusal(whole), "");
    for (size_t n = 0; n < whole.size(); n++) { EXPECT_NE(refusal(whole.substr(0, n)), "") << n; }
    expect_in(refusal(whole + "x"), {"1 bytes that belong to no tensor"});
    std::string long_header = whole;
    long_header.replace(0, 8, std::string(8, '\xff'));
    expect_in(refusal(long_header), {"cut short"});
}

TEST_F(ConvertSafetensors, ShardsByTheirIndex) {
    put("a.safetensors", Bytes().add({"x", {1}, {1}}, "F32").build());
    put("b.safetensors", Bytes().add({"y", {1}, {2}}, "F32").build());
    const auto index = [&](const std::string& map) {
        put("model.safetensors.index.json", "{\"weight_map\": " + map + "}");
    };
    index(R"({"x": "a.safetensors", "y": "b.safetensors"})");
    const Safetensors all = must(open_safetensors(folder_));
    ASSERT_EQ(all.files.size(), 2u);
    EXPECT_TRUE(all.find("y")->file->name().ends_with("b.safetensors"));

    index(R"({"x": "a.safetensors", "z": "b.safetensors"})");
    expect_in(refusal_of_folder(), {"b.safetensors", "'z'", "is missing"});
    index(R"({"x": "b.safetensors", "y": "a.safetensors"})");
    expect_in(refusal_of_folder(), {"is missing"});
    index(R"({"x": "../a.safetensors"})");
    expect_in(refusal_of_folder(), {"index.json", "'x'", "../a.safetensors"});
    for (const char* name : {"/etc/passwd", "..", "", "a\\b.safetensors", "a.safetensors/", "pytorch_model.bin"}) {
        index(fmt::format(R"({{"x": "{}"}})", name == std::string("a\\b.safetensors") ? "a\\\\b.safetensors" : name));
        expect_in(refusal_of_folder(), {"does not name a .safetensors file"});
    }
    index(R"({"x": "a.safetensors", "x": "a.safetensors"})");
    expect_in(refusal_of_folder(), {"'x'", "twice"});
    index(R"({"x": "c.safetensors"})");
    expect_in(refusal_of_folder(), {"c.safetensors", "cannot open"});
    index(R"({"x": 1})");
    expect_in(refusal_of_folder(), {"'x'"});
    index("{}");
    expect_in(refusal_of_folder(), {"weight_map"});
    index("[]");
    EXPECT_NE(refusal_of_folder(), "");
    put("b.safetensors", Bytes().add({"x", {1}, {2}}, "F32").build());
    index(R"({"x": "a.safetensors", "y": "b.safetensors"})");
    expect_in(refusal_of_folder(), {"'x'", "stands in"});
}

// The reason and a way out, whether the pickle is found by its name or by what it begins with.
TEST_F(ConvertSafetensors, PicklesAreRefusedWithTheReason) {
    expect_in(refusal_of_folder(), {"neither model.safetensors nor"});
    put("pytorch_model.bin", "PK\x03\x04");
    expect_in(refusal_of_folder(), {"pytorch_model.bin", "pickle", "program", "save_pretrained"});
    const std::string zip = std::string("PK\x03\x04") + std::string("\x14\0\0\0", 4) + "archive/data.pkl";
    expect_in(refusal(zip), {"pickle"});
    expect_in(refusal("\x80\x02\x8a\x0al\xfc\x9c"
                      "F\xf9 j\xa8P\x19.\x80\x02M"),
              {"pickle"});
    EXPECT_EQ(refusal("\x80\x02" + std::string(6, '\0') + "{}").find("pickle"), std::string::npos);
}

}  // namespace
