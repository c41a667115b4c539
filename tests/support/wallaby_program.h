// The program itself, run by its end-to-end tests.
#pragma once
#include <string>
#include <vector>

#include "support/process.h"

namespace wallaby::testing {

inline Ran wallaby_run(std::vector<std::string> words, const RunOptions& options = {}) {
    words.insert(words.begin(), WALLABY_BINARY);
    return run_program(words, options);
}

// That it ended with this code, has printed nothing, and has said each of the parts.
inline void expect_failure(const Ran& ran, int code, const std::vector<std::string>& parts) {
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(ran.signal, 0);
    EXPECT_EQ(ran.out, "");
    for (const std::string& part : parts) {
        EXPECT_NE(ran.err.find(part), std::string::npos) << part << "\n" << ran.err;
    }
}

}  // namespace wallaby::testing
