#include "base/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <optional>

#include "base/checked.h"
#include "base/mapping.h"

namespace wallaby::base {
namespace {

Error io_error(const std::string& path, std::string_view action, int number) {
    return Error{ErrorCode::io, fmt::format("cannot {}: {}", action, std::strerror(number)), {path, "", {}}, ""};
}

Error past_end(const std::string& name, uint64_t offset, uint64_t n_bytes, uint64_t size) {
    return Error{ErrorCode::format,
                 fmt::format("{} bytes wanted, but there are only {} bytes in all", n_bytes, size),
                 {name, "", offset},
                 "The file is truncated: fetch it again"};
}

class FileSource final : public ByteSource {
  public:
    FileSource(int fd, uint64_t size, std::string path) : fd_(fd), size_(size), path_(std::move(path)) {}
    FileSource(const FileSource&) = delete;
    FileSource& operator=(const FileSource&) = delete;
    ~FileSource() override { ::close(fd_); }

    uint64_t size() const override { return size_; }
    const std::string& name() const override { return path_; }

    Result<void> read(uint64_t offset, std::span<uint8_t> out) const override {
        const auto end = checked_add(offset, out.size());
        if (!end || *end > size_) { return past_end(path_, offset, out.size(), size_); }
        size_t done = 0;
        while (done < out.size()) {
            const ssize_t n = ::pread(fd_, out.data() + done, out.size() - done, off_t(offset + done));
            if (n < 0 && errno == EINTR) { continue; }
            if (n < 0) { return io_error(path_, "read", errno); }
            if (n == 0) { return past_end(path_, offset + done, out.size() - done, offset + done); }
            done += size_t(n);
        }
        return {};
    }

    std::span<const uint8_t> bytes() const override {
        std::call_once(mapped_, [this] {
            if (size_ == 0) { return; }
            if (auto mapping = Mapping::create(fd_, size_, path_); mapping.ok()) {
                mapping_.emplace(*std::move(mapping));
            }
        });
        return mapping_ ? mapping_->bytes() : std::span<const uint8_t>();
    }
    Result<void> check_bytes() const override { return mapping_ ? mapping_->check() : Result<void>(); }

  private:
    int fd_;
    uint64_t size_;
    std::string path_;
    mutable std::once_flag mapped_;
    mutable std::optional<Mapping> mapping_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_file(const std::string& path) {
    // O_NONBLOCK: opening a FIFO that nobody writes to must not hang; it is refused below.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) { return io_error(path, "open", errno); }
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        const int number = errno;
        ::close(fd);
        return io_error(path, "stat", number);
    }
    if (!S_ISREG(status.st_mode)) {
        ::close(fd);
        return Error{ErrorCode::io,
                     S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file",
                     {path, "", {}},
                     "Name a GGUF file"};
    }
    return std::unique_ptr<ByteSource>(new FileSource(fd, uint64_t(status.st_size), path));
}

Result<void> MemorySource::read(uint64_t offset, std::span<uint8_t> out) const {
    const auto end = checked_add(offset, out.size());
    if (!end || *end > bytes_.size()) { return past_end(name_, offset, out.size(), bytes_.size()); }
    if (!out.empty()) { std::memcpy(out.data(), bytes_.data() + offset, out.size()); }
    return {};
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
    // A rename would put a file in the place of /dev/null as readily as in that of an old model.
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
        return Error{ErrorCode::io, "is there already and is not a regular file", {path, "", {}}, "Name another file"};
    }
    for (unsigned attempt = 0;; attempt++) {
        std::string temporary = fmt::format("{}.{}-{}.part", path, ::getpid(), attempt);
        const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);  // less the umask
        if (fd >= 0) { return AtomicFile(fd, path, std::move(temporary)); }
        if (errno != EEXIST || attempt == 1000) { return io_error(temporary, "create", errno); }
    }
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), temporary_(std::move(other.temporary_)) {}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) { return; }
    ::close(fd_);
    ::unlink(temporary_.c_str());
}

Result<void> AtomicFile::reserve(uint64_t n_bytes) {
    // KEEP_SIZE: the file still ends where the writing ends. File systems that cannot reserve are none the worse.
    int status = 0;
    do { status = ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, off_t(n_bytes)); } while (status != 0 && errno == EINTR);
    if (status != 0 && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)) {
        return io_error(temporary_, fmt::format("reserve {} bytes for", n_bytes), errno);
    }
    return {};
}

Result<void> AtomicFile::write(std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) { continue; }
        if (n < 0) { return io_error(temporary_, "write", errno); }
        bytes = bytes.subspan(size_t(n));
    }
    return {};
}

Result<void> AtomicFile::commit() {
    if (::fsync(fd_) != 0) { return io_error(temporary_, "fsync", errno); }
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
        return io_error(path_, "rename the temporary file to", errno);
    }
    ::close(std::exchange(fd_, -1));
    // The rename itself becomes durable with the directory.
    const auto slash = path_.find_last_of('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const int dir = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        ::fsync(dir);
        ::close(dir);
    }
    return {};
}

}  // namespace wallaby::base
