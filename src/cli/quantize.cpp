// wallaby quantize: a model file in another format or mix of formats.
#include "convert/quantize.h"

#include <cmath>

#include "base/system.h"
#include "cli/app.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/quantize_target.h"
#include "cli/writing.h"
#include "convert/adapted.h"
#include "convert/mixes.h"

namespace wallaby::cli {
namespace {

struct Flags {
    std::string in, out, type, imatrix;
    std::string output_type, embedding_type;
    std::vector<std::string> included, excluded;  // parts of names
    std::vector<std::string> rules;               // PATTERN=TYPE
    convert::QuantizeOptions options;
    TargetFlags target;
    LoraFlags lora;
    uint32_t n_threads = 0;
    bool dry_run = false, keep_split = false;
};

Result<std::optional<quant::Type>> type_of(const std::string& flag, const std::string& name) {
    if (name.empty()) { return std::optional<quant::Type>(); }
    WALLABY_TRY(const quant::Type type, weight_type(flag, name));
    return std::optional(type);
}

Result<convert::QuantizeOptions> options_of(const Flags& flags) {
    convert::QuantizeOptions options = flags.options;
    WALLABY_TRY(options.output, type_of("--output-tensor-type", flags.output_type));
    WALLABY_TRY(options.embedding, type_of("--token-embedding-type", flags.embedding_type));
    for (const std::string& rule : flags.rules) {
        const size_t sign = rule.rfind('=');
        if (sign == std::string::npos || sign + 1 == rule.size()) {
            return Error{ErrorCode::argument,
                         fmt::format("'{}' is not PATTERN=TYPE", rule),
                         {"", "--tensor-type", {}},
                         "For example --tensor-type 'attn_v=q8_0'"};
        }
        WALLABY_TRY(const auto type, type_of("--tensor-type", rule.substr(sign + 1)));
        options.rules.push_back({rule.substr(0, sign), *type});
    }
    return options;
}

// What --imatrix names, without what is left out.
Result<std::optional<convert::Imatrix>> read_imatrix(const Flags& flags) {
    if (flags.imatrix.empty()) { return std::optional<convert::Imatrix>(); }
    WALLABY_TRY(convert::Imatrix imatrix, convert::read_imatrix(flags.imatrix, 1));  // means do not depend on chunks
    if (!flags.included.empty()) { convert::select(imatrix, flags.included, true); }
    if (!flags.excluded.empty()) { convert::select(imatrix, flags.excluded, false); }
    return std::optional(std::move(imatrix));
}

// What flags name beside the model is not written over either.
Result<void> check_named(const Flags& flags) {
    WALLABY_OK(check_differs(flags.imatrix, flags.out));
    WALLABY_OK(check_differs(flags.target.text_file, flags.out));
    WALLABY_TRY(const std::vector<LoraChoice> adapters, flags.lora.choices());
    for (const LoraChoice& adapter : adapters) { WALLABY_OK(check_differs(adapter.path, flags.out)); }
    return {};
}

std::string said_unweighted(const convert::QuantizePlan& plan) {
    if (plan.n_unweighted == 0) { return ""; }
    return fmt::format("{} matrices are not in the importance matrix: all their errors count alike\n",
                       plan.n_unweighted);
}

void warn_of_loss(const convert::QuantizePlan& plan) {
    if (plan.n_wanting_importance == 0) { return; }
    say(fmt::format("warning: {} matrices get so few bits that the loss is much larger without an importance matrix",
                    plan.n_wanting_importance));
}

std::string table(const std::vector<convert::QuantizedType>& types) {
    std::string text;
    for (const convert::QuantizedType& t : types) {
        text += fmt::format("  {:<7} {:5} tensors {:11.1f} MB", quant::format_of(t.type).name, t.n_tensors,
                            double(t.n_bytes) / 1e6);
        if (t.size_squared > 0) {
            text += fmt::format("  relative error {:.5f}", std::sqrt(t.error_squared / t.size_squared));
        }
        text += '\n';
    }
    return text;
}

std::string summary(const gguf::WeightSource& source, const convert::QuantizePlan& plan, const std::string& out) {
    double n_weights = 0, bytes_before = 0, bytes_after = 0;
    for (size_t i = 0; i < plan.layout.tensors.size(); i++) {
        n_weights += double(source.tensors()[i].n_elements());
        bytes_before += double(source.tensors()[i].n_bytes);
        bytes_after += double(plan.layout.tensors[i].n_bytes);
    }
    return fmt::format("{}: {:.1f} MB, {:.2f} bits per weight (from {:.2f})", out, double(plan.layout.file_bytes) / 1e6,
                       8 * bytes_after / n_weights, 8 * bytes_before / n_weights);
}

Result<TargetPlan> plan_of(const Flags& flags, const gguf::WeightSource& source,
                           const convert::QuantizeOptions& options, threads::Pool& pool, const std::stop_token& stop) {
    if (flags.target.is_set()) { return plan_target(source, flags.target, options, flags.out, pool, stop); }
    auto planned = convert::plan_quantize(source, flags.type, options, flags.out);
    if (!planned.ok()) {
        blame(planned.error(), "TYPE");
        return std::move(planned).error();
    }
    return TargetPlan{*std::move(planned), ""};
}

Result<std::vector<gguf::ScaledAdapter>> open_adapters(const LoraFlags& flags, const gguf::WeightSource& source) {
    WALLABY_TRY(const std::vector<LoraChoice> choices, flags.choices());
    std::vector<gguf::ScaledAdapter> out;
    for (const auto& [path, scale] : choices) {
        WALLABY_TRY(std::unique_ptr<gguf::Adapter> adapter, gguf::Adapter::open(path, source));
        out.push_back({std::move(adapter), scale});
    }
    return out;
}

Result<std::string> quantize(const Flags& flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_OK(check_named(flags));
    WALLABY_TRY(std::shared_ptr<const gguf::WeightSource> source, open_named(flags.in));
    WALLABY_TRY(convert::QuantizeOptions options, options_of(flags));
    WALLABY_TRY(auto adapters, open_adapters(flags.lora, *source));
    if (!adapters.empty()) {
        options.own_types = convert::tensor_types(source->tensors());
        source = std::make_shared<convert::AdaptedSource>(std::move(source), std::move(adapters));
    }
    WALLABY_TRY(const std::optional<convert::Imatrix> imatrix, read_imatrix(flags));
    if (imatrix) { options.imatrix = &*imatrix; }
    threads::Pool pool(flags.n_threads);
    WALLABY_TRY(const TargetPlan planned, plan_of(flags, *source, options, pool, stop));
    const convert::QuantizePlan& plan = planned.plan;
    const std::string remarks = said_replaced(plan.n_replaced) + said_unweighted(plan) + planned.remarks;
    warn_of_loss(plan);
    if (flags.dry_run) {
        return summary(*source, plan, flags.out) + ", not written\n" + table(convert::types_of(plan)) + remarks;
    }
    WALLABY_TRY(gguf::SetWriter writer, writer_like(*source, plan.draft, flags.out, flags.keep_split));
    const double started = base::monotonic_seconds();
    std::vector<convert::QuantizedType> types;
    {
        ProgressBar bar("quantizing");
        const auto progress = [&](uint64_t done, uint64_t total) { bar(done, total); };
        WALLABY_TRY(types, convert::quantize(*source, plan, std::move(writer), pool, progress, stop));
    }
    return summary(*source, plan, flags.out) + fmt::format(", {:.2f} s\n", base::monotonic_seconds() - started) +
           table(types) + remarks;
}

}  // namespace

std::function<int()> define_quantize(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    app.add_option("in", flags->in, "model file (GGUF; the first of a split one), or joey")
        ->type_name("IN")
        ->required();
    app.add_option("out", flags->out, "file to write")->type_name("OUT")->required();
    CLI::Option* type = app.add_option("type", flags->type,
                                       fmt::format("what llama.cpp's quantiser means by it: {}",
                                                   fmt::join(convert::quantize_names(), " ")))
                            ->type_name("TYPE");
    add_target(app, flags->target, type);
    app.add_flag("--pure", flags->options.pure,
                 "every matrix gets the format that TYPE is named after, or that most of the mix's have");
    app.add_option("--tensor-type", flags->rules,
                   "matrices in whose names PATTERN (a regular expression) is found become TYPE; may be given several "
                   "times, the first that fits counts")
        ->type_name("PATTERN=TYPE")
        ->expected(1)
        ->take_all();
    app.add_option("--output-tensor-type", flags->output_type, "type of output.weight")->type_name("TYPE");
    app.add_option("--token-embedding-type", flags->embedding_type, "type of the token embedding")->type_name("TYPE");
    app.add_flag("--leave-output-tensor", flags->options.leave_output, "output.weight stays as it is");
    app.add_flag("--keep-split", flags->keep_split,
                 "write as many files as are read, OUT-00001-of-0000N.gguf and so on, none of which may be there");
    app.add_flag("--allow-requantize", flags->options.allow_requantize,
                 "take files that are quantised already, at a loss");
    CLI::Option* imatrix = app.add_option("--imatrix", flags->imatrix,
                                          "importance matrix that weighs errors (wallaby imatrix; GGUF or .dat)")
                               ->type_name("FILE");
    const auto add_words = [&](const std::string& name, std::vector<std::string>& words, const std::string& what) {
        return app.add_option(name, words, "of it, use " + what + " this part; may be given several times")
            ->type_name("PART")
            ->expected(1)
            ->take_all()
            ->needs(imatrix);
    };
    CLI::Option* include = add_words("--include-weights", flags->included, "tensors alone whose names have");
    add_words("--exclude-weights", flags->excluded, "no tensors whose names have")->excludes(include);
    flags->lora.add(app, "merged into its matrices");
    app.add_flag("--dry-run", flags->dry_run, "say what the file would hold, and write nothing");
    add_threads(app, flags->n_threads);
    return [flags] {
        if (flags->type.empty() && !flags->target.is_set()) {
            return report({ErrorCode::argument,
                           "is not given",
                           {"", "TYPE", {}},
                           "Name a type like Q4_K_M, or use --target-size, --target-bpw or --max-kld"});
        }
        const Result<std::string> text = quantize(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(*text) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
