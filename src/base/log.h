// The log sink is passed in; nothing below cli/ and server/ prints.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

namespace wallaby::base {

enum class LogLevel : unsigned char { debug, info, warning, error };

using LogSink = std::function<void(LogLevel, std::string_view)>;

// What a long operation has done of its total, in bytes; called from the calling thread, at most once per piece.
using Progress = std::function<void(uint64_t n_done, uint64_t n_total)>;

}  // namespace wallaby::base
