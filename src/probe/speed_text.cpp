#include "probe/speed_text.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace wallaby::probe {
namespace {

using Json = nlohmann::ordered_json;

constexpr int version = 3;

std::string_view type_name(quant::Type type) { return quant::format_of(type).name; }

Json json_of(const planner::Rates& r) {
    return {r.read_bytes_per_s, r.int8_ops_per_s, r.bf16_ops_per_s, r.f32_ops_per_s};
}

Json json_of(const planner::Speeds& s) {
    Json out{{"backend", s.backend}, {"isa", s.isa}, {"n_threads", s.n_threads}};
    out["rates"] = json_of(s.rates);
    for (const auto& [type, curve] : s.matmul) {
        Json& points = out["matmul"][std::string(type_name(type))];
        for (const auto& [x, y] : curve.points) { points.push_back({x, y}); }
    }
    for (const auto& [kv, a] : s.attend) {
        out["attend"].push_back({type_name(kv.first), type_name(kv.second), a.seconds_per_byte, a.seconds_per_mac});
    }
    for (const auto& [name, row] : s.rows) { out["rows"][name] = {row.alone, row.together}; }
    out["wait_seconds"] = s.wait_seconds;
    out["run_seconds"] = s.run_seconds;
    return out;
}

// A time or a rate. Anything else ends the reading of the file.
double number(const Json& value) {
    const double v = value.get<double>();
    if (!std::isfinite(v) || v < 0) { throw std::domain_error("not a rate"); }
    return v;
}

quant::Type type_of(const std::string& name) {
    const quant::Format* format = quant::find_format(name);
    if (format == nullptr) { throw std::domain_error("not a type"); }
    return format->type;
}

planner::Rates rates_of(const Json& in) {
    return {number(in.at(0)), number(in.at(1)), number(in.at(2)), number(in.at(3))};
}

planner::Speeds speeds_of(const Json& in) {
    planner::Speeds s;
    s.backend = in.at("backend").get<std::string>();
    s.isa = in.at("isa").get<std::string>();
    s.n_threads = in.at("n_threads").get<uint32_t>();
    s.rates = rates_of(in.at("rates"));
    for (const auto& [name, points] : in.at("matmul").items()) {
        planner::Curve& curve = s.matmul[type_of(name)];
        for (const Json& p : points) { curve.points.push_back({number(p.at(0)), number(p.at(1))}); }
    }
    for (const Json& a : in.at("attend")) {
        s.attend[{type_of(a.at(0).get<std::string>()), type_of(a.at(1).get<std::string>())}] = {number(a.at(2)),
                                                                                                number(a.at(3))};
    }
    for (const auto& [name, row] : in.at("rows").items()) { s.rows[name] = {number(row.at(0)), number(row.at(1))}; }
    s.wait_seconds = number(in.at("wait_seconds"));
    s.run_seconds = number(in.at("run_seconds"));
    return s;
}

}  // namespace

std::string write_speeds(const std::vector<KeptSpeeds>& kept) {
    Json out{{"version", version}, {"machines", Json::array()}};
    for (const KeptSpeeds& k : kept) {
        Json entry = json_of(k.speeds);
        entry["key"] = k.key;
        for (const auto& [at, rates] : k.looks) { entry["looks"].push_back({{"at", at}, {"rates", json_of(rates)}}); }
        out["machines"].push_back(std::move(entry));
    }
    return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<KeptSpeeds> read_speeds(std::string_view text) try {
    const Json in = Json::parse(text);
    if (in.at("version").get<int>() != version) { return {}; }
    std::vector<KeptSpeeds> kept;
    for (const Json& entry : in.at("machines")) {
        KeptSpeeds k{entry.at("key").get<std::string>(), speeds_of(entry)};
        for (const Json& look : entry.value("looks", Json::array())) {
            k.looks.push_back({look.at("at").get<int64_t>(), rates_of(look.at("rates"))});
        }
        kept.push_back(std::move(k));
    }
    return kept;
} catch (const std::exception&) { return {}; }

}  // namespace wallaby::probe
