// Byte sources and the atomic writer against the file system's unkind cases.
#include "base/bytes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <functional>

#include "support/data.h"

namespace {

using namespace wallaby;
using base::AtomicFile;
using base::ByteSource;
namespace fs = std::filesystem;

// A folder of its own for each test, gone afterwards.
class Folder : public ::testing::Test {
  protected:
    Folder() {
        std::string name = ::testing::TempDir() + "wallaby-base-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~Folder() override { fs::remove_all(path_); }
    std::string at(const std::string& name) const { return path_ / name; }
    std::string make(const std::string& name, const std::string& content) const {
        std::ofstream(at(name), std::ios::binary) << content;
        return at(name);
    }
    size_t n_entries() const { return size_t(std::distance(fs::directory_iterator(path_), fs::directory_iterator())); }

  private:
    fs::path path_;
};

std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Result<std::string> read(const ByteSource& source, uint64_t offset, size_t n) {
    std::string out(n, '?');
    WALLABY_OK(source.read(offset, {reinterpret_cast<uint8_t*>(out.data()), n}));
    return out;
}

void expect_past_end(const Result<std::string>& result, uint64_t offset) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::format);
    EXPECT_EQ(result.error().where.offset, offset);
}

// The same promises of both kinds of source.
void check_source(const ByteSource& source) {
    EXPECT_EQ(source.size(), 10u);
    EXPECT_EQ(*read(source, 0, 10), "0123456789");
    EXPECT_EQ(*read(source, 3, 4), "3456");
    EXPECT_EQ(*read(source, 10, 0), "");
    expect_past_end(read(source, 9, 2), 9);
    expect_past_end(read(source, 10, 1), 10);
    expect_past_end(read(source, 11, 0), 11);
    expect_past_end(read(source, UINT64_MAX, 2), UINT64_MAX);
    expect_past_end(read(source, UINT64_MAX - 1, 4), UINT64_MAX - 1);
}

TEST(BaseBytes, LoadsLittleEndianFromAnyAddress) {
    const std::array<uint8_t, 9> bytes{0xff, 1, 2, 3, 4, 5, 6, 7, 8};
    EXPECT_EQ(base::load_le<uint64_t>(&bytes[1]), 0x0807060504030201u);
    EXPECT_EQ(base::load_le<uint32_t>(&bytes[1]), 0x04030201u);
    EXPECT_EQ(base::load_le<int16_t>(&bytes[0]), 0x01ff);
    EXPECT_EQ(base::load_le<int8_t>(&bytes[0]), -1);
}

TEST(BaseBytes, MemorySource) {
    const std::string text = "0123456789";
    const base::MemorySource source(bytes_of(text), "a name");
    check_source(source);
    EXPECT_EQ(source.name(), "a name");
    const base::MemorySource empty({}, "");
    EXPECT_EQ(empty.size(), 0u);
    EXPECT_EQ(*read(empty, 0, 0), "");
    expect_past_end(read(empty, 0, 1), 0);
}

class BaseFile : public Folder {};

TEST_F(BaseFile, ReadsAnywhere) {
    const auto source = base::open_file(make("f", "0123456789"));
    ASSERT_TRUE(source.ok()) << source.error().message();
    check_source(**source);
    EXPECT_EQ((*source)->name(), at("f"));
}

TEST_F(BaseFile, ReadsThroughASymbolicLink) {
    fs::create_symlink(make("f", "0123456789"), at("link"));
    EXPECT_EQ((*base::open_file(at("link")))->size(), 10u);
}

TEST_F(BaseFile, ReadsBeyondFourGigabytes) {
    const std::string path = make("f", "");
    const uint64_t far = uint64_t(5) << 30;
    fs::resize_file(path, far - 2);  // a hole: it takes no space
    std::ofstream(path, std::ios::binary | std::ios::app) << "ab";
    const auto source = base::open_file(path);
    ASSERT_TRUE(source.ok());
    EXPECT_EQ((*source)->size(), far);
    EXPECT_EQ(*read(**source, far - 2, 2), "ab");
    expect_past_end(read(**source, far - 1, 2), far - 1);
}

TEST_F(BaseFile, ShrunkWhileOpenIsAnError) {
    const std::string path = make("f", "0123456789");
    const auto source = base::open_file(path);
    fs::resize_file(path, 4);
    EXPECT_EQ(*read(**source, 0, 4), "0123");
    expect_past_end(read(**source, 2, 4), 4);
    expect_past_end(read(**source, 8, 1), 8);
}

TEST_F(BaseFile, DeletedWhileOpenStillReads) {
    const std::string path = make("f", "0123456789");
    const auto source = base::open_file(path);
    fs::remove(path);
    EXPECT_EQ(*read(**source, 0, 10), "0123456789");
}

TEST_F(BaseFile, RefusesWhatIsNotAFile) {
    const auto refused = [](const std::string& path) {
        const auto source = base::open_file(path);
        EXPECT_FALSE(source.ok()) << path;
        if (source.ok()) { return std::string(); }
        EXPECT_EQ(source.error().code, ErrorCode::io);
        EXPECT_EQ(source.error().where.file, path);
        return source.error().what;
    };
    EXPECT_EQ(refused(at("missing")), "cannot open: No such file or directory");
    EXPECT_EQ(refused(at("")), "is a directory");
    ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
    EXPECT_EQ(refused(at("fifo")), "is not a regular file");  // and does not wait for a writer
    EXPECT_EQ(refused("/dev/null"), "is not a regular file");
    fs::create_symlink(at("loop"), at("loop"));
    EXPECT_EQ(refused(at("loop")), "cannot open: Too many levels of symbolic links");
}

class BaseAtomicFile : public Folder {};

TEST_F(BaseAtomicFile, AppearsWholeOnCommit) {
    auto file = AtomicFile::create(at("f"));
    ASSERT_TRUE(file.ok()) << file.error().message();
    ASSERT_TRUE(file->write(bytes_of("hello ")).ok());
    ASSERT_TRUE(file->write(bytes_of("world")).ok());
    EXPECT_FALSE(fs::exists(at("f")));
    ASSERT_TRUE(file->commit().ok());
    EXPECT_EQ(wallaby::testing::read_file(at("f")), "hello world");
    EXPECT_EQ(n_entries(), 1u);
}

TEST_F(BaseAtomicFile, ReplacesTheOldContentOnlyOnCommit) {
    make("f", "old");
    {
        auto file = AtomicFile::create(at("f"));
        ASSERT_TRUE(file->write(bytes_of("new")).ok());
        EXPECT_EQ(wallaby::testing::read_file(at("f")), "old");
    }
    EXPECT_EQ(wallaby::testing::read_file(at("f")), "old");
    EXPECT_EQ(n_entries(), 1u) << "the temporary file was left behind";
    auto file = AtomicFile::create(at("f"));
    ASSERT_TRUE(file->write(bytes_of("new")).ok());
    ASSERT_TRUE(file->commit().ok());
    EXPECT_EQ(wallaby::testing::read_file(at("f")), "new");
    EXPECT_EQ(n_entries(), 1u);
}

TEST_F(BaseAtomicFile, TwoWritersDoNotMix) {
    auto a = AtomicFile::create(at("f"));
    auto b = AtomicFile::create(at("f"));
    ASSERT_TRUE(a.ok() && b.ok());
    ASSERT_TRUE(a->write(bytes_of("aaaa")).ok());
    ASSERT_TRUE(b->write(bytes_of("bb")).ok());
    ASSERT_TRUE(a->commit().ok());
    EXPECT_EQ(wallaby::testing::read_file(at("f")), "aaaa");
    ASSERT_TRUE(b->commit().ok());
    EXPECT_EQ(wallaby::testing::read_file(at("f")), "bb");
    EXPECT_EQ(n_entries(), 1u);
}

TEST_F(BaseAtomicFile, MovedFromOwnsNothing) {
    auto created = AtomicFile::create(at("f"));
    AtomicFile file = std::move(*created);
    ASSERT_TRUE(file.write(bytes_of("x")).ok());
    ASSERT_TRUE(file.commit().ok());
    EXPECT_FALSE(file.write(bytes_of("y")).ok()) << "written after the commit";
    EXPECT_EQ(wallaby::testing::read_file(at("f")), "x");
}

TEST_F(BaseAtomicFile, ObeysTheUmask) {
    for (const mode_t mask : {mode_t(0077), mode_t(0002)}) {
        const mode_t before = ::umask(mask);
        auto file = AtomicFile::create(at("f"));
        ::umask(before);
        ASSERT_TRUE(file->commit().ok());
        EXPECT_EQ(mode_t(fs::status(at("f")).permissions()), 0666 & ~mask);
    }
}

TEST_F(BaseAtomicFile, RefusesWhatIsNotAFile) {
    ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
    fs::create_symlink("/dev/full", at("link"));
    const size_t before = n_entries();
    for (const std::string& path : {at(""), at("fifo"), at("link"), std::string("/dev/full"), at("none/f")}) {
        const auto file = AtomicFile::create(path);
        ASSERT_FALSE(file.ok()) << path;
        EXPECT_EQ(file.error().code, ErrorCode::io);
        EXPECT_FALSE(file.error().where.file.empty());
    }
    EXPECT_EQ(n_entries(), before);
    EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

// What `work` returns in a child process, so that a limit or an ignored signal ends with it.
bool in_child(const std::function<bool()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            ::_exit(work() ? 0 : 1);
        } catch (...) { ::_exit(3); }  // or gtest would catch it, and go on with the tests in the child
    }
    int status = 0;
    return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(BaseAtomicFile, LeavesNothingWhenTheDiskIsFull) {
    make("f", "old");
    EXPECT_TRUE(in_child([&] {
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1000, 1000};  // of a file's size: stands in for a full disk
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) { return false; }
        auto file = AtomicFile::create(at("f"));
        const std::string half(600, 'x');
        return file.ok() && file->write(bytes_of(half)).ok() && !file->write(bytes_of(half)).ok();
    }));
    EXPECT_EQ(wallaby::testing::read_file(at("f")), "old");
    EXPECT_EQ(n_entries(), 1u) << "the temporary file was left behind";
}

TEST_F(BaseAtomicFile, LeavesNothingWhenTheRenameFails) {
    {
        auto file = AtomicFile::create(at("f"));
        ASSERT_TRUE(file->write(bytes_of("x")).ok());
        fs::create_directory(at("f"));  // came into being meanwhile
        const auto refused = file->commit();
        ASSERT_FALSE(refused.ok());
        EXPECT_EQ(refused.error().code, ErrorCode::io);
        EXPECT_EQ(refused.error().where.file, at("f"));
    }
    EXPECT_EQ(n_entries(), 1u) << "the temporary file was left behind";
}

}  // namespace
