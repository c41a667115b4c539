// A regular expression (PCRE2's syntax) that is looked for in tensors' names. Work is bounded whatever the pattern.
#pragma once
#include <memory>
#include <string_view>

#include "base/result.h"

struct pcre2_real_code_8;

namespace wallaby::convert {

class NamePattern {
  public:
    static Result<NamePattern> compile(std::string_view pattern);
    // Whether it fits any part of the name.
    Result<bool> is_in(std::string_view name) const;

  private:
    struct Free {
        void operator()(pcre2_real_code_8* code) const;
    };
    std::unique_ptr<pcre2_real_code_8, Free> code_;
};

}  // namespace wallaby::convert
