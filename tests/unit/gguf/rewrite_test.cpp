#include "gguf/rewrite.h"

#include <gtest/gtest.h>

#include "support/failing_source.h"
#include "support/gguf_bytes.h"
#include "support/memory_sink.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

std::vector<uint8_t> small_file() {
    GgufBytes file;
    file.kv("general.architecture", "llama").kv("llama.block_count", uint32_t(2)).kv("llama.rope.freq_base", 1e4f);
    file.kv("general.name", "a name").kv("flag", true).array<int32_t>("list", {1, 2});
    for (int i = 0; i < 3; i++) { file.tensor_f32("t" + std::to_string(i), {5}, std::vector<float>(5, float(i))); }
    return file.build();
}

std::unique_ptr<gguf::WeightSource> open(const std::vector<uint8_t>& bytes) {
    return must(gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "source")));
}

gguf::SetWriter writer_to(MemorySink::Seen& seen, const gguf::Draft& draft) {
    return must(gguf::Writer::create(std::make_unique<MemorySink>(seen), draft));
}

TEST(GgufRewrite, ACopyIsTheFile) {
    const auto file = small_file();
    const auto source = open(file);
    MemorySink::Seen seen;
    ASSERT_TRUE(gguf::copy_tensors(*source, writer_to(seen, gguf::draft_of(*source)), {}, {}).ok());
    EXPECT_TRUE(seen.committed);
    EXPECT_EQ(seen.bytes, file);
}

TEST(GgufRewrite, AReadThatFailsIsTheErrorWhicheverItIs) {
    const auto file = small_file();
    uint64_t n_left = UINT64_MAX;
    const auto source = must(gguf::open_gguf(std::make_unique<FailingSource>(file, n_left)));
    uint64_t n = 0;
    for (bool ok = false; !ok; n++) {
        n_left = n;
        MemorySink::Seen seen;
        const auto done = gguf::copy_tensors(*source, writer_to(seen, gguf::draft_of(*source)), {}, {});
        ok = done.ok();
        EXPECT_EQ(seen.committed, ok);
        if (!ok) { EXPECT_EQ(done.error().what, "no more"); }
    }
    EXPECT_EQ(n, 4u);  // a read a tensor
}

TEST(GgufRewrite, KeysBecomeWhatIsAskedOfTheTypeTheyHave) {
    const auto file = small_file();
    const auto source = open(file);
    gguf::Draft draft = gguf::draft_of(*source);
    for (const char* assignment : {"general.name=b = c", "llama.rope.freq_base=5e5", "flag=false", "new:u8=255",
                                   "other:i64=-9", "wide:f64=0.1", "text:string="}) {
        const auto set = gguf::set_key(draft, source->metadata(), assignment, false);
        EXPECT_TRUE(set.ok()) << set.error().message();
    }
    ASSERT_TRUE(gguf::set_key(draft, source->metadata(), "llama.block_count=3", true).ok());
    ASSERT_TRUE(gguf::remove_key(draft, source->metadata(), "list", false).ok());
    MemorySink::Seen seen;
    ASSERT_TRUE(gguf::copy_tensors(*source, writer_to(seen, draft), {}, {}).ok());
    const auto out = open(seen.bytes);
    const gguf::Metadata& keys = out->metadata();
    EXPECT_EQ(must(keys.string("general.name")), "b = c");
    EXPECT_EQ(must(keys.number("llama.rope.freq_base")), 5e5);
    EXPECT_EQ(keys.find("llama.rope.freq_base")->type, gguf::ValueType::f32);
    EXPECT_EQ(must(keys.boolean("flag")), false);
    EXPECT_EQ(keys.find("new")->type, gguf::ValueType::u8);
    EXPECT_EQ(keys.find("other")->integer(), -9);
    EXPECT_EQ(must(keys.number("wide")), 0.1);
    EXPECT_EQ(must(keys.string("text")), "");
    EXPECT_EQ(must(keys.u32("llama.block_count")), 3u);
    EXPECT_FALSE(keys.has("list"));
}

TEST(GgufRewrite, WhatCannotBeSet) {
    const auto file = small_file();
    const auto source = open(file);
    gguf::Draft draft = gguf::draft_of(*source);
    const auto refusal = [&](std::string_view assignment, bool force = false) {
        const auto set = gguf::set_key(draft, source->metadata(), assignment, force);
        return set.ok() ? std::string() : set.error().message();
    };
    EXPECT_NE(refusal("no sign").find("KEY=VALUE"), std::string::npos);
    EXPECT_NE(refusal("=5").find("KEY=VALUE"), std::string::npos);
    EXPECT_NE(refusal("unknown=5").find("KEY:TYPE=VALUE"), std::string::npos);
    EXPECT_NE(refusal("k:u33=5").find("type"), std::string::npos);
    EXPECT_NE(refusal("list=5").find("array"), std::string::npos);
    EXPECT_NE(refusal("k:array=5").find("array"), std::string::npos);
    EXPECT_NE(refusal("flag=1").find("no bool"), std::string::npos);
    for (const char* value :
         {"k:u8=256", "k:u8=-1", "k:u8=", "k:u8=1x", "k:u8= 1", "k:f32=nan", "k:f32=1e99", "k:i8=1.5"}) {
        EXPECT_NE(refusal(value).find("is no "), std::string::npos) << value;
    }
    for (const char* value : {"general.alignment:u32=64", "split.count:u16=2", "split.no:u16=0"}) {
        EXPECT_NE(refusal(value, true).find("laid out"), std::string::npos) << value;
    }
    for (const char* value : {"general.architecture=qwen2", "llama.block_count=3", "x.embedding_length:u32=4"}) {
        EXPECT_NE(refusal(value).find("--force"), std::string::npos) << value;
        EXPECT_EQ(refusal(value, true), "") << value;
    }
    EXPECT_FALSE(gguf::remove_key(draft, source->metadata(), "unknown", true).ok());
    EXPECT_FALSE(gguf::remove_key(draft, source->metadata(), "llama.block_count", false).ok());
}

// The digests of Python's hashlib of the same bytes.
TEST(GgufRewrite, DigestsOfTensors) {
    const auto file = small_file();
    const auto digests = must(gguf::digests_of(*open(file), "sha256", {}, {}));
    ASSERT_EQ(digests.size(), 4u);
    const char* expected[] = {
        "de47c9b27eb8d300dbb5f2c353e632c393262cf06340c4fa7f1b40c4cbd36f90",
        "f603f94b1d517d5138cdeae0c125779455d596b548a58e5cb4d941f97a1a242a",
        "93923d16420abc5ce58a32ac06c59471dae271fb5b6106bab3f49f185ebab762",
        "d959dda796a9486908d1479e12257f4f04758783aa42d598122e51e376bb8a04",
    };
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(digests[i].tensor, i < 3 ? "t" + std::to_string(i) : "");
        EXPECT_EQ(digests[i].hex, expected[i]);
    }
    EXPECT_FALSE(gguf::digests_of(*open(file), "md5", {}, {}).ok());
}

}  // namespace
