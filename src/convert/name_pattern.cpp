#include "convert/name_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace wallaby::convert {
namespace {

constexpr size_t max_pattern_bytes = 4096;
constexpr uint32_t max_steps = 100'000;  // for names of 63 bytes

struct FreeMatch {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string error_text(int code) {
    PCRE2_UCHAR text[256] = {};
    pcre2_get_error_message(code, text, sizeof(text));
    return reinterpret_cast<const char*>(text);
}

}  // namespace

void NamePattern::Free::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

Result<NamePattern> NamePattern::compile(std::string_view pattern) {
    if (pattern.empty() || pattern.size() > max_pattern_bytes) {
        return Error{ErrorCode::argument,
                     fmt::format("a pattern of {} bytes: 1 to {} are allowed", pattern.size(), max_pattern_bytes),
                     {},
                     ""};
    }
    int code = 0;
    PCRE2_SIZE offset = 0;
    NamePattern out;
    out.code_.reset(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), 0, &code, &offset, nullptr));
    if (!out.code_) {
        return Error{
            ErrorCode::argument,
            fmt::format("'{}' is no regular expression: {} at character {}", pattern, error_text(code), offset),
            {},
            "Write \\. for a dot, and quote the argument for the shell"};
    }
    return out;
}

Result<bool> NamePattern::is_in(std::string_view name) const {
    const std::unique_ptr<pcre2_match_data, FreeMatch> data(pcre2_match_data_create(1, nullptr));
    const std::unique_ptr<pcre2_match_context, FreeMatch> context(pcre2_match_context_create(nullptr));
    if (!data || !context) { return Error{ErrorCode::memory, "no room to match a pattern", {}, ""}; }
    pcre2_set_match_limit(context.get(), max_steps);
    pcre2_set_depth_limit(context.get(), max_steps);
    const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0, data.get(),
                                  context.get());
    if (found == PCRE2_ERROR_NOMATCH) { return false; }
    if (found < 0) {
        return Error{ErrorCode::argument,
                     fmt::format("the pattern takes too long for '{}': {}", name, error_text(found)),
                     {},
                     "Write it without repetitions inside repetitions"};
    }
    return true;
}

}  // namespace wallaby::convert
