// What the verbs that evaluate a text share.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/system.h"
#include "cli/app.h"
#include "eval/chunks.h"

namespace wallaby::cli {

inline constexpr uint32_t default_chunk_size = 512;  // tokens, where -c says nothing, as llama-perplexity has it

// One line on standard error that is written over, where that is a terminal; gone at the end.
class StatusLine {
  public:
    StatusLine() = default;
    StatusLine(const StatusLine&) = delete;
    StatusLine& operator=(const StatusLine&) = delete;
    ~StatusLine();
    // What is known after n_done of n_total units, with the time that the rest will take by those done since the first.
    void show(size_t n_done, size_t n_total, const std::string& text);

  private:
    void write(const std::string& text) const;
    double start_ = base::monotonic_seconds();
    std::optional<size_t> n_before_;  // done when it was made
};

// As llama.cpp's -f, which leaves out one newline at the end.
Result<std::string> evaluated_text(const std::string& path);
// The text of the file `path` in chunks of the model's context: the first n_chunks, or all (-1). stride: cut_text's.
Result<eval::Chunks> chunks_of(const engine::Model& model, std::string_view text, const std::string& path,
                               int64_t n_chunks, uint32_t stride = 0);
// --chunks
void add_chunks(CLI::App& app, int64_t& n_chunks);

}  // namespace wallaby::cli
