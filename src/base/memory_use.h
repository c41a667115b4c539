// The memory that this process holds, and what the system holds of files.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace wallaby::base {

// Bytes of physical memory; peak: the most since the process began or the peak was last reset.
struct Resident {
    uint64_t now = 0, peak = 0;
};
std::optional<Resident> resident();

// Makes the peak what is resident now. False where the system does not let a process do that.
bool reset_peak_resident();

// Takes the file out of the page cache, so that it is read from its disk next; another process that maps it keeps its
// pages there.
Result<void> drop_cached(const std::string& path);

}  // namespace wallaby::base
