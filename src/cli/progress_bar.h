// A bar on standard error for work that takes a while, with the time that is left at the speed so far; nothing where
// that is no terminal.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace wallaby::cli {

class ProgressBar {
  public:
    explicit ProgressBar(std::string_view doing);
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;
    ~ProgressBar();  // wipes it off
    void operator()(uint64_t n_done, uint64_t n_total);

  private:
    std::string doing_;
    double started_;  // seconds
    double last_ = 0;
    bool shown_ = false;
};

// "1:05:09", "12:30", "9 s": of a time that is only roughly known.
std::string rough_time(double seconds);

}  // namespace wallaby::cli
