#include "text/detokenizer.h"

#include "text/utf8.h"

namespace wallaby::text {

std::string StreamDecoder::push(int32_t id) {
    std::string piece;
    tokenizer_.append_piece(id, piece, render_special_);
    if (may_strip_ && !piece.empty()) {
        may_strip_ = false;
        if (piece[0] == ' ' && !tokenizer_.is_special(id)) { piece.erase(0, 1); }
    }
    if (!tokenizer_.cleans_spaces()) { return push_bytes(piece); }
    std::string cleaned;
    cleaner_.push(piece, cleaned);
    return push_bytes(cleaned);
}

std::string StreamDecoder::push_bytes(std::string_view bytes) {
    std::string out;
    pending_.append(bytes);
    const size_t n_left = utf8::append_replacing(pending_, out);
    pending_.erase(0, pending_.size() - n_left);
    return out;
}

std::string StreamDecoder::flush() {
    cleaner_.flush(pending_);
    std::string out = utf8::replace_invalid(pending_);
    pending_.clear();
    return out;
}

}  // namespace wallaby::text
