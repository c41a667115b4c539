// Any bytes as each kind of file that goes with a model: an adapter, an importance matrix, the logits of another model,
// multiple-choice tasks. They are refused with an Error, or hold what their readers say.
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/imatrix.h"
#include "eval/base_logits.h"
#include "eval/task_files.h"
#include "fuzz/outcome.h"
#include "gguf/adapter.h"
#include "support/memory_sink.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using fuzz::is_good;

constexpr size_t max_bytes = 1 << 16;
const std::string file = "fuzz";

std::unique_ptr<base::ByteSource> source_of(std::span<const uint8_t> bytes) {
    return std::make_unique<base::MemorySource>(bytes, file);
}

void read_adapter(std::span<const uint8_t> bytes) {
    static const auto base = testing::TinyModel{.n_embd = 8, .n_heads = 2, .n_heads_kv = 1, .n_ff = 8}.open();
    const auto source = gguf::open_gguf(source_of(bytes));
    if (!is_good(source)) { return; }
    const auto adapter = gguf::Adapter::read(**source, *base);
    if (!is_good(adapter)) { return; }
    for (const auto& [name, change] : (*adapter)->changes()) {
        std::vector<float> row(change.n_in);
        if (base->find(name) == nullptr || change.rank == 0) { __builtin_trap(); }
        for (uint64_t r = 0; r < change.n_matrices * change.rank; r++) {
            change.a.decode(r, 1, row.data());
            for (const float w : row) {
                if (!std::isfinite(w)) { __builtin_trap(); }
            }
        }
    }
}

// What was read, written, is read again as the same.
void read_imatrix(std::span<const uint8_t> bytes) {
    const auto read = convert::read_imatrix(source_of(bytes), 512);
    if (!is_good(read)) { return; }
    for (const convert::InputSums& sums : read->tensors) {
        for (const float f : convert::importance_of(sums)) {
            if (!(f >= 0) || !std::isfinite(f)) { __builtin_trap(); }
        }
    }
    testing::MemorySink::Seen seen;
    if (!is_good(
            convert::write_imatrix(*read, convert::ImatrixFormat::gguf, std::make_unique<testing::MemorySink>(seen)))) {
        return;
    }
    const auto again = convert::read_imatrix(source_of(seen.bytes), 512);
    if (!again.ok() || again->tensors.size() != read->tensors.size()) { __builtin_trap(); }
    for (size_t i = 0; i < read->tensors.size(); i++) {
        const convert::InputSums &a = again->tensors[i], &b = read->tensors[i];
        if (a.name != b.name || a.squares.size() != b.squares.size() || a.counts.size() != b.counts.size()) {
            __builtin_trap();
        }
    }
}

void read_base(std::span<const uint8_t> bytes) {
    auto reader = eval::BaseReader::open(source_of(bytes));
    if (!is_good(reader)) { return; }
    const auto row = reader->row(0, 0);
    if (is_good(row) && row->size() != reader->n_vocab()) { __builtin_trap(); }
}

void read_tasks(std::string_view text) {
    for (const auto& tasks : {eval::read_hellaswag(text, file), eval::read_winogrande(text, file),
                              eval::read_multiple_choice(text, file)}) {
        if (is_good(tasks) && tasks->empty()) { __builtin_trap(); }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > max_bytes) { return 0; }
    const std::span bytes(data, size);
    read_adapter(bytes);
    read_imatrix(bytes);
    read_base(bytes);
    read_tasks({reinterpret_cast<const char*>(data), size});
    return 0;
}
