// Bytes in memory whose n-th read fails.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"

namespace wallaby::testing {

class FailingSource final : public base::ByteSource {
  public:
    // `n_reads_left` is counted down by reads, and may be set at any time; they fail once it is 0.
    FailingSource(std::span<const uint8_t> bytes, uint64_t& n_reads_left)
        : inner_(bytes, "failing"), n_reads_left_(n_reads_left) {}
    uint64_t size() const override { return inner_.size(); }
    Result<void> read(uint64_t offset, std::span<uint8_t> out) const override {
        if (n_reads_left_ == 0) { return Error{ErrorCode::io, "no more", {inner_.name(), "", {}}, ""}; }
        n_reads_left_--;
        return inner_.read(offset, out);
    }
    const std::string& name() const override { return inner_.name(); }

  private:
    base::MemorySource inner_;
    uint64_t& n_reads_left_;
};

}  // namespace wallaby::testing
