// One file for each known way to be malformed: it must be refused with a typed error that names the place.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gguf/weight_source.h"
#include "support/gguf_bytes.h"
#include "unit/gguf/malformed_cases.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using namespace wallaby::testing::malformed;

class GgufMalformed : public ::testing::TestWithParam<Case> {};

void expect_refused(const Error& error, const Case& c, const std::string& file) {
    EXPECT_EQ(error.code, c.code);
    EXPECT_EQ(error.where.file, file);
    EXPECT_EQ(error.where.field, c.field);
    EXPECT_EQ(error.where.offset, c.offset);
    EXPECT_NE(error.what.find(c.says), std::string::npos) << error.what;
}

TEST_P(GgufMalformed, IsRefusedFromMemory) { expect_refused(refusal(GetParam().bytes), GetParam(), "memory"); }

TEST_P(GgufMalformed, IsRefusedFromAFile) {
    const Case& c = GetParam();
    const std::string path = ::testing::TempDir() + "wallaby-" + c.name + "-" + std::to_string(::getpid()) + ".gguf";
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(c.bytes.data()), long(c.bytes.size()));
    const auto opened = gguf::open_gguf(path);
    std::filesystem::remove(path);
    ASSERT_FALSE(opened.ok());
    expect_refused(opened.error(), c, path);
}

const auto case_name = [](const ::testing::TestParamInfo<Case>& info) { return info.param.name; };
INSTANTIATE_TEST_SUITE_P(Header, GgufMalformed, ::testing::ValuesIn(header_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Key, GgufMalformed, ::testing::ValuesIn(key_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Array, GgufMalformed, ::testing::ValuesIn(array_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Alignment, GgufMalformed, ::testing::ValuesIn(alignment_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Tensor, GgufMalformed, ::testing::ValuesIn(tensor_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Data, GgufMalformed, ::testing::ValuesIn(data_cases()), case_name);

// Counts are legal only when that many of the smallest records fit into what is left.
TEST(GgufLimits, CountsAtTheEdgeOfWhatFits) {
    for (const uint64_t count : {uint64_t(1) << 31, uint64_t(1) << 32, uint64_t(1) << 63, max64, uint64_t(8)}) {
        SCOPED_TRACE(count);
        EXPECT_EQ(refusal(Raw::header(0, count).zeros(8 * 14 - 1).done()).where.offset, 16u);
        EXPECT_EQ(refusal(Raw::header(count, 0).zeros(8 * 33 - 1).done()).where.offset, 8u);
    }
    // One byte more, and the records themselves are looked at.
    EXPECT_EQ(refusal(Raw::header(0, 8).zeros(8 * 14).done()).where.offset, 24u);
    EXPECT_EQ(refusal(Raw::header(8, 0).zeros(8 * 33).done()).where.offset, 24u);
}

TEST(GgufLimits, AreEnforced) {
    GgufBytes file;
    file.kv("a", uint32_t(1)).kv("b", "0123456789").tensor_f32("t", {2}, {1, 2}).tensor_f32("u", {2}, {1, 2});
    const std::vector<uint8_t> bytes = file.build();
    ASSERT_TRUE(read(bytes).ok());
    gguf::Limits limits;
    limits.max_kv = 1;
    EXPECT_EQ(refusal(bytes, limits).where.offset, 16u);
    limits = {};
    limits.max_tensors = 1;
    EXPECT_EQ(refusal(bytes, limits).where.offset, 8u);
    limits = {};
    limits.max_header_bytes = 60;
    EXPECT_NE(refusal(bytes, limits).what.find("longer than 60 bytes"), std::string::npos);
    limits = {};
    limits.max_key_bytes = 0;
    EXPECT_EQ(refusal(bytes, limits).where.offset, 24u);
}

}  // namespace
