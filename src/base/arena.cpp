#include "base/arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/checked.h"

namespace wallaby::base {

Result<Arena> Arena::create(uint64_t n_bytes) {
    const auto size = checked_align(n_bytes, page_bytes);
    if (!size) { return Error{ErrorCode::memory, fmt::format("{} bytes overflow the address space", n_bytes), {}, ""}; }
    Arena arena;
    if (*size == 0) { return arena; }
    void* data = ::mmap(nullptr, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        return Error{ErrorCode::memory,
                     fmt::format("cannot reserve {} bytes: {}", *size, std::strerror(errno)),
                     {},
                     "Use a smaller model, a smaller -c, or free memory"};
    }
    // Advice only: without huge pages the arena works the same, slower.
    (void)::madvise(data, *size, MADV_HUGEPAGE);
    arena.data_ = static_cast<uint8_t*>(data);
    arena.size_ = *size;
    return arena;
}

Arena::Arena(Arena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      used_(std::exchange(other.used_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(used_, other.used_);
    return *this;
}

Arena::~Arena() {
    if (data_ != nullptr) { ::munmap(data_, size_); }
}

std::optional<std::span<uint8_t>> Arena::take(uint64_t n_bytes) {
    const auto rounded = checked_align(n_bytes, alignment);
    if (!rounded || *rounded > size_ - used_) { return std::nullopt; }
    std::span<uint8_t> piece(data_ + used_, n_bytes);
    used_ += *rounded;
    return piece;
}

void Arena::back(uint64_t page) const {
#ifdef MADV_POPULATE_WRITE
    // Linux before 5.14 refuses: pages come as they are touched.
    (void)::madvise(data_ + page * page_bytes, page_bytes, MADV_POPULATE_WRITE);
#else
    (void)page;
#endif
}

}  // namespace wallaby::base
