// Cuts a GGUF file into a set of files as gguf-split does; `edit` may make any of them lie.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gguf/shards.h"
#include "gguf/writer.h"

namespace wallaby::testing {

// A file without AtomicFile's promises, whose fsync would be most of a test's time.
class PlainFile final : public base::ByteSink {
  public:
    explicit PlainFile(std::string path) : path_(std::move(path)), out_(path_, std::ios::binary) {}
    const std::string& name() const override { return path_; }
    Result<void> reserve(uint64_t) override { return {}; }
    Result<void> write(std::span<const uint8_t> bytes) override {
        out_.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        return {};
    }
    Result<void> commit() override {
        out_.close();
        return out_ ? Result<void>() : Result<void>(Error{ErrorCode::io, "not written", {path_, "", {}}, ""});
    }

  private:
    std::string path_;
    std::ofstream out_;
};

struct SplitOptions {
    uint32_t n_files = 3;
    bool first_without_tensors = false;
    std::function<void(uint32_t no, gguf::Draft&)> edit = {};  // before the tensors are declared
    std::vector<std::string> repeated = {};                    // tensors that the last file has once more
};

// Writes PREFIX-0000i-of-0000n.gguf; returns their paths. The tensors go round: file i has a run of them.
inline std::vector<std::string> write_split(const gguf::WeightSource& source, const std::string& prefix,
                                            const SplitOptions& options = {}) {
    const auto tensors = source.tensors();
    const uint32_t first_file = options.first_without_tensors ? 1 : 0, n_parts = options.n_files - first_file;
    std::vector<std::string> paths;
    for (uint32_t no = 0; no < options.n_files; no++) {
        gguf::Draft draft;
        if (no == 0) { draft.copy(source.metadata()); }
        draft.set("split.no", uint16_t(no)).set("split.count", uint16_t(options.n_files));
        draft.set("split.tensors.count", int32_t(tensors.size()));
        if (options.edit) { options.edit(no, draft); }
        std::vector<const gguf::Tensor*> mine;
        for (size_t i = 0; i < tensors.size() && no >= first_file; i++) {
            if (i * n_parts / tensors.size() == no - first_file) { mine.push_back(&tensors[i]); }
        }
        if (no + 1 == options.n_files) {
            for (const std::string& name : options.repeated) { mine.push_back(source.find(name)); }
        }
        for (const gguf::Tensor* t : mine) { draft.tensor(t->name, t->type, std::span(t->dims).first(t->n_dims)); }
        paths.push_back(gguf::shard_path(prefix, no, options.n_files));
        auto writer = gguf::Writer::create(std::make_unique<PlainFile>(paths.back()), draft);
        EXPECT_TRUE(writer.ok()) << writer.error().message();
        for (const gguf::Tensor* t : mine) { EXPECT_TRUE(writer->copy(source, *t).ok()); }
        EXPECT_TRUE(writer->commit().ok());
    }
    return paths;
}

}  // namespace wallaby::testing
