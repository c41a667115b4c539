#include "cli/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/system.h"

namespace wallaby::cli {

ProgressBar::ProgressBar(std::string_view doing) : doing_(doing), started_(base::monotonic_seconds()) {}

ProgressBar::~ProgressBar() {
    if (shown_) { (void)!::write(2, "\r\x1b[K", 4); }
}

void ProgressBar::operator()(uint64_t n_done, uint64_t n_total) {
    constexpr uint64_t small = uint64_t(64) << 20;  // bytes that are done before anybody looks
    const double now = base::monotonic_seconds();
    if (n_total < small || ::isatty(2) == 0 || now - last_ < 0.1) { return; }
    last_ = now;
    shown_ = true;
    const auto filled = size_t(30 * n_done / n_total);
    std::string line = fmt::format("\r{} [{}{}] {} of {} MiB", doing_, std::string(filled, '#'),
                                   std::string(30 - filled, ' '), n_done >> 20, n_total >> 20);
    if (n_done > 0) {
        const double left = (now - started_) * double(n_total - n_done) / double(n_done);
        line += fmt::format(", {} left\x1b[K", rough_time(left));
    }
    (void)!::write(2, line.data(), line.size());
}

std::string rough_time(double seconds) {
    constexpr double most = 1e9;  // 30 years
    const auto whole = uint64_t(std::llround(std::min(seconds, most)));
    if (whole < 60) { return fmt::format("{} s", whole); }
    if (whole < 3600) { return fmt::format("{}:{:02}", whole / 60, whole % 60); }
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace wallaby::cli
