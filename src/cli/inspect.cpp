// wallaby inspect: metadata, tensors, types and sizes of a file; one tensor as float32; the program that runs it.
#include <map>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/inspect_cpu.h"
#include "models/models.h"
#include "ops/cost.h"

namespace wallaby::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
    ModelFlags model;
    bool json = false, ops = false, full = false, cpu = false;
    uint32_t depth = 0;
    std::string tensor, out;
};

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string human(uint64_t n_bytes) {
    constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
    double n = double(n_bytes);
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < units.size(); unit++) { n /= 1024; }
    return unit == 0 ? fmt::format("{} B", n_bytes) : fmt::format("{:.2f} {}", n, units[unit]);
}

// --- Metadata and tensors

Json element(const gguf::Value& value, uint64_t i) {
    const gguf::ValueType type = value.type == gguf::ValueType::array ? value.element : value.type;
    if (type == gguf::ValueType::f32 || type == gguf::ValueType::f64) { return *value.number(i); }
    if (type == gguf::ValueType::boolean) { return *value.integer(i) != 0; }
    if (const auto n = value.integer(i)) { return *n; }
    return base::load_le<uint64_t>(value.bytes.data() + 8 * i);  // above 2^63
}

Json to_json(const gguf::Value& value, uint64_t n_shown) {
    if (value.type == gguf::ValueType::string) { return std::string(value.text()); }
    if (value.type != gguf::ValueType::array) { return element(value, 0); }
    Json values = Json::array();
    if (value.element == gguf::ValueType::string) {
        for (const std::string_view text : value.strings()) {
            if (values.size() == n_shown) { break; }
            values.push_back(std::string(text));
        }
    } else {
        for (uint64_t i = 0; i < std::min(value.count, n_shown); i++) { values.push_back(element(value, i)); }
    }
    return values;
}

std::string type_text(const gguf::Value& value) {
    if (value.type != gguf::ValueType::array) { return std::string(gguf::name_of(value.type)); }
    return fmt::format("{}[{}]", gguf::name_of(value.element), value.count);
}

struct Totals {
    uint64_t n_weights = 0, n_bytes = 0;
    std::map<std::string_view, std::pair<uint64_t, uint64_t>> by_type;  // tensors, bytes
};

Totals totals(const gguf::WeightSource& source) {
    Totals t;
    for (const gguf::Tensor& tensor : source.tensors()) {
        t.n_weights += tensor.n_elements();
        t.n_bytes += tensor.n_bytes;
        auto& [n, bytes] = t.by_type[quant::format_of(tensor.type).name];
        n++;
        bytes += tensor.n_bytes;
    }
    return t;
}

std::string file_json(const gguf::WeightSource& source, bool full) {
    const uint64_t n_shown = full ? UINT64_MAX : 16;
    Json out;
    out["file"] = source.metadata().file();
    Json metadata = Json::object();
    for (const auto& entry : source.metadata().entries()) {
        Json value{{"type", type_text(entry.value)}, {"value", to_json(entry.value, n_shown)}};
        if (entry.value.type == gguf::ValueType::array) { value["count"] = entry.value.count; }
        metadata[std::string(entry.key)] = std::move(value);
    }
    out["metadata"] = std::move(metadata);
    Json tensors = Json::array();
    for (const gguf::Tensor& t : source.tensors()) {
        Json shape = Json::array();
        for (uint32_t i = 0; i < t.n_dims; i++) { shape.push_back(t.dims[i]); }
        tensors.push_back({{"name", t.name},
                           {"type", quant::format_of(t.type).name},
                           {"shape", shape},
                           {"offset", t.offset},
                           {"bytes", t.n_bytes}});
    }
    out["tensors"] = std::move(tensors);
    const Totals all = totals(source);
    out["n_tensors"] = source.tensors().size();
    out["n_weights"] = all.n_weights;
    out["tensor_bytes"] = all.n_bytes;
    out["bits_per_weight"] = all.n_weights == 0 ? 0.0 : 8.0 * double(all.n_bytes) / double(all.n_weights);
    return dump(out);
}

std::string file_text(const gguf::WeightSource& source, bool full) {
    std::string out =
        fmt::format("{}\n\nMetadata ({} keys)\n", source.metadata().file(), source.metadata().entries().size());
    for (const auto& entry : source.metadata().entries()) {
        std::string value =
            to_json(entry.value, full ? UINT64_MAX : 6).dump(-1, ' ', false, Json::error_handler_t::replace);
        constexpr size_t widest = 100;
        if (!full && value.size() > widest) {
            size_t cut = widest;
            while (cut > 0 && (static_cast<unsigned char>(value[cut]) & 0xc0) == 0x80) { cut--; }  // between characters
            value = value.substr(0, cut) + "…";
        }
        out += fmt::format("  {:<44} {:<14} {}\n", entry.key, type_text(entry.value), value);
    }
    out += fmt::format("\nTensors ({})\n", source.tensors().size());
    for (const gguf::Tensor& t : source.tensors()) {
        out += fmt::format("  {:<36} {:<8} {:>22} {:>12}\n", t.name, quant::format_of(t.type).name, t.shape(),
                           human(t.n_bytes));
    }
    const Totals all = totals(source);
    out += fmt::format("\n{} weights in {}", all.n_weights, human(all.n_bytes));
    if (all.n_weights != 0) {
        out += fmt::format(", {:.3f} bits per weight", 8.0 * double(all.n_bytes) / double(all.n_weights));
    }
    for (const auto& [type, sum] : all.by_type) {
        out += fmt::format("\n  {:<8} {:>6} tensors {:>12}", type, sum.first, human(sum.second));
    }
    return out + "\n";
}

// --- One tensor

Result<std::string> write_tensor(const gguf::WeightSource& source, const Flags& flags) {
    const gguf::Tensor* tensor = source.find(flags.tensor);
    if (tensor == nullptr) {
        return Error{ErrorCode::argument,
                     fmt::format("the file has no tensor '{}'", flags.tensor),
                     {source.metadata().file(), "--tensor", {}},
                     "inspect without --tensor lists them"};
    }
    const quant::Format& format = quant::format_of(tensor->type);
    constexpr uint64_t piece_blocks = 1 << 14;
    std::vector<uint8_t> blocks(piece_blocks * format.block_bytes);
    std::vector<float> values(piece_blocks * format.block_len);
    WALLABY_TRY(base::AtomicFile file, base::AtomicFile::create(flags.out));
    const uint64_t n_blocks = tensor->n_bytes / format.block_bytes;
    for (uint64_t first = 0; first < n_blocks; first += piece_blocks) {
        const uint64_t n = std::min(piece_blocks, n_blocks - first);
        WALLABY_OK(source.read(*tensor, first * format.block_bytes, std::span(blocks).first(n * format.block_bytes)));
        format.decode(blocks.data(), values.data(), n);
        WALLABY_OK(file.write({reinterpret_cast<const uint8_t*>(values.data()), n * format.block_len * sizeof(float)}));
    }
    WALLABY_OK(file.commit());
    return std::string();
}

// --- The program

struct OpLine {
    std::string layer, name, weights, shape;
    ops::Cost cost;
};

std::string value_text(const ops::Program& program, ops::ValueId id) {
    if (id == ops::none) { return ""; }
    const ops::Value& v = program.values[id];
    return fmt::format("%{}[{} x {}{}]", id, v.rows == ops::Rows::tokens ? "tokens" : "outputs", v.width,
                       v.is_i32 ? " i32" : "");
}

std::vector<OpLine> op_lines(const ops::Model& model, const ops::Program& program, uint32_t depth) {
    // One sequence decoding one token with `depth` keys before it.
    double experts = 0;
    for (const ops::Op& op : program.ops) {
        if (const auto* route = std::get_if<ops::Route>(&op.spec)) { experts = route->n_used; }
    }
    const ops::Extent extent{{{.n_past = depth}}, experts};
    std::vector<OpLine> lines;
    for (const ops::Op& op : program.ops) {
        OpLine line;
        line.layer = op.layer == ops::none ? "-" : std::to_string(op.layer);
        line.name = ops::name_of(op.spec);
        for (const ops::WeightId id : op.weight) {
            if (id == ops::none) { continue; }
            const ops::Weight& w = model.weights[id];
            line.weights += fmt::format("{}{} {} {}x{}{}{}", line.weights.empty() ? "" : ", ", w.name,
                                        quant::format_of(w.type).name, w.n_in, w.n_out,
                                        w.n_expert == 1 ? "" : fmt::format("x{}", w.n_expert),
                                        w.first == 0 ? "" : fmt::format(" +{}", w.first));
        }
        for (const ops::ValueId id : op.in) {
            line.shape += (line.shape.empty() || id == ops::none ? "" : ", ") + value_text(program, id);
        }
        line.shape += " -> ";
        for (const ops::ValueId id : op.out) {
            line.shape += (id == ops::none || id == op.out[0] ? "" : ", ") + value_text(program, id);
        }
        if (op.state != ops::none) { line.shape += fmt::format(" state {}", op.state); }
        line.cost = ops::cost(model, program, op, extent, quant::Type::f16, quant::Type::f16);
        lines.push_back(std::move(line));
    }
    return lines;
}

Json to_json(const ops::Cost& c) {
    return {{"macs", c.macs},
            {"transcendental", c.transcendental},
            {"weight_bytes", c.weight_bytes},
            {"state_read", c.state_read},
            {"state_written", c.state_written},
            {"value_bytes", c.value_bytes}};
}

Result<std::string> programs(const gguf::WeightSource& source, const Flags& flags) {
    WALLABY_TRY(const ops::Model model, models::build(source, {}));
    std::string text;
    Json json = Json::array();
    for (const ops::Program& program : model.programs) {
        const std::vector<OpLine> lines = op_lines(model, program, flags.depth);
        ops::Cost sum;
        Json ops = Json::array();
        text += fmt::format(
            "program {}: {} ops, {} values, {} weights, {} states; cost of one token after {} (F16 cache)\n",
            program.name, program.ops.size(), program.values.size(), model.weights.size(), model.states.size(),
            flags.depth);
        text += fmt::format("{:>5} {:<10} {:>12} {:>10} {:>12} {:>10} {:>10}  {}\n", "layer", "op", "macs", "exp",
                            "weights", "state", "values", "shapes, weights");
        for (const OpLine& l : lines) {
            sum += l.cost;
            ops.push_back({{"layer", l.layer},
                           {"op", l.name},
                           {"shapes", l.shape},
                           {"weights", l.weights},
                           {"cost", to_json(l.cost)}});
            text += fmt::format("{:>5} {:<10} {:>12} {:>10} {:>12} {:>10} {:>10}  {}  {}\n", l.layer, l.name,
                                l.cost.macs, l.cost.transcendental, human(l.cost.weight_bytes),
                                human(l.cost.state_read + l.cost.state_written), human(l.cost.value_bytes), l.shape,
                                l.weights);
        }
        text +=
            fmt::format("{:>5} {:<10} {:>12} {:>10} {:>12} {:>10} {:>10}\n", "", "sum", sum.macs, sum.transcendental,
                        human(sum.weight_bytes), human(sum.state_read + sum.state_written), human(sum.value_bytes));
        json.push_back({{"program", program.name}, {"depth", flags.depth}, {"ops", ops}, {"sum", to_json(sum)}});
    }
    return flags.json ? dump(json) : text;
}

Result<std::string> inspect(const Flags& flags) {
    if (flags.cpu) { return describe_cpu(flags.model.isa, flags.json); }
    WALLABY_TRY(const auto source, open_model(flags.model));
    if (!flags.tensor.empty()) { return write_tensor(*source, flags); }
    if (flags.ops) { return programs(*source, flags); }
    return flags.json ? file_json(*source, flags.full) : file_text(*source, flags.full);
}

}  // namespace

std::function<int()> define_inspect(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    flags->model.add_model(app);
    app.add_flag("--cpu", flags->cpu, "print what this machine has, and which kernels are used and why");
    flags->model.add_isa(app);
    app.add_flag("--json", flags->json, "print JSON");
    app.add_flag("--full", flags->full, "show long arrays and texts whole");
    app.add_flag("--ops", flags->ops, "print the program that runs the model, with shapes and costs");
    app.add_option("-d,--depth", flags->depth, "with --ops: tokens before the one whose cost is shown")
        ->type_name("N")
        ->check(CLI::Range(0, 1 << 30));
    auto* tensor =
        app.add_option("--tensor", flags->tensor, "write this tensor as little-endian float32, in file order")
            ->type_name("NAME");
    auto* out = app.add_option("--out,-o", flags->out, "where it goes")->type_name("FILE")->needs(tensor);
    tensor->needs(out);
    return [flags] {
        const auto text = inspect(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(for_terminal(*text)) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
