// Any bytes as each file of a checkpoint but its weights: config.json, tokenizer.json, tokenizer.model, vocab.json,
// merges.txt. They are refused with an Error, or give a shape, or keys that make a tokenizer or are refused in turn.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "convert/hf_config.h"
#include "convert/sentencepiece.h"
#include "convert/tokenizer_json.h"
#include "fuzz/outcome.h"
#include "fuzz/use_tokenizer.h"
#include "gguf/reader.h"
#include "gguf/writer.h"
#include "support/memory_sink.h"

namespace {

using namespace wallaby;
using fuzz::is_good;

constexpr size_t max_bytes = 1 << 16;
const std::string file = "fuzz";

void use(const Result<convert::VocabularyParts>& parts) {
    if (!is_good(parts)) { return; }
    gguf::Draft draft;
    if (!is_good(convert::write_vocabulary(draft, *parts, 0))) { return; }
    testing::MemorySink::Seen seen;
    auto writer = gguf::Writer::create(std::make_unique<testing::MemorySink>(seen), draft);
    if (!is_good(writer)) { return; }
    if (!writer->commit().ok()) { __builtin_trap(); }
    // What we write we can read, whatever it was made of.
    const auto written = gguf::read_file(base::MemorySource(seen.bytes, "written"));
    if (!written.ok()) { __builtin_trap(); }
    const auto tokenizer = text::Tokenizer::load(written->metadata);
    if (is_good(tokenizer)) { fuzz::use(**tokenizer); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > max_bytes) { return 0; }
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)is_good(convert::shape_of_config(text, file));
    use(convert::read_tokenizer_json(text, file));
    use(convert::read_sentencepiece(std::span(data, size), file));
    use(convert::read_vocab_and_merges(text, file, "#version: 0.2\na b\n", "merges.txt", "a test"));
    use(convert::read_vocab_and_merges(R"({"a":0,"b":1,"ab":2,"\u0120":3})", "vocab.json", text, file, "a test"));
    return 0;
}
