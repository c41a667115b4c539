// A folder of a checkpoint's files, which is there as long as the object is; and the tokenizer that a draft describes.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "gguf/reader.h"
#include "gguf/writer.h"
#include "gtest/gtest.h"
#include "support/memory_sink.h"
#include "text/tokenizer.h"

namespace wallaby::testing {

class CheckpointFolder {
  public:
    CheckpointFolder() {
        std::string name = ::testing::TempDir() + "wallaby-checkpoint-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~CheckpointFolder() { std::filesystem::remove_all(path_); }
    CheckpointFolder(const CheckpointFolder&) = delete;
    CheckpointFolder& operator=(const CheckpointFolder&) = delete;

    const std::string& path() const { return path_; }
    std::string file(std::string_view name) const { return (std::filesystem::path(path_) / name).string(); }
    void write(std::string_view name, std::string_view content) const {
        std::ofstream(file(name), std::ios::binary) << content;
    }

  private:
    std::string path_;
};

// The keys of a draft as a reader sees them.
inline Result<gguf::File> read_back(const gguf::Draft& draft) {
    MemorySink::Seen seen;
    WALLABY_TRY(auto writer, gguf::Writer::create(std::make_unique<MemorySink>(seen), draft));
    WALLABY_OK(writer.commit());
    const base::MemorySource source(seen.bytes, "draft");
    return gguf::read_file(source);
}

inline Result<std::unique_ptr<text::Tokenizer>> tokenizer_of(const gguf::Draft& draft) {
    WALLABY_TRY(const gguf::File file, read_back(draft));
    return text::Tokenizer::load(file.metadata);
}

}  // namespace wallaby::testing
