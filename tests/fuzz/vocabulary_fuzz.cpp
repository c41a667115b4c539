// Any bytes as a GGUF file with a vocabulary: it is refused with an Error, or a tokenizer that can be used.
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "fuzz/outcome.h"
#include "fuzz/use_tokenizer.h"
#include "gguf/reader.h"
#include "text/tokenizer.h"

using namespace wallaby;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const base::MemorySource source(std::span(data, size), "fuzz");
    const auto file = gguf::read_file(source);
    if (!file.ok()) { return 0; }
    const auto tokenizer = text::Tokenizer::load(file->metadata);
    if (fuzz::is_good(tokenizer)) { fuzz::use(**tokenizer); }
    return 0;
}
