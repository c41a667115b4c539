#include "gguf/set_writer.h"

#include <algorithm>
#include <filesystem>

#include "base/checked.h"
#include "gguf/rules.h"
#include "gguf/shards.h"

namespace wallaby::gguf {

std::vector<size_t> cut_set(const Layout& layout, const SetLimits& limits) {
    std::vector<size_t> n_tensors(limits.first_without_tensors ? 2 : 1);
    uint64_t n_bytes = 0;
    for (const Tensor& tensor : layout.tensors) {
        const uint64_t padded =
            *base::checked_align(tensor.n_bytes, layout.alignment);  // a layout's ends do not overflow
        const bool is_full = n_tensors.back() == limits.max_tensors || padded > limits.max_bytes - n_bytes;
        if (n_tensors.back() > 0 && is_full) {
            n_tensors.push_back(0);
            n_bytes = 0;
        }
        n_tensors.back()++;
        n_bytes = std::min(limits.max_bytes, n_bytes + padded);
    }
    return n_tensors;
}

Result<std::vector<Draft>> drafts_of_set(const Draft& whole, std::span<const size_t> n_tensors) {
    WALLABY_TRY(const Layout layout, whole.layout(""));
    if (n_tensors.size() > Limits().max_shards) {
        return Error{
            ErrorCode::argument,
            fmt::format("the set would have {} files: at most {} are read", n_tensors.size(), Limits().max_shards),
            {},
            "Allow larger files"};
    }
    std::vector<Draft> drafts;
    size_t next = 0;
    for (size_t no = 0; no < n_tensors.size(); no++) {
        Draft& draft = drafts.emplace_back(no == 0 ? whole.without_tensors() : Draft());
        if (layout.alignment != Layout().alignment) { draft.set(alignment_key, uint32_t(layout.alignment)); }
        draft.set(split_keys[0], uint16_t(no)).set(split_keys[1], uint16_t(n_tensors.size()));
        draft.set(split_keys[2], int32_t(layout.tensors.size()));
        for (const size_t end = next + n_tensors[no]; next < end; next++) {
            const Tensor& t = layout.tensors[next];
            draft.tensor(t.name, t.type, std::span(t.dims).first(t.n_dims));
        }
    }
    return drafts;
}

SetWriter::SetWriter(Writer only) { add(std::move(only)); }

void SetWriter::add(Writer writer) {
    const Layout& layout = writer.layout();
    tensors_.insert(tensors_.end(), layout.tensors.begin(), layout.tensors.end());
    n_bytes_ += layout.file_bytes;
    writers_.push_back(std::move(writer));
}

Result<SetWriter> SetWriter::create(const std::string& prefix, const Draft& whole, std::span<const size_t> n_tensors,
                                    const Limits& limits) {
    WALLABY_TRY(const std::vector<Draft> drafts, drafts_of_set(whole, n_tensors));
    const auto count = uint32_t(drafts.size());
    SetWriter set;
    set.prefix_ = prefix;
    for (uint32_t no = 0; no < count; no++) {
        std::error_code ignored;
        if (std::string path = shard_path(prefix, no, count); std::filesystem::exists(path, ignored)) {
            return Error{ErrorCode::argument,
                         "is there already: the files of a set cannot be replaced at once",
                         {std::move(path), "", {}},
                         "Remove it, or name another place"};
        }
    }
    for (uint32_t no = 0; no < count; no++) {
        WALLABY_TRY(Writer writer, Writer::create(shard_path(prefix, no, count), drafts[no], limits));
        set.add(std::move(writer));
    }
    return set;
}

Result<Writer*> SetWriter::next() {
    while (writers_[turn_].is_complete() && turn_ + 1 < writers_.size()) {
        WALLABY_OK(writers_[turn_].finish());
        turn_++;
    }
    return &writers_[turn_];
}

Result<void> SetWriter::write(std::string_view tensor, std::span<const uint8_t> bytes) {
    WALLABY_TRY(Writer * writer, next());
    return writer->write(tensor, bytes);
}

Result<void> SetWriter::copy(const WeightSource& source, const Tensor& tensor) {
    WALLABY_TRY(Writer * writer, next());
    return writer->copy(source, tensor);
}

Result<void> SetWriter::commit() {
    for (Writer& writer : writers_) { WALLABY_OK(writer.finish()); }
    for (size_t i = writers_.size(); i-- > 0;) {
        Result<void> committed = writers_[i].commit();
        if (committed.ok()) { continue; }
        for (size_t done = i + 1; done < writers_.size(); done++) {
            std::error_code ignored;
            std::filesystem::remove(shard_path(prefix_, uint32_t(done), uint32_t(writers_.size())), ignored);
        }
        return committed;
    }
    return {};
}

}  // namespace wallaby::gguf
