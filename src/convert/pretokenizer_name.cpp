#include "convert/pretokenizer_name.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/pretokenizer.h"

namespace wallaby::convert {
namespace {

constexpr std::string_view path = "pre_tokenizer.";
constexpr size_t max_pattern_bytes = 4096;  // DeepSeek's list of letters has 900

// What the steps without an expression of their own do (https://github.com/huggingface/tokenizers, pre_tokenizers/).
constexpr std::string_view byte_level_words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view one_digit = R"(\p{N})";
constexpr std::string_view digits = R"(\p{N}+)";
constexpr std::string_view signs = R"([\p{P}\$\+<=>\^~\|`]+)";
// Steps after ByteLevel see the spelling of bytes, not the text.
constexpr std::string_view of_bytes = "(of bytes) ";

// Parts of expressions that files spell otherwise than the rules do, and mean the same.
struct Spelling {
    std::string_view in_files, in_rules;
};
constexpr Spelling spellings[] = {
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?"},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"},
    // BLOOM's has a class within a class.
    {"[^(\\s|[.,!?…。，、।۔،])]", "[^(\\s|.,!?…。，、।۔،)]"},
};
// Whole expressions of the same kind: a `$` that stands for the end of the piece.
constexpr Spelling whole_spellings[] = {{R"(\s+$)", R"((?<!\s)\s+\z)"}};

// Files whose steps are not those of the rule that gives their ids. Names and expressions of the last steps:
//   falcon        (tiiuae/falcon-7b) cuts digits off once more, which its vocabulary has no token across
//   deepseek-llm  (deepseek-ai/DeepSeek-V2-Lite) takes digits one by one; its vocabulary has no token of two
struct Detour {
    std::string_view name;
    size_t n_replaced;  // of the rule's last steps
    std::vector<std::string_view> by;
};
const std::vector<Detour>& detours() {
    static const std::vector<Detour> table = {
        {.name = "falcon", .n_replaced = 1, .by = {R"((of bytes) \p{N}+)", "(of bytes) [0-9][0-9][0-9]"}},
        {.name = "deepseek-llm", .n_replaced = 1, .by = {one_digit}},
    };
    return table;
}

void append_utf8(uint32_t code, std::string& out) {
    if (code < 0x80) {
        out += char(code);
    } else if (code < 0x800) {
        out += {char(0xC0 | code >> 6), char(0x80 | (code & 0x3F))};
    } else if (code < 0x10000) {
        out += {char(0xE0 | code >> 12), char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
    } else {
        out += {char(0xF0 | code >> 18), char(0x80 | (code >> 12 & 0x3F)), char(0x80 | (code >> 6 & 0x3F)),
                char(0x80 | (code & 0x3F))};
    }
}

// The character that an escape at the start of `text` stands for, appended to `out`: \r \n \t \x{HEX}. Returns how long
// the escape is; 0: it is none of these.
size_t append_escaped(std::string_view text, std::string& out) {
    constexpr std::string_view names = "rnt";
    constexpr std::string_view characters = "\r\n\t";
    if (text.size() < 2) { return 0; }
    if (const size_t at = names.find(text[1]); at != std::string_view::npos) {
        out += characters[at];
        return 2;
    }
    const size_t end = text.find('}');
    if (!text.starts_with("\\x{") || end == std::string_view::npos || end < 4 || end > 9) { return 0; }
    uint32_t code = 0;
    for (const char c : text.substr(3, end - 3)) {
        constexpr std::string_view hex = "0123456789ABCDEF";
        const size_t digit = hex.find(c);
        if (digit == std::string_view::npos) { return 0; }
        code = code << 4 | uint32_t(digit);
    }
    append_utf8(code, out);
    return end + 1;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
        text.replace(at, what.size(), by);
    }
}

// One spelling for the same expression.
std::string normal_form(std::string_view pattern) {
    std::string out;
    while (!pattern.empty()) {
        size_t n = 0;
        if (pattern[0] == '\\') {
            n = append_escaped(pattern, out);
            if (n == 0) {
                n = std::min<size_t>(2, pattern.size());
                out += pattern.substr(0, n);
            }
        } else {
            out += pattern[0];
            n = 1;
        }
        pattern.remove_prefix(n);
    }
    for (const Spelling& row : spellings) { replace_all(out, row.in_files, row.in_rules); }
    for (const Spelling& row : whole_spellings) {
        if (out == row.in_files) { out = row.in_rules; }
    }
    return out;
}

Error refuse(std::string what, const std::string& file) {
    return {ErrorCode::unsupported,
            std::move(what),
            {file, "field 'pre_tokenizer'", {}},
            "GGUF names such rules; a name for this one would be a row of src/text/pretokenizer_rules.cpp"};
}

// Steps that keep every character: what matches is a piece, and so is what lies between.
Result<std::string> split_pattern(const Json& step, const std::string& file) {
    const Json* pattern = find_field(step, "pattern");
    const Json* regex = pattern == nullptr ? nullptr : find_field(*pattern, "Regex");
    if (regex == nullptr || !regex->is_string()) { return refuse("has a Split without a Regex", file); }
    const auto& text = regex->get_ref<const std::string&>();
    if (text.size() > max_pattern_bytes) { return refuse(fmt::format("has a Split by {} bytes", text.size()), file); }
    WALLABY_TRY(const std::string behavior, string_field(step, "behavior", "Isolated", file, path));
    WALLABY_TRY(const bool invert, boolean_field(step, "invert", false, file, path));
    // What is between matches is removed; where the expression matches anything, there is nothing between.
    const bool keeps_matches = behavior == "Removed" && invert && text.ends_with(R"(|\s+(?!\S)|\s+)");
    if (keeps_matches || (behavior == "Isolated" && !invert)) { return text; }
    return refuse(
        fmt::format("has a Split of the kind '{:.40}'{} by '{:.400}'", behavior, invert ? ", inverted," : "", text),
        file);
}

struct Steps {
    std::vector<std::string> patterns;
    bool in_bytes = false;
};

Result<void> add_step(const Json& step, const std::string& file, Steps& steps) {
    WALLABY_TRY(const std::string type, string_field(step, "type", "", file, path));
    const auto add = [&](std::string_view pattern) {
        steps.patterns.push_back(fmt::format("{}{}", steps.in_bytes ? of_bytes : "", normal_form(pattern)));
    };
    if (type == "Split") {
        WALLABY_TRY(const std::string pattern, split_pattern(step, file));
        add(pattern);
        return {};
    }
    if (type == "Digits") {
        WALLABY_TRY(const bool one_by_one, boolean_field(step, "individual_digits", false, file, path));
        add(one_by_one ? one_digit : digits);
        return {};
    }
    if (type == "Punctuation") {
        WALLABY_TRY(const std::string behavior, string_field(step, "behavior", "Isolated", file, path));
        if (behavior == "Contiguous") {
            add(signs);
            return {};
        }
    }
    if (type == "ByteLevel") {
        WALLABY_TRY(const bool space_prefix, boolean_field(step, "add_prefix_space", true, file, path));
        WALLABY_TRY(const bool has_words, boolean_field(step, "use_regex", true, file, path));
        if (space_prefix) { return refuse("puts a space before every text (ByteLevel.add_prefix_space)", file); }
        if (has_words) { add(byte_level_words); }
        steps.in_bytes = true;
        return {};
    }
    return refuse(fmt::format("has a step of the unknown kind '{:.40}'", type), file);
}

bool is_rule(const text::PretokenizerRule& rule, const std::vector<std::string>& patterns) {
    return std::ranges::equal(rule.patterns, patterns, {}, normal_form);
}

bool is_detour(const text::PretokenizerRule& rule, const Detour& detour, const std::vector<std::string>& patterns) {
    if (std::ranges::find(rule.names, detour.name) == rule.names.end()) { return false; }
    std::vector<std::string> expected;
    for (size_t i = 0; i + detour.n_replaced < rule.patterns.size(); i++) {
        expected.push_back(normal_form(rule.patterns[i]));
    }
    expected.insert(expected.end(), detour.by.begin(), detour.by.end());
    return expected == patterns;
}

bool has_steps(const text::PretokenizerRule& rule, const std::vector<std::string>& patterns) {
    const auto fits = [&](const Detour& detour) { return is_detour(rule, detour, patterns); };
    return is_rule(rule, patterns) || std::ranges::any_of(detours(), fits);
}

}  // namespace

Result<std::string> pretokenizer_name(const Json& pre_tokenizer, bool whole_words, const std::string& file) {
    WALLABY_TRY(const auto list, steps_of(&pre_tokenizer, "pretokenizers", file, "pre_tokenizer"));
    Steps steps;
    for (const Json* step : list) { WALLABY_OK(add_step(*step, file, steps)); }
    if (!steps.in_bytes) { return refuse("has no step ByteLevel", file); }
    bool is_known = false;
    for (const text::PretokenizerRule& rule : text::pretokenizer_rules()) {
        if (!has_steps(rule, steps.patterns)) { continue; }
        is_known = true;
        if (rule.whole_words == whole_words) { return std::string(rule.names.front()); }
    }
    if (is_known) {
        return Error{ErrorCode::unsupported,
                     fmt::format("is {}, which GGUF has no name for together with this pre_tokenizer", whole_words),
                     {file, "field 'model.ignore_merges'", {}},
                     ""};
    }
    const std::string all = fmt::format("'{}'", fmt::join(steps.patterns, "' then '"));
    constexpr size_t max_shown = 2000;
    return refuse(fmt::format("cuts words by {} expressions that no known rule has: {}", steps.patterns.size(),
                              std::string_view(all).substr(0, max_shown)),
                  file);
}

}  // namespace wallaby::convert
