#include "cli/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/system.h"

namespace wallaby::cli {

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
    const std::string line = fmt::format("\r{} [{}{}] {} of {} MiB", doing_, std::string(filled, '#'),
                                         std::string(30 - filled, ' '), n_done >> 20, n_total >> 20);
    (void)!::write(2, line.data(), line.size());
}

}  // namespace wallaby::cli
