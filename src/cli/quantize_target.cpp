#include "cli/quantize_target.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/ascii.h"
#include "cli/evaluation.h"
#include "cli/progress_bar.h"
#include "cli/writing.h"
#include "convert/allocate.h"
#include "convert/mixes.h"
#include "convert/type_losses.h"
#include "eval/quantization_loss.h"

namespace wallaby::cli {
namespace {

using quant::Type;

// Formats that decode fast everywhere. Those of 32 weights are for rows that are no multiples of 256.
constexpr Type usual_types[] = {Type::q2_k, Type::q3_k, Type::q4_k,   Type::q5_k, Type::q6_k,
                                Type::q8_0, Type::q4_0, Type::iq4_nl, Type::q5_0, Type::f16};

// "4.2GB", "300 MB", "1.5GiB", "2G": bytes.
Result<uint64_t> bytes_of(const std::string& text) {
    constexpr std::pair<std::string_view, double> units[] = {
        {"", 1},    {"k", 1e3},  {"kb", 1e3},     {"m", 1e6},      {"mb", 1e6},
        {"g", 1e9}, {"gb", 1e9}, {"kib", 0x1p10}, {"mib", 0x1p20}, {"gib", 0x1p30}};
    double n = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
    std::string unit = base::lower(std::string_view(end, size_t(text.data() + text.size() - end)));
    unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
    const auto* const known = std::ranges::find(units, unit, &std::pair<std::string_view, double>::first);
    const double bytes = problem == std::errc() && known != std::end(units) ? n * known->second : 0;
    if (!(bytes >= 1 && bytes < 0x1p63)) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no size", text),
                     {"", "--target-size", {}},
                     "Say it like 4.2GB, 300MB or 1.5GiB"};
    }
    return uint64_t(bytes);
}

Result<std::vector<Type>> allowed_types(const gguf::WeightSource& source, const TargetFlags& flags) {
    std::vector<Type> types;
    for (const std::string& name : flags.types) {
        WALLABY_TRY(const Type type, weight_type("--types", name));
        types.push_back(type);
    }
    if (!types.empty()) { return types; }
    types.assign(std::begin(usual_types), std::end(usual_types));
    for (const gguf::Tensor& tensor : source.tensors()) {  // nor need a tensor change
        if (std::ranges::find(types, tensor.type) == types.end()) { types.push_back(tensor.type); }
    }
    return types;
}

// The smallest type that each tensor may get.
std::vector<Type> smallest_types(const gguf::WeightSource& source, std::span<const Type> allowed, bool requantize) {
    std::vector<Type> types;
    for (const gguf::Tensor& tensor : source.tensors()) {
        Type best = tensor.type;
        for (const Type type : convert::possible_types(tensor, requantize)) {
            if (std::ranges::find(allowed, type) == allowed.end()) { continue; }
            if (convert::bytes_as(tensor, type) < convert::bytes_as(tensor, best)) { best = type; }
        }
        types.push_back(best);
    }
    return types;
}

// The type that most weights of a file have: what general.file_type can say of it.
Type main_type_of(const gguf::WeightSource& source, std::span<const Type> types) {
    std::vector<std::pair<Type, uint64_t>> counts;
    for (size_t i = 0; i < types.size(); i++) {
        auto at = std::ranges::find(counts, types[i], &std::pair<Type, uint64_t>::first);
        if (at == counts.end()) { at = counts.insert(at, {types[i], 0}); }
        at->second += source.tensors()[i].n_elements();
    }
    return std::ranges::max_element(counts, {}, &std::pair<Type, uint64_t>::second)->first;
}

class Target {
  public:
    Target(const gguf::WeightSource& source, const TargetFlags& flags, const convert::QuantizeOptions& options,
           const std::string& out, threads::Pool& pool, const std::stop_token& stop)
        : source_(source), flags_(flags), options_(options), out_(out), pool_(pool), stop_(stop) {}

    Result<TargetPlan> find() {
        WALLABY_TRY(const std::vector<Type> allowed, allowed_types(source_, flags_));
        const std::vector<Type> smallest = smallest_types(source_, allowed, options_.allow_requantize);
        WALLABY_TRY(const convert::QuantizePlan plan, plan_of(smallest));
        WALLABY_OK(convert::check_importance(source_, plan, options_.imatrix));
        std::vector<std::vector<convert::TypeChoice>> choices;
        {
            ProgressBar bar("trying types");
            const auto progress = [&](uint64_t done, uint64_t total) { bar(done, total); };
            WALLABY_TRY(choices, convert::type_choices(source_, plan, allowed, pool_, progress, stop_));
        }
        const bool is_measured = weigh(choices);
        const convert::Frontier frontier(choices);
        WALLABY_TRY(const convert::Allocation found,
                    flags_.max_kld != 0 ? within_loss(frontier) : within_bytes(frontier, plan));
        TargetPlan result;
        WALLABY_TRY(result.plan, plan_of(found.types));
        if (!is_measured) {
            result.remarks +=
                "every matrix counts alike: an importance matrix made with --sensitivity tells them apart\n";
        }
        if (flags_.max_kld != 0) {
            result.remarks += fmt::format("KL divergence {:.6f} on {}\n", last_kld_, flags_.text_file);
        }
        return result;
    }

  private:
    Result<convert::QuantizePlan> plan_of(const std::vector<Type>& types) const {
        const auto file_type = convert::file_type_of(main_type_of(source_, types));
        return convert::plan_types(source_, types, {options_.allow_requantize, options_.imatrix, file_type}, out_);
    }

    // Losses by how much each tensor's error was found to count; false where that was not measured.
    bool weigh(std::vector<std::vector<convert::TypeChoice>>& choices) const {
        if (options_.imatrix == nullptr || options_.imatrix->sensitivities.empty()) { return false; }
        for (size_t t = 0; t < choices.size(); t++) {
            const double s = options_.imatrix->sensitivity_of(source_.tensors()[t].name);
            for (convert::TypeChoice& choice : choices[t]) { choice.loss *= s; }
        }
        return true;
    }

    Result<convert::Allocation> within_bytes(const convert::Frontier& frontier,
                                             const convert::QuantizePlan& plan) const {
        uint64_t n_tensor_bytes = 0, n_weights = 0;
        for (const gguf::Tensor& tensor : plan.layout.tensors) {
            n_tensor_bytes += tensor.n_bytes;
            n_weights += tensor.n_elements();
        }
        const uint64_t padding = plan.layout.alignment * plan.layout.tensors.size();
        const uint64_t besides = plan.layout.file_bytes - n_tensor_bytes + padding;
        uint64_t n_bytes = uint64_t(flags_.bits / 8 * double(n_weights));
        if (!flags_.size.empty()) {
            WALLABY_TRY(const uint64_t n_file_bytes, bytes_of(flags_.size));
            n_bytes = n_file_bytes > besides ? n_file_bytes - besides : 0;
        }
        const std::optional<convert::Allocation> found = frontier.within_bytes(n_bytes);
        if (found) { return *found; }
        const uint64_t least = frontier.smallest().n_bytes;
        return Error{ErrorCode::argument,
                     fmt::format("asks for less than the smallest file of these types, {:.2f} MB with {:.3f} bits per "
                                 "weight",
                                 double(least + besides) / 1e6, 8 * double(least) / double(n_weights)),
                     {"", flags_.size.empty() ? "--target-bpw" : "--target-size", {}},
                     "Ask for more, or allow smaller --types"};
    }

    Result<convert::Allocation> within_loss(const convert::Frontier& frontier) {
        WALLABY_TRY(const std::string text, evaluated_text(flags_.text_file));
        const engine::Resources resources{pool_, {}, {}, stop_};
        WALLABY_TRY(const eval::QuantizationLoss loss,
                    eval::QuantizationLoss::create(source_, {text, flags_.chunk_size, flags_.n_chunks}, {}, resources));
        StatusLine status;
        size_t n_done = 0;
        const auto measure = [&](const convert::Allocation& at) -> Result<double> {
            WALLABY_TRY(const convert::QuantizePlan plan, plan_of(at.types));
            WALLABY_TRY(const double kld, loss.measure(plan));
            n_done++;
            status.show(n_done, std::max<size_t>(n_done, usual_measurements),
                        fmt::format("{:.1f} MB has a KL divergence of {:.6f}", double(at.n_bytes) / 1e6, kld));
            if (kld <= flags_.max_kld) { last_kld_ = kld; }
            return kld;
        };
        WALLABY_TRY(const auto found, convert::smallest_within(frontier, flags_.max_kld, measure));
        if (found) { return *found; }
        return Error{ErrorCode::argument,
                     fmt::format("is {}, which no choice of these types reaches", flags_.max_kld),
                     {"", "--max-kld", {}},
                     "Ask for less, or allow larger --types"};
    }

    static constexpr size_t usual_measurements = 6;
    const gguf::WeightSource& source_;
    const TargetFlags& flags_;
    const convert::QuantizeOptions& options_;
    const std::string& out_;
    threads::Pool& pool_;
    const std::stop_token& stop_;
    double last_kld_ = 0;  // of the allocation that was found last to lose little enough: the smallest of them
};

}  // namespace

void add_target(CLI::App& app, TargetFlags& flags, CLI::Option* type) {
    CLI::Option* size =
        app.add_option("--target-size", flags.size,
                       "in the place of TYPE: types by tensor, so that a file of this size (4.2GB) loses least")
            ->type_name("SIZE")
            ->excludes(type);
    CLI::Option* bits = app.add_option("--target-bpw", flags.bits, "the same by bits per weight, of all tensors")
                            ->type_name("X")
                            ->check(CLI::Range(0.1, 64.0))
                            ->excludes(type)
                            ->excludes(size);
    CLI::Option* text =
        app.add_option("-f,--file", flags.text_file, "the text that --max-kld measures on")->type_name("FILE");
    app.add_option(
           "--max-kld", flags.max_kld,
           "in the place of TYPE: the smallest file whose mean KL divergence (nats) from IN on the text is at most X")
        ->type_name("X")
        ->check(CLI::Range(1e-9, 100.0))
        ->excludes(type)
        ->excludes(size)
        ->excludes(bits)
        ->needs(text);
    app.add_option("--chunks", flags.n_chunks, "chunks of that text")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app.add_option("-c,--ctx-size", flags.chunk_size, "tokens of a chunk")
        ->type_name("N")
        ->check(CLI::Range(int(eval::min_n_ctx), 1 << 30))
        ->capture_default_str();
    app.add_option("--types", flags.types, "with a target, the formats that tensors may get; all: Q2_K to Q8_0 and F16")
        ->type_name("TYPE,…")
        ->delimiter(',');
}

Result<TargetPlan> plan_target(const gguf::WeightSource& source, const TargetFlags& flags,
                               const convert::QuantizeOptions& options, const std::string& out, threads::Pool& pool,
                               const std::stop_token& stop) {
    return Target(source, flags, options, out, pool, stop).find();
}

}  // namespace wallaby::cli
