// Which source this program was built from.
#pragma once
#include <cstdint>
#include <string_view>

namespace wallaby::cli {

struct BuildInfo {
    std::string_view commit;  // the beginning of its hash, and "-dirty" where files differed; "unknown" outside git
    uint32_t number = 0;      // commits up to it
};
// Written at every build by cmake/build_info.cmake.
extern const BuildInfo build_info;

}  // namespace wallaby::cli
