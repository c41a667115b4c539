#include "cli/evaluation.h"

#include <unistd.h>

namespace wallaby::cli {

StatusLine::~StatusLine() { write("\r\x1b[K"); }

void StatusLine::show(size_t n_done, size_t n_total, const std::string& text) {
    if (!n_before_) { n_before_ = n_done - 1; }
    const double each = (base::monotonic_seconds() - start_) / double(n_done - *n_before_);
    const auto left = uint64_t(each * double(n_total - n_done));
    write(fmt::format("\r\x1b[K{} of {}, {}, {}:{:02}:{:02} left", n_done, n_total, text, left / 3600, left / 60 % 60,
                      left % 60));
}

void StatusLine::write(const std::string& text) const {
    if (::isatty(2) != 0) { (void)!::write(2, text.data(), text.size()); }
}

Result<std::string> evaluated_text(const std::string& path) {
    WALLABY_TRY(std::string text, read_text(path));
    if (text.ends_with('\n')) { text.pop_back(); }
    return text;
}

Result<eval::Chunks> chunks_of(const engine::Model& model, std::string_view text, const std::string& path,
                               int64_t n_chunks, uint32_t stride) {
    if (n_chunks == 0 || n_chunks < -1 || n_chunks > int64_t(1) << 30) {
        return Error{ErrorCode::argument,
                     fmt::format("is {}, but must be 1 to 2^30, or -1 (all)", n_chunks),
                     {"", "--chunks", {}},
                     ""};
    }
    auto chunks = eval::cut_text(model, text, model.n_ctx(),
                                 n_chunks < 0 ? std::nullopt : std::optional(uint32_t(n_chunks)), stride);
    if (!chunks.ok() && chunks.error().where.file.empty() && chunks.error().code == ErrorCode::capacity) {
        Error error = std::move(chunks).error();
        error.where.file = path;
        return error;
    }
    return chunks;
}

void add_chunks(CLI::App& app, int64_t& n_chunks) {
    app.add_option("--chunks", n_chunks, "chunks of the text that are used; -1: all")
        ->type_name("N")
        ->capture_default_str();
}

}  // namespace wallaby::cli
