#include "kv/pages.h"

namespace wallaby::kv {

PagePool::PagePool(uint32_t n_pages) : references_(n_pages, 0) {
    free_.reserve(n_pages);
    for (uint32_t page = n_pages; page-- > 0;) { free_.push_back(page); }  // so that low numbers are taken first
}

std::optional<PageId> PagePool::take() {
    if (free_.empty()) { return std::nullopt; }
    const PageId page = free_.back();
    free_.pop_back();
    references_[page] = 1;
    return page;
}

void PagePool::release(PageId page) {
    if (references_[page] != 0 && --references_[page] == 0) { free_.push_back(page); }
}

Result<void> PageTable::reserve(uint64_t n_tokens) {
    const uint64_t wanted = (n_tokens + page_tokens - 1) / page_tokens;
    if (wanted <= pages_.size()) { return {}; }
    if (wanted - pages_.size() > pool_->n_free()) {
        return Error{ErrorCode::capacity,
                     fmt::format("the KV cache has {} free pages of {} tokens, but {} are needed", pool_->n_free(),
                                 page_tokens, wanted - pages_.size()),
                     {},
                     "Use a larger -c, or end another sequence"};
    }
    while (pages_.size() < wanted) { pages_.push_back(*pool_->take()); }
    return {};
}

void PageTable::truncate(uint64_t n_tokens) {
    const uint64_t kept = pages_for(n_tokens);
    while (pages_.size() > kept) {
        pool_->release(pages_.back());
        pages_.pop_back();
    }
}

}  // namespace wallaby::kv
