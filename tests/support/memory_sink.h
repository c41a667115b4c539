// A sink in memory that tells what came, and fails when more than `room` bytes come.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace wallaby::testing {

class MemorySink final : public base::ByteSink {
  public:
    struct Seen {
        std::vector<uint8_t> bytes;
        uint64_t reserved = 0;
        bool committed = false;
    };
    explicit MemorySink(Seen& seen, uint64_t room = UINT64_MAX) : seen_(seen), room_(room) {}
    const std::string& name() const override { return name_; }
    Result<void> reserve(uint64_t n_bytes) override {
        seen_.reserved = n_bytes;
        return {};
    }
    Result<void> write(std::span<const uint8_t> bytes) override {
        if (seen_.bytes.size() + bytes.size() > room_) { return Error{ErrorCode::io, "no room", {name_, "", {}}, ""}; }
        seen_.bytes.insert(seen_.bytes.end(), bytes.begin(), bytes.end());
        return {};
    }
    Result<void> commit() override {
        seen_.committed = true;
        return {};
    }

  private:
    Seen& seen_;
    uint64_t room_;
    std::string name_ = "sink";
};

}  // namespace wallaby::testing
