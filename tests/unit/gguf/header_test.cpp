#include "gguf/header.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "convert/streaming.h"
#include "convert/synthetic.h"
#include "gguf/shards.h"
#include "models/models.h"
#include "support/memory_sink.h"
#include "support/runner.h"
#include "support/split_gguf.h"
#include "unit/gguf/raw.h"

namespace {

using namespace wallaby;
using wallaby::testing::must;
using wallaby::testing::Raw;

// A header that ends with a tensor's record; its data is still to be appended.
Raw small_header() {
    Raw raw = Raw::header(2, 3).key_u32("a.count", 7);
    raw.array("a.numbers", gguf::ValueType::u32, 3).put(1u).put(2u).put(3u);
    raw.array("a.words", gguf::ValueType::string, 2).text("one").text("two");
    raw.tensor("token_embd.weight", {64, 4}, 0, 0).tensor("rope_freqs.weight", {8}, 0, 1024);
    return raw;
}

std::vector<uint8_t> first(const std::vector<uint8_t>& bytes, size_t n) { return {bytes.begin(), bytes.begin() + n}; }

// A descriptor that gives the bytes; a file in the place of a pipe, so that nobody need write meanwhile.
class Stream {
  public:
    explicit Stream(const std::vector<uint8_t>& bytes) {
        std::string path = ::testing::TempDir() + "wallaby-stream-XXXXXX";
        fd_ = ::mkstemp(path.data());
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        ::unlink(path.c_str());
    }
    ~Stream() { ::close(fd_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    int fd() const { return fd_; }
    uint64_t n_read() const { return uint64_t(::lseek(fd_, 0, SEEK_CUR)); }

  private:
    int fd_;
};

Result<std::unique_ptr<gguf::WeightSource>> open_bytes(const std::vector<uint8_t>& bytes) {
    return gguf::open_gguf_header(std::make_unique<base::MemorySource>(bytes, "memory"));
}

Result<std::unique_ptr<gguf::WeightSource>> open_stream(const std::vector<uint8_t>& bytes,
                                                        const gguf::Limits& limits = gguf::header_limits) {
    const Stream stream(bytes);
    return gguf::open_gguf_header(stream.fd(), "standard input", limits);
}

void expect_same(const gguf::WeightSource& header, const gguf::WeightSource& whole) {
    ASSERT_EQ(header.tensors().size(), whole.tensors().size());
    for (size_t i = 0; i < whole.tensors().size(); i++) {
        const gguf::Tensor &a = header.tensors()[i], &b = whole.tensors()[i];
        EXPECT_EQ(a.name, b.name);
        EXPECT_EQ(a.type, b.type);
        EXPECT_EQ(a.dims, b.dims);
        EXPECT_EQ(a.offset, b.offset);
        EXPECT_EQ(a.n_bytes, b.n_bytes);
        EXPECT_EQ(a.shard, b.shard);
        EXPECT_EQ(header.find(b.name), &a);
        EXPECT_TRUE(header.bytes(a).empty());
    }
    ASSERT_EQ(header.metadata().entries().size(), whole.metadata().entries().size());
    for (const gguf::Metadata::Entry& entry : whole.metadata().entries()) {
        const gguf::Value* value = header.metadata().find(entry.key);
        ASSERT_NE(value, nullptr) << entry.key;
        EXPECT_TRUE(std::ranges::equal(value->bytes, entry.value.bytes)) << entry.key;
    }
}

TEST(GgufHeader, IsCompleteWithTheLastByteOfTheLastRecordAndNotBefore) {
    Raw raw = small_header();
    const uint64_t header_bytes = raw.size();
    const std::vector<uint8_t> file = raw.data(1024 + 32).done();
    for (uint64_t n = 0; n <= file.size(); n++) {
        const auto part = must(gguf::read_beginning(base::MemorySource(first(file, n), "memory"), {}));
        EXPECT_EQ(part.has_value(), n >= header_bytes) << n;
        EXPECT_EQ(open_bytes(first(file, n)).ok(), n >= header_bytes) << n;
        EXPECT_EQ(open_stream(first(file, n)).ok(), n >= header_bytes) << n;
        EXPECT_EQ(wallaby::testing::read(first(file, n)).ok(), n == file.size()) << n;  // the data is needed elsewhere
    }
    const auto whole = must(gguf::open_gguf(std::make_unique<base::MemorySource>(file, "memory")));
    expect_same(*must(open_bytes(first(file, header_bytes))), *whole);
    expect_same(*must(open_stream(file)), *whole);
    const auto one_less = open_stream(first(file, header_bytes - 1));
    EXPECT_EQ(one_less.error().what,
              fmt::format("ends after {} bytes, inside the header of a GGUF file", header_bytes - 1));
    EXPECT_EQ(one_less.error().where.file, "standard input");
}

// Nothing else is overlooked: what the reader refuses in a whole file, it refuses here.
TEST(GgufHeader, LiesAreRefusedAsInAWholeFile) {
    const auto what = [](const Raw& raw) {
        const auto opened = open_stream(raw.done());
        EXPECT_FALSE(opened.ok());
        return opened.ok() ? "" : opened.error().what;
    };
    EXPECT_NE(what(Raw().bytes("GGML").zeros(100)).find("not with \"GGUF\""), std::string::npos);
    EXPECT_NE(what(Raw::header(1, 0).tensor("a", {32}, 0, 8)).find("alignment"), std::string::npos);
    EXPECT_NE(what(Raw::header(1, 0).tensor("a", {32}, 0, ~uint64_t(31))).find("end beyond"), std::string::npos);
    EXPECT_NE(what(Raw::header(2, 0).tensor("a", {32}, 0, 0).tensor("b", {32}, 0, 32)).find("overlaps"),
              std::string::npos);
    EXPECT_NE(what(Raw::header(2, 0).tensor("a", {32}, 0, 0).tensor("a", {32}, 0, 128)).find("twice"),
              std::string::npos);
}

TEST(GgufHeader, AStreamIsReadAsFarAsTheHeaderNeeds) {
    Raw raw = Raw::header(1, 1);
    raw.array("a.numbers", gguf::ValueType::u8, 700000).zeros(700000);
    raw.tensor("token_embd.weight", {64, 1 << 16}, 0, 0);
    const std::vector<uint8_t> file = raw.data(64 << 18).done();
    const Stream stream(file);
    const auto source = must(gguf::open_gguf_header(stream.fd(), "standard input"));
    EXPECT_EQ(stream.n_read(), uint64_t(1) << 20);
    expect_same(*source, *must(gguf::open_gguf(std::make_unique<base::MemorySource>(file, "memory"))));
}

TEST(GgufHeader, AStreamThatNeverCompletesEndsAtTheBudget) {
    gguf::Limits limits = gguf::header_limits;
    limits.max_header_bytes = 4096;
    Raw raw = Raw::header(0, 1).array("a.words", gguf::ValueType::string, 400);
    for (int i = 0; i < 400; i++) { raw.text("a word"); }
    const auto refused = open_stream(raw.done(), limits);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().where.field, "key 'a.words'");
    EXPECT_NE(refused.error().what.find("a header of at most 4096 bytes"), std::string::npos);
    limits.max_header_bytes = raw.size();
    EXPECT_TRUE(open_stream(raw.done(), limits).ok());
    // A claim that no budget can meet is refused by name, and no byte is waited for.
    for (const uint64_t count : {uint64_t(8192), uint64_t(1) << 40, ~uint64_t(0)}) {
        limits.max_header_bytes = 4096;
        const Stream stream(Raw::header(0, 1).array("a.words", gguf::ValueType::u8, count).zeros(100).done());
        const auto hopeless = gguf::open_gguf_header(stream.fd(), "standard input", limits);
        ASSERT_FALSE(hopeless.ok());
        EXPECT_EQ(hopeless.error().where.field, "key 'a.words'") << count;
    }
}

TEST(GgufHeader, WeightsCannotBeReadAndRopeConstantsAreOnes) {
    Raw raw = small_header();
    const auto source = must(open_bytes(raw.done()));
    const gguf::Tensor &weights = *source->find("token_embd.weight"), &factors = *source->find("rope_freqs.weight");
    std::vector<uint8_t> out(4);
    const auto refused = source->read(weights, 0, out);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().where.field, "tensor 'token_embd.weight'");
    EXPECT_NE(refused.error().what.find("only the file's header was read"), std::string::npos);
    EXPECT_EQ(must(gguf::read_floats(*source, factors, 8)), std::vector<float>(8, 1.0f));
    EXPECT_TRUE(source->read(factors, 6, out).ok());
    EXPECT_EQ(out, (std::vector<uint8_t>{0x80, 0x3f, 0, 0}));
    EXPECT_FALSE(source->read(factors, 29, out).ok());
    EXPECT_FALSE(source->read(factors, UINT64_MAX, out).ok());
    const std::vector<uint8_t> halves = Raw::header(1, 0).tensor("rope_freqs.weight", {8}, 1, 0).done();
    const auto other = must(open_bytes(halves));
    EXPECT_FALSE(other->read(other->tensors()[0], 0, out).ok());
}

// A program is built from the header as from the file, whatever the constants.
TEST(GgufHeader, AProgramIsBuiltFromIt) {
    convert::Shape shape = must(convert::named_shape("tiny-dense"));
    shape.tensors.push_back({"rope_freqs.weight", {32}, std::vector<float>(32, 4.0f)});
    const auto synthetic = must(convert::SyntheticSource::create(std::move(shape), "Q4_0", 1, "x"));
    wallaby::testing::MemorySink::Seen seen;
    threads::Pool pool(1);
    auto writer = must(gguf::Writer::create(std::make_unique<wallaby::testing::MemorySink>(seen), synthetic->draft()));
    ASSERT_TRUE(convert::write_source(*synthetic, std::move(writer), pool, {}, {}).ok());
    const std::vector<uint8_t> bytes = first(seen.bytes, synthetic->layout().header_bytes);
    const auto header = must(open_stream(bytes));
    expect_same(*header, *synthetic);
    const ops::Model model = must(models::build(*header, {})), expected = must(models::build(*synthetic, {}));
    EXPECT_EQ(model.weights.size(), expected.weights.size());
    EXPECT_EQ(model.programs.front().ops.size(), expected.programs.front().ops.size());
    EXPECT_EQ(model.rope_tables.front().frequency.front(), 4 * expected.rope_tables.front().frequency.front());
}

TEST(GgufHeader, FilesAreOpenedByPath) {
    const std::string path = ::testing::TempDir() + fmt::format("wallaby-header-{}.gguf", ::getpid());
    const Raw raw = small_header();
    const auto write = [&](size_t n) {
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(raw.done().data()), std::streamsize(n));
    };
    write(raw.size());
    const auto source = must(gguf::open_gguf_header(path));
    EXPECT_EQ(source->tensors().size(), 2u);
    EXPECT_EQ(source->file_of(source->tensors()[0]), path);
    EXPECT_FALSE(gguf::open_gguf(path).ok());
    write(raw.size() - 1);
    EXPECT_FALSE(gguf::open_gguf_header(path).ok());
    std::filesystem::remove(path);
    EXPECT_EQ(gguf::open_gguf_header(path).error().code, ErrorCode::io);
}

// All files of a set, each cut behind its header; of one alone, an error that says so.
TEST(GgufHeader, SplitSetsNeedTheHeaderOfEachFile) {
    const std::string prefix = ::testing::TempDir() + fmt::format("wallaby-header-set-{}", ::getpid());
    const auto synthetic = must(convert::open_synthetic("tiny-dense", "Q4_0", 1));
    const std::vector<std::string> paths = wallaby::testing::write_split(*synthetic, prefix);
    const auto whole = must(gguf::open_gguf(paths[0]));
    for (const std::string& path : paths) {
        const auto source = must(base::open_file(path));
        std::filesystem::resize_file(path, must(gguf::read_file(*source)).data_offset);
    }
    EXPECT_FALSE(gguf::open_gguf(paths[0]).ok());
    const auto set = must(gguf::open_gguf_header(paths[0]));
    expect_same(*set, *whole);
    EXPECT_EQ(set->file_of(set->tensors().back()), paths[2]);
    EXPECT_TRUE(models::build(*set, {}).ok());

    EXPECT_EQ(gguf::open_gguf_header(paths[1]).error().where.field, "key 'split.no'");
    const auto alone = gguf::open_gguf_header(must(base::open_file(paths[0])));
    ASSERT_FALSE(alone.ok());
    EXPECT_EQ(alone.error().where.field, "key 'split.count'");
    EXPECT_NE(alone.error().what.find("the header of one file of a set"), std::string::npos);
    const int fd = ::open(paths[0].c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(gguf::open_gguf_header(fd, "standard input").error().where.field, "key 'split.count'");
    ::close(fd);
    std::filesystem::remove(paths[2]);
    EXPECT_EQ(gguf::open_gguf_header(paths[0]).error().where.field, "file 3 of 3");
    for (const std::string& path : paths) { std::filesystem::remove(path); }
}

}  // namespace
