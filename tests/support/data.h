// Real models, vocabularies and golden answers that live outside the tree (their licences differ, so they are used in
// place). A test that needs them is skipped, with its reason printed, where they are absent.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "support/source_dir.h"

namespace wallaby::testing {

// WALLABY_DATA, or ../shared/data beside the project's root.
inline std::optional<std::filesystem::path> data_dir() {
    const char* set = std::getenv("WALLABY_DATA");
    const std::filesystem::path path =
        set != nullptr ? std::filesystem::path(set) : std::filesystem::path(source_dir()) / ".." / "shared" / "data";
    std::error_code ignored;
    if (!std::filesystem::is_directory(path, ignored)) { return std::nullopt; }
    return path;
}

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

template <class T>
std::vector<T> read_array(const std::filesystem::path& path) {
    const std::string bytes = read_file(path);
    std::vector<T> out(bytes.size() / sizeof(T));
    std::copy_n(bytes.data(), out.size() * sizeof(T), reinterpret_cast<char*>(out.data()));
    return out;
}

}  // namespace wallaby::testing

// Declares `variable` as the data folder, or skips the test.
#define WALLABY_NEED_DATA(variable)                                                                       \
    const auto variable##_found = ::wallaby::testing::data_dir();                                         \
    if (!variable##_found) {                                                                              \
        GTEST_SKIP() << "no test data: ../shared/data is absent and WALLABY_DATA does not name a folder"; \
    }                                                                                                     \
    const std::filesystem::path& variable = *variable##_found
