// Where bytes come from: a file read with pread, or memory. Reads are positioned, bounded and thread-safe.
// Where they go: a file that is there whole or not at all.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wallaby::base {

// Little-endian loads from unaligned bytes; the caller has checked the bounds.
template <class T>
T load_le(const uint8_t* bytes) {
    static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
}

class ByteSource {
  public:
    virtual ~ByteSource() = default;
    // Bytes that can be read. Fixed when the source is opened.
    virtual uint64_t size() const = 0;
    // Fills all of `out` from `offset`, or says why not (past the end, truncated meanwhile, I/O error).
    virtual Result<void> read(uint64_t offset, std::span<uint8_t> out) const = 0;
    // For messages: a path, or a description.
    virtual const std::string& name() const = 0;
    // All bytes where they lie in memory, for as long as the source does; empty where there is no such place. Those of
    // a file are mapped when this is first called; thread-safe. A file may lose bytes meanwhile: whoever has used some
    // asks check_bytes() before relying on what came of it.
    virtual std::span<const uint8_t> bytes() const { return {}; }
    virtual Result<void> check_bytes() const { return {}; }
};

// Opens a regular file for reading.
Result<std::unique_ptr<ByteSource>> open_file(const std::string& path);

// Reads from memory that the caller keeps alive.
class MemorySource final : public ByteSource {
  public:
    MemorySource(std::span<const uint8_t> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}
    uint64_t size() const override { return bytes_.size(); }
    Result<void> read(uint64_t offset, std::span<uint8_t> out) const override;
    const std::string& name() const override { return name_; }
    std::span<const uint8_t> bytes() const override { return bytes_; }

  private:
    std::span<const uint8_t> bytes_;
    std::string name_;
};

// Takes bytes in order. What was written counts only after commit(); destroyed before, the sink leaves nothing.
class ByteSink {
  public:
    virtual ~ByteSink() = default;
    // For messages: the path that is to appear, or a description.
    virtual const std::string& name() const = 0;
    // Announces how many bytes will be written in all, so that a lack of room shows before the work is done.
    virtual Result<void> reserve(uint64_t n_bytes) = 0;
    virtual Result<void> write(std::span<const uint8_t> bytes) = 0;
    virtual Result<void> commit() = 0;
};

// Writes a whole file so that a reader sees the old content or the new, never a part: a temporary file beside `path`,
// fsync, rename. Nothing is left behind on failure. Only a regular file is ever replaced, never a device or a FIFO.
class AtomicFile final : public ByteSink {
  public:
    static Result<AtomicFile> create(const std::string& path);
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&&) = delete;
    ~AtomicFile() override;  // removes the temporary file unless commit() succeeded

    const std::string& name() const override { return path_; }
    Result<void> reserve(uint64_t n_bytes) override;
    Result<void> write(std::span<const uint8_t> bytes) override;
    Result<void> commit() override;

  private:
    AtomicFile(int fd, std::string path, std::string temporary)
        : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)) {}
    int fd_;
    std::string path_;
    std::string temporary_;
};

}  // namespace wallaby::base
