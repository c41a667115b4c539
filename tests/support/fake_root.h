// A folder that stands for "/" in code that reads what the kernel says.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace wallaby::testing {

class FakeRoot {
  public:
    FakeRoot() : path_(::testing::TempDir() + "wallaby-root-XXXXXX") {
        if (::mkdtemp(path_.data()) == nullptr) { ADD_FAILURE() << "no folder " << path_; }
    }
    ~FakeRoot() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    FakeRoot(const FakeRoot&) = delete;
    FakeRoot& operator=(const FakeRoot&) = delete;

    const std::string& path() const { return path_; }

    FakeRoot& file(const std::string& name, std::string_view text) {
        const std::filesystem::path whole = path_ + name;
        std::filesystem::create_directories(whole.parent_path());
        std::ofstream(whole, std::ios::binary) << text;
        return *this;
    }

  private:
    std::string path_;
};

}  // namespace wallaby::testing
