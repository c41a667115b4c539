#include "text/space_cleaner.h"

#include <algorithm>
#include <span>

namespace wallaby::text {

namespace {

// In each pattern the spaces go and the rest stays.
constexpr std::string_view before_signs[] = {" ?", " !", " .", " ,"};
constexpr std::string_view lone_apostrophe[] = {" ' "};
constexpr std::string_view endings[] = {" 'm", " 's", " 've", " 're"};
constexpr std::span<const std::string_view> passes[] = {before_signs, lone_apostrophe, endings};

}  // namespace

void SpaceCleaner::push_pass(size_t pass, std::string_view text, std::string& out) {
    std::string& waiting = waiting_[pass];
    for (const char c : text) {
        waiting += c;
        // Gives out from the front until what is left may still become a pattern.
        while (!waiting.empty()) {
            const auto begins = [&](std::string_view pattern) { return pattern.starts_with(waiting); };
            const auto found = std::ranges::find_if(passes[pass], begins);
            if (found == passes[pass].end()) {
                out += waiting[0];
                waiting.erase(0, 1);
                continue;
            }
            if (found->size() == waiting.size()) {
                std::ranges::copy_if(waiting, std::back_inserter(out), [](char each) { return each != ' '; });
                waiting.clear();
            }
            break;
        }
    }
}

void SpaceCleaner::push(std::string_view text, std::string& out) {
    std::string first;
    std::string second;
    push_pass(0, text, first);
    push_pass(1, first, second);
    push_pass(2, second, out);
}

void SpaceCleaner::flush(std::string& out) {
    std::string rest;
    for (size_t pass = 0; pass < num_passes; pass++) {
        std::string cleaned;
        push_pass(pass, rest, cleaned);
        cleaned += waiting_[pass];
        waiting_[pass].clear();
        rest = std::move(cleaned);
    }
    out += rest;
}

}  // namespace wallaby::text
