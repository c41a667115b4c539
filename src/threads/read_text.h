// The small files in which the kernel says what it grants.
#pragma once
#include <fstream>
#include <string>

namespace wallaby::threads {

// A file's bytes, at most 1 MiB of them; empty where it cannot be read.
inline std::string read_text(const std::string& path) {
    constexpr size_t max_bytes = size_t(1) << 20;
    std::string text;
    std::ifstream in(path, std::ios::binary);
    for (char part[4096]; text.size() < max_bytes && in;) {
        in.read(part, sizeof(part));
        text.append(part, size_t(in.gcount()));
    }
    return text;
}

}  // namespace wallaby::threads
