// How fast a folder's disk is read.
#pragma once
#include <stop_token>
#include <string>

#include "base/result.h"

namespace wallaby::probe {

// Bytes per second of a file of n_bytes that is written there, dropped from the page cache and read from its beginning
// to its end. The file has no name once it is open, so that nothing is left of it whatever happens. A file system in
// memory gives memory's speed.
Result<double> measure_disk(const std::string& folder, uint64_t n_bytes, const std::stop_token& stop);

}  // namespace wallaby::probe
