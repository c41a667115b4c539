// wallaby quantize: a model file in another format or mix of formats.
#include "convert/quantize.h"

#include <cmath>
#include <filesystem>

#include "assets/joey.h"
#include "base/system.h"
#include "cli/app.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"

namespace wallaby::cli {
namespace {

struct Flags {
    std::string in, out, type;
    convert::QuantizeOptions options;
    uint32_t n_threads = 0;
    bool dry_run = false;
};

// The file that is read cannot be the one that is written: what it held would be lost for good.
Result<void> check_out(const gguf::WeightSource& source, const std::string& out) {
    for (const gguf::Tensor& tensor : source.tensors()) {
        std::error_code ignored;
        if (std::filesystem::equivalent(source.file_of(tensor), out, ignored)) {
            return Error{ErrorCode::argument, "is the file that is read", {out, "OUT", {}}, "Write to another file"};
        }
    }
    return {};
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

Result<std::string> quantize(const Flags& flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const auto source, assets::open_named(flags.in));
    auto planned = convert::plan_quantize(*source, flags.type, flags.options, flags.out);
    if (!planned.ok()) {
        blame(planned.error(), "TYPE");
        return planned.error();
    }
    const convert::QuantizePlan& plan = *planned;
    WALLABY_OK(check_out(*source, flags.out));
    const std::string replaced = said_replaced(plan.n_replaced);
    if (flags.dry_run) {
        return summary(*source, plan, flags.out) + ", not written\n" + table(convert::types_of(plan)) + replaced;
    }
    WALLABY_TRY(gguf::Writer writer, gguf::Writer::create(flags.out, plan.draft));
    threads::Pool pool(flags.n_threads);
    const double started = base::monotonic_seconds();
    std::vector<convert::QuantizedType> types;
    {
        ProgressBar bar("quantizing");
        const auto progress = [&](uint64_t done, uint64_t total) { bar(done, total); };
        WALLABY_TRY(types, convert::quantize(*source, plan, std::move(writer), pool, progress, stop));
    }
    return summary(*source, plan, flags.out) + fmt::format(", {:.2f} s\n", base::monotonic_seconds() - started) +
           table(types) + replaced;
}

}  // namespace

std::function<int()> define_quantize(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    app.add_option("in", flags->in, "model file (GGUF; the first of a split one), or joey")
        ->type_name("IN")
        ->required();
    app.add_option("out", flags->out, "file to write")->type_name("OUT")->required();
    app.add_option("type", flags->type,
                   fmt::format("weight format or mix: {}", fmt::join(convert::quantize_names(), " ")))
        ->type_name("TYPE")
        ->required();
    app.add_flag("--pure", flags->options.pure, "a mix gives every matrix the format of most of its matrices");
    app.add_flag("--allow-requantize", flags->options.allow_requantize,
                 "take files that are quantised already, at a loss");
    app.add_flag("--dry-run", flags->dry_run, "say what the file would hold, and write nothing");
    add_threads(app, flags->n_threads);
    return [flags] {
        const Result<std::string> text = quantize(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(*text) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
