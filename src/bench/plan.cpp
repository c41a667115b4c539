#include "bench/plan.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

namespace wallaby::bench {
namespace {

constexpr size_t max_values = 1000;

Error refuse(std::string_view flag, std::string what, std::string remedy) {
    return {ErrorCode::argument, std::move(what), {"", std::string(flag), {}}, std::move(remedy)};
}

Error no_list(std::string_view flag, std::string_view text) {
    return refuse(flag, fmt::format("'{}' is no number and no range", text),
                  "Give 512, a list 1,2,4, or a range 1-8, 0-1024+256, 1-64*2");
}

Error out_of_bounds(std::string_view flag, uint64_t value, const Bounds& bounds) {
    return refuse(flag, fmt::format("is {}, but must be {} to {}", value, bounds.least, bounds.most), "");
}

// Takes a number off the front of `text`.
std::optional<uint64_t> take_number(std::string_view& text) {
    uint64_t value = 0;
    const auto [next, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc()) { return std::nullopt; }
    text.remove_prefix(size_t(next - text.data()));
    return value;
}

bool take(std::string_view& text, char c) {
    if (text.empty() || text.front() != c) { return false; }
    text.remove_prefix(1);
    return true;
}

struct Range {
    uint64_t first = 0, last = 0, step = 1;
    bool multiplies = false;
};

std::optional<Range> parse_range(std::string_view text) {
    const auto first = take_number(text);
    if (!first) { return std::nullopt; }
    Range range{*first, *first};
    if (take(text, '-')) {
        const auto last = take_number(text);
        if (!last) { return std::nullopt; }
        range.last = *last;
        range.multiplies = !text.empty() && text.front() == '*';
        if (range.multiplies || (!text.empty() && text.front() == '+')) {
            text.remove_prefix(1);
            const auto step = take_number(text);
            if (!step) { return std::nullopt; }
            range.step = *step;
        }
    }
    return text.empty() ? std::optional(range) : std::nullopt;
}

Result<void> add_range(std::string_view flag, std::string_view text, const Bounds& bounds, std::vector<uint32_t>& out) {
    const auto range = parse_range(text);
    if (!range) { return no_list(flag, text); }
    for (const uint64_t end : {range->first, range->last}) {
        if (end < bounds.least || end > bounds.most) { return out_of_bounds(flag, end, bounds); }
    }
    const bool stands = range->multiplies ? range->step < 2 || range->first == 0 : range->step == 0;
    if (range->first > range->last || (stands && range->first != range->last)) {
        return refuse(flag, fmt::format("the range '{}' does not lead from its first value to its last", text),
                      "Give first-last+step or first-last*factor, for example 0-1024+256 or 1-64*2");
    }
    // Bounds are 32-bit and a step that leads beyond `last` ends it, so that nothing wraps.
    for (uint64_t value = range->first; value <= range->last;) {
        if (out.size() == max_values) {
            return refuse(flag, fmt::format("has more than {} values", max_values), "Use a larger step");
        }
        out.push_back(uint32_t(value));
        if (range->first == range->last || range->step > range->last) { break; }
        value = range->multiplies ? value * range->step : value + range->step;
    }
    return {};
}

std::vector<Test> tests_of(const Lists& lists) {
    std::vector<Test> tests;
    for (const uint32_t depth : lists.n_depth) {
        for (const uint32_t n : lists.n_prompt) { tests.push_back({n, 0, depth, 1}); }
        for (const uint32_t seqs : lists.n_seqs) {
            for (const uint32_t n : lists.n_gen) { tests.push_back({0, n, depth, seqs}); }
            for (const auto& [n_prompt, n_gen] : lists.n_prompt_gen) {
                tests.push_back({n_prompt, n_gen, depth, seqs});
            }
        }
    }
    std::erase_if(tests, [](const Test& test) { return test.n_tokens() == 0; });
    return tests;
}

}  // namespace

planner::Work work_of(const Test& test, uint32_t n_batch) {
    return {test.n_prompt, test.n_gen, test.n_depth, test.n_seqs, n_batch};
}

std::string Test::name() const {
    std::string text = n_prompt != 0 ? fmt::format("pp{}", n_prompt) : "";
    if (n_gen != 0) { text += fmt::format("{}tg{}", text.empty() ? "" : "+", n_gen); }
    return n_depth == 0 ? text : fmt::format("{} @ d{}", text, n_depth);
}

uint32_t Group::n_ctx() const {
    uint32_t n = 0;
    for (const Test& t : tests) { n = std::max(n, t.n_depth + t.n_prompt + t.n_gen); }
    return n;
}

uint32_t Group::n_seqs() const {
    uint32_t n = 0;
    for (const Test& t : tests) { n = std::max(n, t.n_seqs); }
    return n;
}

Result<std::vector<Group>> cross_product(const Lists& lists) {
    const std::vector<Test> tests = tests_of(lists);
    if (tests.empty()) { return refuse("-p, -n, -pg", "ask for no token", "Give one of them a number above 0"); }
    std::vector<Group> groups;
    for (const uint32_t n_batch : lists.n_batch) {
        for (const quant::Type k : lists.k_types) {
            for (const quant::Type v : lists.v_types) {
                for (const uint32_t n_threads : lists.n_threads) {
                    groups.push_back({n_batch, n_threads, k, v, tests});
                }
            }
        }
    }
    return groups;
}

Result<std::vector<std::string>> parse_names(std::string_view flag, const std::vector<std::string>& words) {
    std::vector<std::string> names;
    for (const std::string& word : words) {
        size_t begin = 0;
        while (begin <= word.size()) {
            const size_t end = std::min(word.find(',', begin), word.size());
            if (end == begin) { return refuse(flag, fmt::format("'{}' has an empty entry", word), ""); }
            names.push_back(word.substr(begin, end - begin));
            begin = end + 1;
        }
    }
    return names;
}

Result<std::vector<uint32_t>> parse_numbers(std::string_view flag, const std::vector<std::string>& words,
                                            const Bounds& bounds) {
    std::vector<uint32_t> values;
    WALLABY_TRY(const std::vector<std::string> parts, parse_names(flag, words));
    for (const std::string& part : parts) { WALLABY_OK(add_range(flag, part, bounds, values)); }
    return values;
}

Result<std::vector<std::pair<uint32_t, uint32_t>>> parse_pairs(std::string_view flag,
                                                               const std::vector<std::string>& words,
                                                               const Bounds& bounds) {
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    for (const std::string& word : words) {
        std::string_view text = word;
        const auto first = take_number(text);
        const bool comma = take(text, ',');
        const auto second = take_number(text);
        if (!first || !comma || !second || !text.empty()) {
            return refuse(flag, fmt::format("'{}' is no pair of numbers", word), "Give prompt,generated: 512,128");
        }
        for (const uint64_t value : {*first, *second}) {
            if (value < bounds.least || value > bounds.most) { return out_of_bounds(flag, value, bounds); }
        }
        pairs.emplace_back(uint32_t(*first), uint32_t(*second));
    }
    return pairs;
}

}  // namespace wallaby::bench
