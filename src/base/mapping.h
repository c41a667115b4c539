// A file mapped into memory for reading, whose loss does not kill the process. Pages that the file no longer has (it
// was cut short, its disk failed) would raise SIGBUS: they become zeros instead, and check() says so from then on. The
// first mapping installs a handler of SIGBUS for the whole process; what is not about a mapping goes to the handler
// before.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace wallaby::base {

class Mapping {
  public:
    // The first `size` bytes of an open file, size > 0; fd may be closed afterwards. `name` is for messages. An error
    // where the system refuses, or beyond max_mappings at once.
    static Result<Mapping> create(int fd, uint64_t size, const std::string& name);
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&&) = delete;
    ~Mapping();

    static constexpr int max_mappings = 256;

    std::span<const uint8_t> bytes() const { return {data_, size_}; }
    // An error once any byte was not there. What was read before a call that succeeds was the file's.
    Result<void> check() const;

  private:
    Mapping(const uint8_t* data, uint64_t size, int slot, std::string name)
        : data_(data), size_(size), slot_(slot), name_(std::move(name)) {}

    const uint8_t* data_;
    uint64_t size_;
    int slot_;  // of the handler's list; -1: moved from
    std::string name_;
};

}  // namespace wallaby::base
