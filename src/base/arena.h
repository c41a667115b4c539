// One block of zeroed memory for weights and states: mapped once, on huge pages where the kernel grants them, and
// handed out in 64-byte aligned pieces that all end with the arena.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace wallaby::base {

class Arena {
  public:
    static constexpr uint64_t alignment = 64;
    static constexpr uint64_t page_bytes = uint64_t(2) << 20;  // a huge page

    // Reserves n_bytes, rounded up to page_bytes. The memory is zero; it is backed by the system when first touched.
    static Result<Arena> create(uint64_t n_bytes);
    Arena() = default;
    Arena(Arena&& other) noexcept;
    Arena& operator=(Arena&& other) noexcept;
    ~Arena();

    uint64_t size() const { return size_; }
    uint64_t used() const { return used_; }
    // n_bytes of zeroed memory, 64-byte aligned; nothing when the arena is full.
    std::optional<std::span<uint8_t>> take(uint64_t n_bytes);

    // Has the system back bytes [page * page_bytes, (page + 1) * page_bytes) now, where it can, so that touching them
    // does not wait for it; page < size() / page_bytes. Any thread. Two that first touch one huge page at once would
    // both clear it, and one copy would be thrown away.
    void back(uint64_t page) const;

  private:
    uint8_t* data_ = nullptr;
    uint64_t size_ = 0;
    uint64_t used_ = 0;
};

}  // namespace wallaby::base
