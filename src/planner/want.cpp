#include "planner/want.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "base/ascii.h"

namespace wallaby::planner {
namespace {

constexpr std::array<Quality, 15> listed{{
    {"F16", 0},
    {"Q8_0", 0.0026},
    {"Q6_K", 0.0217},
    {"Q5_K_M", 0.0569},
    {"Q5_K_S", 0.1049},
    {"Q5_1", 0.1062},
    {"Q5_0", 0.1316},
    {"Q4_K_M", 0.1754},
    {"Q4_K_S", 0.2689},
    {"Q4_1", 0.4511},
    {"Q4_0", 0.4685},
    {"Q3_K_L", 0.5562},
    {"Q3_K_M", 0.6569},
    {"Q3_K_S", 1.6321},
    {"Q2_K", 3.5199},
}};

Error refuse(std::string what) {
    return Error{ErrorCode::argument, std::move(what), {"", "--want", {}}, "Say it like \"20 tok/s at 32k in 16 GB\""};
}

// Numbers and words apart, whether there are spaces between them or not; words in lower case.
std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> out;
    const auto kind = [](char c) { return c == ' ' || c == ',' ? 0 : (c >= '0' && c <= '9') || c == '.' ? 1 : 2; };
    int last = 0;
    for (const char c : text) {
        const int now = kind(c);
        if (now == 0) {
            last = 0;
            continue;
        }
        if (now != last) { out.emplace_back(); }
        out.back() += base::lower(c);
        last = now;
    }
    return out;
}

std::optional<double> number_of(const std::string& word) {
    double value = 0;
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
    const bool is_whole = problem == std::errc() && end == word.data() + word.size();
    return is_whole && std::isfinite(value) && value > 0 && value < 1e9 ? std::optional(value) : std::nullopt;
}

}  // namespace

Result<Want> parse_want(std::string_view text) {
    Want want;
    const std::vector<std::string> words = words_of(text);
    for (size_t i = 0; i < words.size();) {
        const auto word = [&](size_t at) -> std::string { return at < words.size() ? words[at] : ""; };
        const bool is_context = word(i) == "at", is_memory = word(i) == "in";
        if (is_context || is_memory) { i++; }
        const auto number = number_of(word(i));
        if (!number) { return refuse(fmt::format("'{}' is no number above 0", word(i).substr(0, 40))); }
        const std::string unit = word(i + 1);
        i += 2;
        if (is_context) {
            const bool is_k = unit == "k";
            if (!is_k) { i--; }
            const double n = *number * (is_k ? 1024 : 1);
            if (n != std::floor(n) || n > double(1u << 30)) { return refuse("the context is no number of tokens"); }
            want.n_ctx = uint32_t(n);
        } else if (is_memory) {
            const double bytes = unit == "gb" ? 1e9 : unit == "gib" ? double(1u << 30) : unit == "mb" ? 1e6 : 0;
            if (bytes == 0) { return refuse(fmt::format("'{}' is none of GB, GiB, MB", unit.substr(0, 40))); }
            want.memory_bytes = *number * bytes;
        } else if (unit == "tok/s" || unit == "t/s" || unit == "tokens/s") {
            want.tokens_per_s = *number;
        } else {
            return refuse(fmt::format("'{}' is neither a speed (tok/s), nor after 'at' or 'in'", unit.substr(0, 40)));
        }
    }
    if (want.tokens_per_s == 0) { return refuse("names no speed"); }
    return want;
}

std::span<const Quality> qualities() { return listed; }

double speculation_gain(uint32_t k, double p, double verify_steps, double draft_steps) {
    double tokens = 0;
    for (uint32_t i = 0; i <= k; i++) { tokens += std::pow(p, i); }
    return tokens / (verify_steps + k * draft_steps);
}

std::optional<double> speculation_break_even(uint32_t k, double verify_steps, double draft_steps) {
    if (speculation_gain(k, 1, verify_steps, draft_steps) <= 1) { return std::nullopt; }
    double low = 0, high = 1;  // a loss, and a gain
    for (int i = 0; i < 50; i++) {
        const double middle = (low + high) / 2;
        (speculation_gain(k, middle, verify_steps, draft_steps) > 1 ? high : low) = middle;
    }
    return high;
}

}  // namespace wallaby::planner
