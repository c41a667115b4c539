#include "base/result.h"

namespace wallaby::base {

std::string_view name_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::io: return "io";
        case ErrorCode::format: return "format";
        case ErrorCode::unsupported: return "unsupported";
        case ErrorCode::model: return "model";
        case ErrorCode::argument: return "argument";
        case ErrorCode::capacity: return "capacity";
        case ErrorCode::numeric: return "numeric";
        case ErrorCode::cancelled: return "cancelled";
        case ErrorCode::memory: return "memory";
    }
    return "unknown";
}

namespace {

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (uint8_t(c) < 0x20 || c == 0x7f) {
            out += fmt::format("\\x{:02x}", uint8_t(c));
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace

std::string Error::message() const {
    std::string out;
    if (!where.file.empty()) { out += where.file + ": "; }
    if (!where.field.empty()) { out += where.field; }
    if (where.offset) { out += fmt::format("{}at byte {}", where.field.empty() ? "" : " ", *where.offset); }
    if (!where.field.empty() || where.offset) { out += ": "; }
    out += what;
    if (!remedy.empty()) { out += ". " + remedy; }
    return printable(out);
}

}  // namespace wallaby::base
