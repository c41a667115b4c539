// Pages of the KV cache and slots of recurrent states by number: who holds which. No bytes here; a back end keeps the
// bytes of page p at place p of each of its states. A page is 64 consecutive positions of one sequence; a slot is all
// that a sequence's recurrent states hold after some number of its tokens.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace wallaby::kv {

inline constexpr uint32_t page_tokens = 64;

using PageId = uint32_t;
using SlotId = uint32_t;
inline constexpr SlotId no_slot = ~0u;

// Pages that hold n_tokens positions.
constexpr uint32_t pages_for(uint64_t n_tokens) { return uint32_t((n_tokens + page_tokens - 1) / page_tokens); }

// The pages of one executable, each with the number of tables that hold it. Not thread-safe: its owner serialises.
class PagePool {
  public:
    explicit PagePool(uint32_t n_pages);
    uint32_t n_pages() const { return uint32_t(references_.size()); }
    uint32_t n_free() const { return uint32_t(free_.size()); }
    std::optional<PageId> take();  // a page that nobody holds, now held once; nothing when there is none
    void hold(PageId page) { references_[page]++; }  // one hold more, of a page that is held
    void release(PageId page);                       // one hold less; the page is free when none is left

  private:
    std::vector<uint32_t> references_;
    std::vector<PageId> free_;
};

// The pages of one sequence in order: position i lies in page i / 64. Returns its pages to the pool when it ends.
class PageTable {
  public:
    explicit PageTable(PagePool& pool) : pool_(&pool) {}
    PageTable(PageTable&& other) noexcept : pool_(other.pool_), pages_(std::move(other.pages_)) {
        other.pages_.clear();
    }
    PageTable& operator=(PageTable&&) = delete;
    ~PageTable() { truncate(0); }

    std::span<const PageId> pages() const { return pages_; }
    // Holds pages for n_tokens positions. When the pool has too few, nothing changes and the error states both numbers.
    Result<void> reserve(uint64_t n_tokens);
    // Gives back the pages beyond n_tokens positions.
    void truncate(uint64_t n_tokens);

  private:
    PagePool* pool_;
    std::vector<PageId> pages_;
};

}  // namespace wallaby::kv
