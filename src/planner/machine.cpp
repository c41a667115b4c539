#include "planner/machine.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace wallaby::planner {
namespace {

constexpr size_t most_bytes = 4 << 20, most_machines = 10000;
constexpr std::array<std::string_view, 5> rate_names{"f32", "f16", "bf16", "int8", "int4"};
constexpr double giga = 1e9, tera = 1e12;

struct Source {
    std::string title, date;
};
using Sources = std::map<std::string, Source, std::less<>>;

// One machine's table, and the words for what is wrong with it.
class Entry {
  public:
    Entry(const toml::table& table, const Sources& sources, const std::string& file, size_t index)
        : table_(table), sources_(sources), file_(file) {
        own_name_ = table["id"].value_or(fmt::format("{}", index + 1));
    }

    Result<Machine> read() {
        Machine m;
        WALLABY_TRY(m.id, text(table_, "id", true));
        WALLABY_TRY(m.name, text(table_, "name", false));
        WALLABY_TRY(m.tier, text(table_, "tier", true));
        if (m.name.empty()) { m.name = m.id; }
        if (const toml::array* aliases = table_["aliases"].as_array()) {
            for (const toml::node& alias : *aliases) {
                if (!alias.is_string()) { return wrong("aliases", "are no list of words"); }
                m.aliases.push_back(**alias.as_string());
            }
        }
        WALLABY_TRY(m.memory, figure("memory", "gb", giga));
        WALLABY_TRY(m.bandwidth, figure("bandwidth", "gb_per_s", giga));
        WALLABY_OK(read_rates(m));
        return m;
    }

  private:
    Error wrong(std::string_view key, std::string what) const {
        return Error{ErrorCode::format,
                     std::move(what),
                     {file_, fmt::format("machine '{}', key '{}'", own_name_, key), {}},
                     "assets/machines.toml shows the form"};
    }
    Result<std::string> text(const toml::table& table, std::string_view key, bool required) const {
        const auto value = table[key].value<std::string>();
        if (!value && (required || table.contains(key))) { return wrong(key, "is missing or no text"); }
        return value.value_or("");
    }
    Result<double> number(const toml::table& table, std::string_view in, std::string_view key, double unit) const {
        const auto value = table[key].value<double>();
        if (!value || !std::isfinite(*value) || *value <= 0 || *value > 1e9) {
            return wrong(fmt::format("{}.{}", in, key), "is missing, or no number above 0");
        }
        return *value * unit;
    }
    // Where the table says that its figures come from.
    Result<Figure> sourced(const toml::table& table, std::string_view key, double value) const {
        WALLABY_TRY(const std::string source, text(table, "source", false));
        if (source.empty()) { return Figure{value, "", ""}; }
        const auto known = sources_.find(source);
        if (known == sources_.end()) {
            return wrong(key, fmt::format("names the source '{}', which is not listed", source));
        }
        return Figure{value, known->second.title, known->second.date};
    }
    Result<Figure> figure(std::string_view key, std::string_view unit_key, double unit) const {
        const toml::table* table = table_[key].as_table();
        if (table == nullptr) {
            return wrong(key, fmt::format("is missing: {} = {{ {} = …, source = … }}", key, unit_key));
        }
        WALLABY_TRY(const double value, number(*table, key, unit_key, unit));
        return sourced(*table, key, value);
    }
    Result<void> read_rates(Machine& m) const {
        if (!table_.contains("rates")) { return {}; }
        const toml::array* tables = table_["rates"].as_array();
        if (tables == nullptr) { return wrong("rates", "is no list of tables"); }
        for (const toml::node& node : *tables) {
            const toml::table* table = node.as_table();
            if (table == nullptr) { return wrong("rates", "is no list of tables"); }
            for (const auto& [key, value] : *table) {
                if (key.str() == "source") { continue; }
                if (std::ranges::find(rate_names, key.str()) == rate_names.end()) {
                    return wrong(fmt::format("rates.{}", key.str()),
                                 fmt::format("is none of {}", fmt::join(rate_names, ", ")));
                }
                WALLABY_TRY(const double rate, number(*table, "rates", key.str(), tera));
                WALLABY_TRY(m.rates[std::string(key.str())], sourced(*table, "rates", rate));
            }
        }
        return {};
    }

    const toml::table& table_;
    const Sources& sources_;
    const std::string& file_;
    std::string own_name_;
};

// toml++ 3.3 takes for granted that a table's header begins with a key, and relies on it where there is none ("[=").
// The first such line, from 1; 0: there is none. A line of a nested array may begin with a bracket, too, and then must
// go on as a header could.
size_t line_without_key(std::string_view text) {
    constexpr std::string_view blank = " \t", byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) { text.remove_prefix(byte_order_mark.size()); }
    const auto skip_blank = [&](std::string_view line) {
        return line.substr(std::min(line.find_first_not_of(blank), line.size()));
    };
    for (size_t number = 1; !text.empty(); number++) {
        const size_t end = std::min(text.find('\n'), text.size());
        const bool is_last = end == text.size();
        std::string_view line = skip_blank(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!line.starts_with('[')) { continue; }
        line.remove_prefix(1);
        if (line.starts_with('[')) { line.remove_prefix(1); }
        line = skip_blank(line);
        if (line.empty() && is_last) { continue; }  // ends early, which the parser sees
        const char c = line.empty() ? '\n' : line.front();
        const bool is_key = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                            c == '-' || c == '"' || c == '\'' || c == ']';
        if (!is_key) { return number; }
    }
    return 0;
}

}  // namespace

double Machine::prompt_ops_per_s() const {
    using Order = std::array<std::string_view, 4>;
    const bool is_cpu = tier.starts_with("cpu") || tier == "board";
    // An Apple GPU multiplies half precision no faster than single, and of the two the latter is published.
    const Order order = is_cpu                      ? Order{"int8", "bf16", "f16", "f32"}
                        : tier.starts_with("apple") ? Order{"f32", "f16", "bf16", "int8"}
                                                    : Order{"f16", "bf16", "f32", "int8"};
    for (const std::string_view key : order) {
        if (const auto rate = rates.find(key); rate != rates.end()) { return rate->second.value; }
    }
    return 0;
}

Result<std::vector<Machine>> read_machines(std::string_view toml, const std::string& file) {
    if (toml.size() > most_bytes) {
        return Error{ErrorCode::format, fmt::format("is longer than {} bytes", most_bytes), {file, "", {}}, ""};
    }
    if (const size_t line = line_without_key(toml); line != 0) {
        return Error{ErrorCode::format,
                     "a table's header has no key",
                     {file, fmt::format("line {}", line), {}},
                     "It must be TOML 1.0"};
    }
    ::toml::table root;
    try {
        root = ::toml::parse(toml);
    } catch (const ::toml::parse_error& error) {
        return Error{
            ErrorCode::format,
            std::string(error.description()),
            {file, fmt::format("line {}, column {}", error.source().begin.line, error.source().begin.column), {}},
            "It must be TOML 1.0"};
    }
    Sources sources;
    if (const ::toml::table* listed = root["sources"].as_table()) {
        for (const auto& [key, node] : *listed) {
            const ::toml::table* source = node.as_table();
            if (source == nullptr) { continue; }
            sources[std::string(key.str())] = {(*source)["title"].value_or(std::string()),
                                               (*source)["date"].value_or(std::string())};
        }
    }
    const ::toml::array* tables = root["machine"].as_array();
    if (tables == nullptr || tables->empty() || tables->size() > most_machines) {
        return Error{ErrorCode::format,
                     "holds no [[machine]], or too many",
                     {file, "", {}},
                     "assets/machines.toml shows the form"};
    }
    std::vector<Machine> machines;
    std::set<std::string> names;
    for (size_t i = 0; i < tables->size(); i++) {
        const ::toml::table* table = (*tables)[i].as_table();
        if (table == nullptr) { continue; }
        WALLABY_TRY(Machine m, Entry(*table, sources, file, i).read());
        std::vector<std::string> own{m.id};
        own.insert(own.end(), m.aliases.begin(), m.aliases.end());
        for (const std::string& name : own) {
            if (!names.insert(name).second) {
                return Error{ErrorCode::format, "names two machines", {file, fmt::format("'{}'", name), {}}, ""};
            }
        }
        machines.push_back(std::move(m));
    }
    return machines;
}

const Machine* find_machine(const std::vector<Machine>& machines, std::string_view name) {
    const auto found = std::ranges::find_if(machines, [&](const Machine& m) {
        return m.id == name || std::ranges::find(m.aliases, name) != m.aliases.end();
    });
    return found == machines.end() ? nullptr : &*found;
}

}  // namespace wallaby::planner
