#include "cli/lora.h"

#include <charconv>
#include <cmath>

namespace wallaby::cli {
namespace {

Result<LoraChoice> parse_scaled(const std::string& text) {
    const size_t colon = text.rfind(':');
    LoraChoice out{text.substr(0, colon), 0};
    const char* const end = text.data() + text.size();
    const char* const number = colon == std::string::npos ? end : text.data() + colon + 1;
    const auto [stopped, problem] = std::from_chars(number, end, out.scale);
    if (number == end || problem != std::errc() || stopped != end || !std::isfinite(out.scale) || out.path.empty()) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is not FILE:SCALE", text),
                     {"", "--lora-scaled", {}},
                     "For example --lora-scaled poems.gguf:0.5"};
    }
    return out;
}

}  // namespace

void LoraFlags::add(CLI::App& app, const std::string& what) {
    app.add_option("--lora", plain, "LoRA adapter (GGUF) of the model, " + what + "; may be given several times")
        ->type_name("FILE")
        ->expected(1)
        ->take_all();
    app.add_option("--lora-scaled", scaled, "the same, with its changes multiplied by SCALE")
        ->type_name("FILE:SCALE")
        ->expected(1)
        ->take_all();
}

Result<std::vector<LoraChoice>> LoraFlags::choices() const {
    std::vector<LoraChoice> out;
    for (const std::string& path : plain) { out.push_back({path, 1}); }
    for (const std::string& text : scaled) {
        WALLABY_TRY(LoraChoice choice, parse_scaled(text));
        out.push_back(std::move(choice));
    }
    return out;
}

}  // namespace wallaby::cli
