// JSON as a stream of events, for texts whose size or whose doubled keys a tree in memory would hide: nothing is kept
// but the path to where the reader stands.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wallaby::convert {

struct JsonEvent {
    enum class Kind : uint8_t { object, end_object, array, end_array, null, boolean, natural, number, text };
    Kind kind = Kind::null;
    std::span<const std::string> path;  // the keys that lead here; elements of an array have the array's
    uint64_t natural = 0;               // an integer from 0 on
    double value = 0;                   // of any number
    std::string_view text = {};
};
using TakeEvent = std::function<Result<void>(const JsonEvent& event)>;

inline constexpr uint32_t max_json_depth = 16;

// Hands `take` every event of the text, until there is an error: the text's own (its place counts from `offset`, where
// the text begins in `file`), or what `take` returns. Keys that stand twice come twice.
Result<void> read_json(std::string_view text, const std::string& file, uint64_t offset, const TakeEvent& take);

}  // namespace wallaby::convert
