#include "engine/stop_strings.h"

#include <algorithm>
#include <utility>

namespace wallaby::engine {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
    std::erase_if(stops_, [](const std::string& s) { return s.empty(); });
}

std::string StopStrings::push(std::string_view piece) {
    if (stopped_) { return {}; }
    held_ += piece;
    // The one that is complete first, so that the result does not depend on how the text is cut; then the longest.
    constexpr size_t npos = std::string::npos;
    size_t begin = npos, end = npos;
    for (const std::string& stop : stops_) {
        const size_t at = held_.find(stop);
        if (at == npos || at + stop.size() > end) { continue; }
        begin = at + stop.size() < end ? at : std::min(begin, at);
        end = at + stop.size();
    }
    if (end != npos) {
        stopped_ = true;
        std::string out = held_.substr(0, begin);
        held_.clear();
        return out;
    }
    // The longest end of the text that begins a stop string.
    size_t kept = 0;
    for (const std::string& stop : stops_) {
        for (size_t n = std::min(stop.size() - 1, held_.size()); n > kept; n--) {
            if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) { kept = n; }
        }
    }
    std::string out = held_.substr(0, held_.size() - kept);
    held_.erase(0, out.size());
    return out;
}

std::string StopStrings::flush() { return std::exchange(held_, {}); }

void StopStrings::reset() {
    held_.clear();
    stopped_ = false;
}

}  // namespace wallaby::engine
