// What the operating system says of the processor.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace wallaby::base {

// The name that its maker gave it; the architecture's where it is not told.
std::string processor_name();

// Bytes of last-level cache, over all of the machine's. Nothing where there is no L3 or it is not told.
std::optional<uint64_t> l3_bytes();

}  // namespace wallaby::base
