#include "gguf/writer.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>

#include "support/gguf_bytes.h"
#include "support/memory_sink.h"
#include "unit/gguf/raw.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using gguf::Draft;
using gguf::ValueType;
using gguf::Writer;
using quant::Type;
namespace fs = std::filesystem;

Result<Writer> writer_to(MemorySink::Seen& seen, const Draft& draft, const gguf::Limits& limits = {}) {
    return Writer::create(std::make_unique<MemorySink>(seen), draft, limits);
}

std::vector<uint8_t> pattern(uint64_t n, uint8_t seed) {
    std::vector<uint8_t> out(n);
    for (uint64_t i = 0; i < n; i++) { out[i] = uint8_t(seed + i * 31); }
    return out;
}

// The same file as `rich_bytes`, which another writer makes.
Draft rich_draft() {
    Draft draft;
    draft.set("general.architecture", "llama")
        .set("u8", uint8_t(200))
        .set("i8", int8_t(-3))
        .set("u16", uint16_t(60000));
    draft.set("i16", int16_t(-300)).set("u32", uint32_t(4000000000)).set("i32", int32_t(-70000)).set("f32", 0.5f);
    draft.set("bool", true).set("u64", UINT64_MAX).set("i64", INT64_MIN).set("f64", -1e300);
    const uint8_t u8s[] = {0, 255};
    const int32_t i32s[] = {-7, 8};
    const float f32s[] = {0.25f, -1.5f};
    const bool bools[] = {false, true};
    const std::vector<std::string> texts{"", "a", "\u2581the", std::string("\0\xff", 2)};
    draft.set_array<uint8_t>("a.u8", u8s).set_array<int32_t>("a.i32", i32s).set_array<float>("a.f32", f32s);
    draft.set_array<bool>("a.bool", bools).set_array<double>("a.f64", {}).set_array("a.string", texts);
    draft.tensor("blk.0.w", Type::q8_0, {64, 3}).tensor("norm", Type::f32, {5}).tensor("b", Type::f32, {1, 2});
    return draft;
}

std::vector<uint8_t> rich_bytes() {
    GgufBytes file;
    file.kv("general.architecture", "llama").kv("u8", uint8_t(200)).kv("i8", int8_t(-3)).kv("u16", uint16_t(60000));
    file.kv("i16", int16_t(-300)).kv("u32", uint32_t(4000000000)).kv("i32", int32_t(-70000)).kv("f32", 0.5f);
    file.kv("bool", true).kv("u64", UINT64_MAX).kv("i64", INT64_MIN).kv("f64", -1e300);
    file.array<uint8_t>("a.u8", {0, 255}).array<int32_t>("a.i32", {-7, 8}).array<float>("a.f32", {0.25f, -1.5f});
    file.array<bool>("a.bool", {false, true}).array<double>("a.f64", {});
    file.array("a.string", {"", "a", "\u2581the", std::string("\0\xff", 2)});
    file.tensor("blk.0.w", {64, 3}, 8, pattern(204, 1)).tensor("norm", {5}, 0, pattern(20, 2));
    file.tensor("b", {1, 2}, 0, pattern(8, 3));
    return file.build();
}

// Writes every tensor as pattern(n_bytes, its place + 1), in pieces of `piece` bytes.
Result<void> write_patterns(Writer& writer, uint64_t piece = UINT64_MAX) {
    for (size_t i = 0; i < writer.layout().tensors.size(); i++) {
        const gguf::Tensor tensor = writer.layout().tensors[i];
        const std::vector<uint8_t> bytes = pattern(tensor.n_bytes, uint8_t(i + 1));
        for (uint64_t at = 0; at < bytes.size(); at += std::min(piece, bytes.size() - at)) {
            WALLABY_OK(writer.write(tensor.name, std::span(bytes).subspan(at, std::min(piece, bytes.size() - at))));
        }
    }
    return {};
}

// Writes a file again from what was read of it.
Draft draft_of(const gguf::WeightSource& source) {
    Draft draft;
    draft.copy(source.metadata());
    for (const gguf::Tensor& t : source.tensors()) { draft.tensor(t.name, t.type, std::span(t.dims).first(t.n_dims)); }
    return draft;
}

TEST(GgufWriter, WritesWhatAnotherWriterWrites) {
    const std::vector<uint8_t> expected = rich_bytes();
    for (const uint64_t piece : {uint64_t(1), uint64_t(7), UINT64_MAX}) {
        MemorySink::Seen seen;
        auto writer = writer_to(seen, rich_draft());
        ASSERT_TRUE(writer.ok()) << writer.error().message();
        ASSERT_TRUE(write_patterns(*writer, piece).ok());
        EXPECT_FALSE(seen.committed);
        ASSERT_TRUE(writer->commit().ok());
        EXPECT_TRUE(seen.committed);
        EXPECT_EQ(seen.bytes, expected);
        EXPECT_EQ(seen.reserved, expected.size());
        EXPECT_EQ(writer->layout().file_bytes, expected.size());
    }
}

TEST(GgufWriter, CopiesArbitraryMetadataByteForByte) {
    const std::vector<uint8_t> bytes = rich_bytes();
    const auto source = gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "memory"));
    ASSERT_TRUE(source.ok());
    MemorySink::Seen seen;
    auto writer = writer_to(seen, draft_of(**source));
    ASSERT_TRUE(writer.ok()) << writer.error().message();
    for (const gguf::Tensor& tensor : (*source)->tensors()) { ASSERT_TRUE(writer->copy(**source, tensor).ok()); }
    ASSERT_TRUE(writer->commit().ok());
    EXPECT_EQ(seen.bytes, bytes);
}

TEST(GgufWriter, KnowsTheLayoutBeforehand) {
    for (uint32_t alignment = 1; alignment <= 65536; alignment *= 4) {
        SCOPED_TRACE(alignment);
        Draft draft;
        draft.set("general.alignment", alignment).tensor("a", Type::i8, {3}).tensor("b", Type::q4_k, {512, 2, 3, 2});
        const auto layout = draft.layout("f");
        ASSERT_TRUE(layout.ok());
        MemorySink::Seen seen;
        auto writer = writer_to(seen, draft);
        ASSERT_TRUE(writer.ok() && write_patterns(*writer).ok() && writer->commit().ok());
        EXPECT_EQ(seen.bytes.size(), layout->file_bytes);
        EXPECT_EQ(seen.bytes.size() % alignment, 0u);
        const auto file = read(seen.bytes);
        ASSERT_TRUE(file.ok()) << file.error().message();
        EXPECT_EQ(file->alignment, alignment);
        EXPECT_EQ(file->data_offset, layout->data_offset);
        for (size_t i = 0; i < 2; i++) {
            EXPECT_EQ(file->tensors[i].offset, layout->tensors[i].offset);
            EXPECT_EQ(file->tensors[i].n_bytes, layout->tensors[i].n_bytes);
            EXPECT_EQ(file->tensors[i].dims, layout->tensors[i].dims);
            EXPECT_EQ(file->tensors[i].type, layout->tensors[i].type);
        }
    }
}

TEST(GgufWriter, WritesAFileWithNothingInIt) {
    MemorySink::Seen seen;
    auto writer = writer_to(seen, Draft());
    ASSERT_TRUE(writer.ok() && writer->commit().ok());
    EXPECT_EQ(seen.bytes, Raw::header(0, 0).done());
    EXPECT_EQ(seen.reserved, seen.bytes.size());
}

TEST(GgufWriter, ReplacesAndRemovesKeysInPlace) {
    Draft draft;
    draft.set("a", uint32_t(1)).set("b", "old").set("c", 1.5f).set("d", false);
    draft.set("b", int64_t(-9)).remove("c").remove("none").set("c", "again");
    MemorySink::Seen seen;
    auto writer = writer_to(seen, draft);
    ASSERT_TRUE(writer.ok() && writer->commit().ok());
    GgufBytes expected;
    expected.kv("a", uint32_t(1)).kv("b", int64_t(-9)).kv("d", false).kv("c", "again");
    EXPECT_EQ(seen.bytes, expected.build());
}

// Pieces smaller than the writer's buffer, larger, and around its edge: the bytes are the same.
TEST(GgufWriter, PiecesOfAnySizeGiveTheSameFile) {
    const uint64_t mib = 1 << 20;
    Draft draft;
    draft.set("k", "v").tensor("a", Type::i8, {3 * mib + 5}).tensor("b", Type::i8, {77}).tensor("c", Type::i8, {mib});
    std::vector<uint8_t> expected;
    for (const uint64_t piece : {UINT64_MAX, mib, mib - 1, mib + 1, uint64_t(100003), 2 * mib + 3}) {
        SCOPED_TRACE(piece);
        MemorySink::Seen seen;
        auto writer = writer_to(seen, draft);
        ASSERT_TRUE(writer.ok() && write_patterns(*writer, piece).ok() && writer->commit().ok());
        if (expected.empty()) { expected = seen.bytes; }
        EXPECT_TRUE(seen.bytes == expected);
    }
    const auto file = read(expected);
    ASSERT_TRUE(file.ok());
    const auto* first = expected.data() + file->tensors[0].offset;
    EXPECT_TRUE(std::vector<uint8_t>(first, first + 3 * mib + 5) == pattern(3 * mib + 5, 1));
}

// --- Refusals

std::string refusal_of(const Draft& draft) {
    MemorySink::Seen seen;
    const auto writer = writer_to(seen, draft);
    EXPECT_TRUE(seen.bytes.empty()) << "something was written";
    if (writer.ok()) { return "accepted"; }
    EXPECT_EQ(writer.error().code, ErrorCode::argument);
    EXPECT_EQ(writer.error().where.file, "sink");
    return writer.error().where.field + " " + writer.error().what;
}

TEST(GgufWriter, RefusesWhatTheReaderWould) {
    const std::string control("a\nb"), nul("a\0b", 3);
    const uint64_t half = uint64_t(1) << 63;
    EXPECT_EQ(refusal_of(Draft().set("", 1)), "key '' a key of 0 bytes: 1 to 65535 are allowed");
    EXPECT_NE(refusal_of(Draft().set(std::string(65536, 'k'), 1)).find("a key of 65536 bytes"), std::string::npos);
    EXPECT_EQ(refusal_of(Draft().set(std::string(65535, 'k'), 1)), "accepted");
    EXPECT_NE(refusal_of(Draft().set(control, 1)).find("control characters"), std::string::npos);
    EXPECT_NE(refusal_of(Draft().set(nul, "x")).find("control characters"), std::string::npos);
    for (const uint32_t n : {0u, 3u, 13u, 1u << 17, UINT32_MAX}) {
        EXPECT_EQ(refusal_of(Draft().set("general.alignment", n)),
                  fmt::format("key 'general.alignment' is {}: a power of two from 1 to 65536 is required", n));
    }
    EXPECT_EQ(refusal_of(Draft().set("general.alignment", int32_t(32))),
              "key 'general.alignment' is of type i32, but must be a u32");
    EXPECT_EQ(refusal_of(Draft().tensor("", Type::f32, {1})),
              "tensor '' a tensor's name of 0 bytes: 1 to 63 are allowed");
    EXPECT_NE(refusal_of(Draft().tensor(std::string(64, 'n'), Type::f32, {1})).find("64 bytes"), std::string::npos);
    EXPECT_NE(refusal_of(Draft().tensor(control, Type::f32, {1})).find("control characters"), std::string::npos);
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type::f32, {})), "tensor 't' has 0 dimensions: 1 to 4 are allowed");
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type::f32, {1, 1, 1, 1, 1})),
              "tensor 't' has 5 dimensions: 1 to 4 are allowed");
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type::f32, {4, 0})),
              "tensor 't' dimension 1 is 0: the shape is empty or overflows");
    EXPECT_NE(refusal_of(Draft().tensor("t", Type::f32, {half, 2})).find("overflows"), std::string::npos);
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type::i64, {half / 2})), "tensor 't' its size in bytes overflows");
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type(4), {32})), "tensor 't' has the unknown type 4");
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type::q4_k, {128, 2})),
              "tensor 't' has rows of 128, not a multiple of the 256 weights in a block of Q4_K");
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type::f32, {1}).tensor("u", Type::f32, {1}).tensor("t", Type::f16, {2})),
              "tensor 't' stands twice");
    EXPECT_EQ(refusal_of(Draft().tensor("t", Type::i8, {half / 2 - 4096}).tensor("u", Type::i8, {half / 2 - 4096})),
              "tensor 'u' the file's size overflows with it");
}

TEST(GgufWriter, ReportsTheFirstProblem) {
    Draft draft;
    draft.set("a", 1).tensor("t", Type::q8_0, {31}).set("", 2);
    EXPECT_EQ(refusal_of(draft).substr(0, 10), "tensor 't'");
}

TEST(GgufWriter, RefusesValuesWhoseBytesAreNotTheirs) {
    const std::vector<uint8_t> eight(8, 2), one_string{3, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 'c'};
    const auto with = [](const gguf::Value& value) { return refusal_of(Draft().set("k", value)); };
    EXPECT_EQ(with({ValueType::u64, {}, 1, eight, 0}), "accepted");
    EXPECT_EQ(with({ValueType::u32, {}, 1, eight, 0}), "key 'k' is 8 bytes, which is not 1 of type u32");
    EXPECT_EQ(with({ValueType::array, ValueType::u16, 5, eight, 0}), "key 'k' is 8 bytes, which is not 5 of type u16");
    EXPECT_NE(with({ValueType::array, ValueType::u64, uint64_t(1) << 61, {}, 0}), "accepted");
    EXPECT_EQ(with({ValueType::array, ValueType::array, 1, eight, 0}),
              "key 'k' is of a type that cannot be written: 9");
    EXPECT_EQ(with({ValueType(13), {}, 1, eight, 0}), "key 'k' is of a type that cannot be written: 13");
    EXPECT_EQ(with({ValueType::boolean, {}, 1, std::span(eight).first(1), 0}),
              "key 'k' holds a bool that is neither 0 nor 1");
    EXPECT_EQ(with({ValueType::array, ValueType::string, 1, one_string, 0}), "accepted");
    EXPECT_EQ(with({ValueType::array, ValueType::string, 2, one_string, 0}), "key 'k' string 1 ends beyond the value");
    EXPECT_EQ(with({ValueType::array, ValueType::string, 0, one_string, 0}),
              "key 'k' its strings are not all of the value");
    EXPECT_EQ(with({ValueType::array, ValueType::string, 1, std::span(one_string).first(10), 0}),
              "key 'k' string 0 ends beyond the value");
}

TEST(GgufWriter, RefusesCountsThatAreNotReadBack) {
    Draft draft;
    draft.set("a", 1).set("b", 2).tensor("t", Type::f32, {1}).tensor("u", Type::f32, {1});
    const auto refused = [&](const gguf::Limits& limits) {
        MemorySink::Seen seen;
        const auto writer = writer_to(seen, draft, limits);
        return writer.ok() ? "accepted" : writer.error().what;
    };
    gguf::Limits limits;
    EXPECT_EQ(refused(limits), "accepted");
    limits.max_kv = 1;
    EXPECT_EQ(refused(limits), "2 keys: at most 1 are read back");
    limits = {};
    limits.max_tensors = 1;
    EXPECT_EQ(refused(limits), "2 tensors: at most 1 are read back");
    limits = {};
    limits.max_header_bytes = draft.layout("")->header_bytes;
    EXPECT_EQ(refused(limits), "accepted");
    limits.max_header_bytes--;
    EXPECT_NE(refused(limits).find("a header of "), std::string::npos);
}

TEST(GgufWriter, EveryTensorGetsExactlyItsBytes) {
    const std::vector<uint8_t> bytes(64);
    const auto all = std::span<const uint8_t>(bytes);
    Draft draft;
    draft.tensor("a", Type::f32, {4}).tensor("b", Type::f32, {2});
    const auto result = [&](const std::function<Result<void>(Writer&)>& work) -> std::string {
        MemorySink::Seen seen;
        Writer writer = *writer_to(seen, draft);
        const auto worked = work(writer);
        if (worked.ok()) { return "ok"; }
        EXPECT_EQ(worked.error().where.file, "sink");
        // Whatever went wrong stays wrong: a caller that overlooks it cannot commit.
        const auto committed = writer.commit();
        EXPECT_FALSE(committed.ok());
        EXPECT_EQ(committed.ok() ? "" : committed.error().what, worked.error().what);
        EXPECT_FALSE(seen.committed);
        return worked.error().where.field + " " + worked.error().what;
    };
    EXPECT_EQ(result([&](Writer& w) { return w.write("a", all.first(17)); }),
              "tensor 'a' is given 1 bytes beyond its 16");
    EXPECT_EQ(result([&](Writer& w) {
                  EXPECT_TRUE(w.write("a", all.first(16)).ok());
                  EXPECT_TRUE(w.write("a", {}).ok());
                  return w.write("a", all.first(2));
              }),
              "tensor 'a' is given 2 bytes beyond its 16");
    EXPECT_EQ(result([&](Writer& w) {
                  EXPECT_TRUE(w.write("a", all.first(15)).ok());
                  return w.write("b", all.first(8));
              }),
              "tensor 'a' has 15 of its 16 bytes where tensor 'b' begins");
    EXPECT_EQ(result([&](Writer& w) { return w.write("b", all.first(8)); }),
              "tensor 'b' is written where tensor 'a' is due");
    EXPECT_EQ(result([&](Writer& w) { return w.write("c", all.first(8)); }),
              "tensor 'c' is written where tensor 'a' is due");
    EXPECT_EQ(result([&](Writer& w) {
                  EXPECT_TRUE(w.write("a", all.first(16)).ok() && w.write("b", all.first(8)).ok());
                  return w.write("c", all.first(8));
              }),
              "tensor 'c' is written after the last tensor");
    EXPECT_EQ(result([&](Writer& w) {
                  EXPECT_TRUE(w.write("a", all.first(16)).ok() && w.write("b", all.first(7)).ok());
                  return w.commit();
              }),
              "tensor 'b' has 7 of its 8 bytes at the end");
    EXPECT_EQ(result([&](Writer& w) { return w.commit(); }), "tensor 'a' has 0 of its 16 bytes at the end");
}

TEST(GgufWriter, CopiesOnlyWhatWasDeclared) {
    const std::vector<uint8_t> bytes = GgufBytes().tensor_f32("a", {2}, {1, 2}).build();
    const auto source = gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "memory"));
    MemorySink::Seen seen;
    Draft draft;
    draft.tensor("a", Type::i32, {2});
    Writer writer = *writer_to(seen, draft);
    const auto copied = writer.copy(**source, (*source)->tensors()[0]);
    ASSERT_FALSE(copied.ok());
    EXPECT_EQ(copied.error().what, "is not of the type and shape that were declared");
}

// --- Failing writes

// A sink that has room for any number of bytes below the whole: an error each time, never a commit.
TEST(GgufWriter, AnyFailedWriteIsAnError) {
    const Draft draft = rich_draft();
    const uint64_t whole = draft.layout("")->file_bytes;
    for (uint64_t room = 0; room <= whole; room++) {
        MemorySink::Seen seen;
        auto writer = Writer::create(std::make_unique<MemorySink>(seen, room), draft);
        const bool done = writer.ok() && write_patterns(*writer).ok() && writer->commit().ok();
        ASSERT_EQ(done, room == whole) << room;
        ASSERT_EQ(seen.committed, done);
    }
}

class GgufWriterFile : public ::testing::Test {
  protected:
    GgufWriterFile() {
        std::string name = ::testing::TempDir() + "wallaby-writer-XXXXXX";
        folder_ = ::mkdtemp(name.data());
        target_ = folder_ / "model.gguf";
    }
    ~GgufWriterFile() override {
        std::error_code ignored;  // a mount point stays
        fs::remove_all(folder_, ignored);
    }
    size_t n_entries() const {
        return size_t(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }
    std::string content() const {
        std::ifstream in(target_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    // Whether writing the draft fails with an I/O error in a child process that `limit` has prepared.
    static bool fails_in_child(const std::function<void()>& limit, const std::string& path, const Draft& draft) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGXFSZ, SIG_IGN);
            limit();
            Result<void> done;
            {
                auto writer = Writer::create(path, draft);
                done = writer.ok() ? write_patterns(*writer, 1000) : Result<void>(writer.error());
                if (done.ok()) { done = writer->commit(); }
            }
            ::_exit(done.ok() ? 1 : done.error().code == ErrorCode::io ? 0 : 2);
        }
        int status = 0;
        return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }

    fs::path folder_, target_;
};

TEST_F(GgufWriterFile, AppearsOnCommitAndReplacesWhole) {
    std::ofstream(target_) << "old";
    auto writer = Writer::create(target_, rich_draft());
    ASSERT_TRUE(writer.ok()) << writer.error().message();
    ASSERT_TRUE(write_patterns(*writer).ok());
    EXPECT_EQ(content(), "old");
    ASSERT_TRUE(writer->commit().ok());
    const std::vector<uint8_t> expected = rich_bytes();
    EXPECT_EQ(content(), std::string(expected.begin(), expected.end()));
    EXPECT_EQ(n_entries(), 1u);
}

TEST_F(GgufWriterFile, LeavesNothingWithoutACommit) {
    std::ofstream(target_) << "old";
    {
        auto writer = Writer::create(target_, rich_draft());
        ASSERT_TRUE(writer.ok() && write_patterns(*writer).ok());
        EXPECT_EQ(n_entries(), 2u);
    }
    {
        auto writer = Writer::create(target_, rich_draft());
        EXPECT_FALSE(writer->commit().ok());
    }
    EXPECT_FALSE(Writer::create(target_, Draft().tensor("t", Type::q8_0, {1})).ok());
    EXPECT_EQ(content(), "old");
    EXPECT_EQ(n_entries(), 1u) << "the temporary file was left behind";
    EXPECT_EQ(Writer::create(folder_ / "none/f.gguf", rich_draft()).error().code, ErrorCode::io);
    EXPECT_EQ(Writer::create(folder_, rich_draft()).error().code, ErrorCode::io);
    EXPECT_EQ(Writer::create("/dev/full", rich_draft()).error().code, ErrorCode::io);
}

TEST_F(GgufWriterFile, SurvivesALimitOfTheFileSizeAnywhere) {
    Draft draft;
    draft.set("k", std::string(70000, 'v')).tensor("a", Type::i8, {3 << 20}).tensor("b", Type::i8, {5});
    const uint64_t whole = draft.layout("")->file_bytes;
    std::ofstream(target_) << "old";
    for (const uint64_t bytes : {uint64_t(0), uint64_t(1), uint64_t(1 << 20), uint64_t((2 << 20) + 17), whole - 1}) {
        const auto limit = [&] {
            const rlimit file_size{bytes, bytes};
            ::setrlimit(RLIMIT_FSIZE, &file_size);
        };
        EXPECT_TRUE(fails_in_child(limit, target_, draft)) << bytes;
        EXPECT_EQ(content(), "old");
        EXPECT_EQ(n_entries(), 1u) << "the temporary file was left behind";
    }
}

// A file system of 4 MiB in memory, mounted where this process alone sees it. Needs the right to mount.
TEST_F(GgufWriterFile, SurvivesAFullFileSystem) {
    // The same test again, in the mount's own namespace, where it finds the target.
    if (std::getenv("WALLABY_SMALL_DISK") == nullptr) {
        if (std::system("unshare -m true 2>/dev/null") != 0) { GTEST_SKIP() << "no right to mount a file system"; }
        const std::string inner = fmt::format(
            "unshare -m sh -c 'mount -t tmpfs -o size=4m none {0} || exit 77; printf old > {0}/model.gguf; "
            "WALLABY_SMALL_DISK={0} exec /proc/{1}/exe --gtest_filter=GgufWriterFile.SurvivesAFullFileSystem' "
            ">/dev/null 2>&1",
            folder_.string(), ::getpid());
        const int status = std::system(inner.c_str());
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) { GTEST_SKIP() << "no right to mount a file system"; }
        EXPECT_EQ(status, 0);
        return;
    }
    fs::remove_all(folder_);
    folder_ = std::getenv("WALLABY_SMALL_DISK");
    target_ = folder_ / "model.gguf";
    Draft fits, too_large, far_too_large;
    fits.tensor("a", Type::i8, {1 << 20});
    too_large.tensor("a", Type::i8, {2 << 20}).tensor("b", Type::i8, {2 << 20});
    far_too_large.tensor("a", Type::i8, {uint64_t(1) << 40});
    EXPECT_TRUE(fails_in_child([] {}, target_, too_large));
    const auto refused = Writer::create(target_, far_too_large);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().what.find("reserve"), std::string::npos) << refused.error().what;
    EXPECT_EQ(content(), "old");
    EXPECT_EQ(n_entries(), 1u) << "the temporary file was left behind";
    auto writer = Writer::create(target_, fits);
    EXPECT_TRUE(writer.ok() && write_patterns(*writer).ok() && writer->commit().ok());
    EXPECT_EQ(n_entries(), 1u);
    EXPECT_GT(content().size(), size_t(1) << 20);
}

}  // namespace
