// A bar on standard error for work that takes a while; nothing where that is no terminal.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace wallaby::cli {

class ProgressBar {
  public:
    explicit ProgressBar(std::string_view doing) : doing_(doing) {}
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;
    ~ProgressBar();  // wipes it off
    void operator()(uint64_t n_done, uint64_t n_total);

  private:
    std::string doing_;
    double last_ = 0;
    bool shown_ = false;
};

}  // namespace wallaby::cli
