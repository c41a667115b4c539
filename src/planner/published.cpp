#include "planner/published.h"

#include <array>
#include <charconv>
#include <cmath>

namespace wallaby::planner {
namespace {

constexpr std::string_view heading = "machine,engine,model,format,test,tokens_per_s,source,date";
constexpr size_t n_fields = 8;

template <class T>
bool parse(std::string_view text, T& out) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
    return problem == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<std::vector<Published>> read_published(std::string_view csv, const std::string& file) {
    std::vector<Published> out;
    for (size_t line_number = 1; !csv.empty(); line_number++) {
        const size_t end = std::min(csv.find('\n'), csv.size());
        const std::string_view line = csv.substr(0, end);
        csv.remove_prefix(std::min(end + 1, csv.size()));
        const auto wrong = [&](std::string what) {
            return Error{ErrorCode::format, std::move(what), {file, fmt::format("line {}", line_number), {}}, ""};
        };
        if (line_number == 1) {
            if (line != heading) { return wrong(fmt::format("must be '{}'", heading)); }
            continue;
        }
        std::array<std::string_view, n_fields> fields;
        std::string_view rest = line;
        for (size_t i = 0; i < n_fields; i++) {
            const size_t comma = rest.find(',');
            if ((comma == std::string_view::npos) != (i + 1 == n_fields)) {
                return wrong(fmt::format("has not {} fields", n_fields));
            }
            fields[i] = rest.substr(0, comma);
            rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        }
        Published p;
        p.machine = fields[0];
        p.engine = fields[1];
        p.model = fields[2];
        p.format = fields[3];
        p.is_prompt = fields[4].starts_with("pp");
        if ((!p.is_prompt && !fields[4].starts_with("tg")) || !parse(fields[4].substr(2), p.n_tokens) ||
            p.n_tokens == 0) {
            return wrong(fmt::format("'{}' is no test: pp512 or tg128", fields[4]));
        }
        if (!parse(fields[5], p.tokens_per_s) || !std::isfinite(p.tokens_per_s) || p.tokens_per_s <= 0) {
            return wrong(fmt::format("'{}' is no speed", fields[5]));
        }
        p.source = fields[6];
        p.date = fields[7];
        out.push_back(std::move(p));
    }
    return out;
}

}  // namespace wallaby::planner
