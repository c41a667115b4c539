// wallaby imatrix: which columns of a model's matrices a text's activations fall on. Chunks, files and flags are
// llama-imatrix's.
#include "convert/imatrix.h"

#include <algorithm>

#include "cli/evaluation.h"
#include "cli/interrupt.h"
#include "cli/writing.h"
#include "convert/imatrix_statistics.h"
#include "convert/quantize_plan.h"
#include "eval/imatrix.h"
#include "eval/sensitivity.h"

namespace wallaby::cli {
namespace {

struct Flags {
    ModelFlags model;
    std::string text_file, out = "imatrix.gguf", format = "gguf";
    std::vector<std::string> in_files;
    int64_t n_chunks = -1;
    uint32_t output_frequency = 10, save_frequency = 0;  // in chunks; 0: never
    uint32_t n_sensitivity_chunks = 4;
    bool process_output = false, no_ppl = false, show_statistics = false, sensitivity = false;
};

Result<void> save(const Flags& flags, const convert::Imatrix& imatrix, const std::string& path) {
    return convert::write_imatrix(
        imatrix, flags.format == "dat" ? convert::ImatrixFormat::dat : convert::ImatrixFormat::gguf, path);
}

Result<convert::Imatrix> sum_of_files(const Flags& flags) {
    convert::Imatrix sum;
    for (const std::string& path : flags.in_files) {
        WALLABY_TRY(const convert::Imatrix imatrix,
                    convert::read_imatrix(path, flags.model.n_ctx == 0 ? default_chunk_size : flags.model.n_ctx));
        WALLABY_OK(convert::add(sum, imatrix));
    }
    return sum;
}

// A place where nothing can be written, or should not be, shows before the work is done. One of --in-file may be it.
Result<void> check_out(const Flags& flags) {
    WALLABY_OK(check_differs(flags.model.model.value_or(""), flags.out));
    WALLABY_OK(check_differs(flags.text_file, flags.out));
    WALLABY_TRY([[maybe_unused]] const base::AtomicFile file, base::AtomicFile::create(flags.out));
    return {};
}

std::string summary(const convert::Imatrix& imatrix, const std::string& out) {
    uint64_t n_experts = 0, n_unread = 0;
    for (const convert::InputSums& t : imatrix.tensors) {
        if (t.counts.size() > 1) { n_experts += t.counts.size(); }
        n_unread += uint64_t(std::ranges::count(t.counts, 0u));
    }
    std::string text = fmt::format("{}: {} tensors, {} chunks of {} tokens\n", out, imatrix.tensors.size(),
                                   imatrix.n_chunks, imatrix.chunk_size);
    if (n_unread != 0) {
        text += fmt::format("{} of {} matrices of experts were never used, and weigh all errors alike\n", n_unread,
                            n_experts);
    }
    return text;
}

std::string statistics(const convert::Imatrix& imatrix) {
    size_t width = 6;
    for (const convert::InputSums& t : imatrix.tensors) { width = std::max(width, t.name.size()); }
    std::string text = fmt::format("{:<{}} {:>12} {:>11} {:>11} {:>11} {:>11} {:>8} {:>8} {:>7} {:>7}\n", "tensor",
                                   width, "sum E[x²]", "min", "max", "mean", "σ", "N", "H norm", "ZD", "CosSim");
    for (const convert::ImportanceStatistics& s : convert::statistics_of(imatrix)) {
        text += fmt::format("{:<{}} {:12.4f} {:11.4f} {:11.4f} {:11.4f} {:11.4f} {:8} {:7.2f}% {:6.2f}% {:>7}\n",
                            s.name, width, s.sum, s.min, s.max, s.mean, s.deviation, s.n, 100 * s.entropy, 100 * s.far,
                            s.cosine ? fmt::format("{:.4f}", *s.cosine) : "-");
    }
    return text;
}

// Reads the text and adds what it gives to `imatrix`, with the perplexity as text.
Result<std::string> collect(Flags flags, convert::Imatrix& imatrix) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    if (flags.model.n_ctx == 0) { flags.model.n_ctx = default_chunk_size; }
    WALLABY_OK(check_out(flags));
    WALLABY_TRY(const Loaded loaded, load(flags.model, 0, stop));
    WALLABY_TRY(const std::string read, evaluated_text(flags.text_file));
    WALLABY_TRY(const eval::Chunks chunks, chunks_of(*loaded.model, read, flags.text_file, flags.n_chunks));
    if (std::ranges::find(imatrix.datasets, flags.text_file) == imatrix.datasets.end()) {
        imatrix.datasets.push_back(flags.text_file);
    }
    StatusLine status;
    std::string text;
    eval::Estimate last;
    size_t n_read = 0;
    const auto progress = [&](size_t n_done, size_t n_total, const eval::Estimate& ppl) -> Result<void> {
        n_read = n_done;
        last = ppl;
        if (!flags.no_ppl) { text += fmt::format("[{}]{:.4f},", n_done, ppl.value); }
        status.show(n_done, n_total,
                    flags.no_ppl ? "chunks" : fmt::format("PPL = {:.4f} +/- {:.5f}", ppl.value, ppl.error));
        if (flags.save_frequency != 0 && n_done % flags.save_frequency == 0) {
            WALLABY_OK(save(flags, imatrix, fmt::format("{}.at_{}", flags.out, n_done)));
        }
        const bool is_turn = flags.output_frequency != 0 && n_done % flags.output_frequency == 0;
        return is_turn && n_done != n_total ? save(flags, imatrix, flags.out) : Result<void>();
    };
    auto collected =
        eval::collect_imatrix(loaded.model, chunks, {flags.process_output, !flags.no_ppl}, imatrix, progress, stop);
    if (!collected.ok()) {
        if (collected.error().code == ErrorCode::cancelled && n_read != 0) {
            WALLABY_OK(save(flags, imatrix, flags.out));
            say(fmt::format("{} has what {} of {} chunks gave", flags.out, n_read, chunks.n_chunks()));
        }
        return std::move(collected).error();
    }
    if (flags.no_ppl) { return text; }
    return fmt::format("{}\nFinal estimate: PPL = {:.4f} +/- {:.5f}\n", text, last.value, last.error);
}

// How much each matrix counts: adds it to `imatrix`.
Result<void> find_sensitivities(const Flags& flags, convert::Imatrix& imatrix) {
    // Coarse enough to tell matrices apart, and fine enough that errors of one do not change what others do.
    constexpr std::string_view coarse_type = "Q3_K";
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const std::string text, evaluated_text(flags.text_file));
    WALLABY_TRY(const auto source, open_model(flags.model));
    threads::Pool pool(flags.model.n_threads);
    const engine::Resources resources{pool, {}, {}, stop};
    const uint32_t n_ctx = flags.model.n_ctx == 0 ? default_chunk_size : flags.model.n_ctx;
    engine::LoadOptions options;
    options.backend = flags.model.backend_choice();
    WALLABY_TRY(const auto loss,
                eval::QuantizationLoss::create(*source, {text, n_ctx, flags.n_sensitivity_chunks}, options, resources));
    const convert::TypesOptions types{.allow_requantize = true, .imatrix = &imatrix};
    WALLABY_TRY(const auto coarse,
                convert::plan_quantize(*source, coarse_type,
                                       {.pure = true, .allow_requantize = true, .imatrix = &imatrix}, ""));
    StatusLine status;
    const auto progress = [&](size_t n_done, size_t n_total, std::string_view group, double kld) {
        status.show(n_done, n_total, fmt::format("{} in {}: KL divergence {:.6f}", group, coarse_type, kld));
    };
    WALLABY_TRY(const std::vector<double> found,
                eval::measure_sensitivities(*source, coarse, types, loss, resources, progress));
    imatrix.sensitivities.clear();
    for (size_t i = 0; i < found.size(); i++) {
        if (found[i] != 0) { imatrix.sensitivities.push_back({source->tensors()[i].name, found[i]}); }
    }
    std::ranges::sort(imatrix.sensitivities, {}, &convert::Sensitivity::name);
    return {};
}

Result<std::string> imatrix(const Flags& flags) {
    if (flags.text_file.empty() && flags.in_files.empty()) {
        return Error{ErrorCode::argument,
                     "neither is given",
                     {"", "-f, --in-file", {}},
                     "Name a text to read, or importance matrices to add up"};
    }
    WALLABY_TRY(convert::Imatrix imatrix, sum_of_files(flags));
    std::string text;
    if (!flags.text_file.empty()) { WALLABY_TRY(text, collect(flags, imatrix)); }
    if (flags.show_statistics && flags.text_file.empty()) { return statistics(imatrix); }
    if (flags.sensitivity) { WALLABY_OK(find_sensitivities(flags, imatrix)); }
    WALLABY_OK(save(flags, imatrix, flags.out));
    return text + summary(imatrix, flags.out) + (flags.show_statistics ? statistics(imatrix) : "");
}

}  // namespace

std::function<int()> define_imatrix(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    app.footer(
        "Then: wallaby quantize --imatrix imatrix.gguf IN OUT TYPE. Without -f the files of --in-file are added up, or "
        "with --show-statistics looked at.");
    flags->model.add_model(app);
    app.add_option("-f,--file", flags->text_file, "the text; a newline at its end is left out")->type_name("FILE");
    app.add_option("-o,--output-file", flags->out, "file to write")->type_name("FILE")->capture_default_str();
    app.add_option("--output-format", flags->format, "gguf, or dat: llama.cpp's older one")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"gguf", "dat"}))
        ->capture_default_str();
    app.add_option("--in-file", flags->in_files, "importance matrix to add to, in either format; several times: all")
        ->type_name("FILE")
        ->expected(1)
        ->take_all();
    add_chunks(app, flags->n_chunks);
    app.add_flag("--process-output", flags->process_output, "collect for the output matrix too");
    app.add_flag("--no-ppl", flags->no_ppl, "do not compute the perplexity");
    app.add_flag("--sensitivity", flags->sensitivity,
                 "measure how much each matrix counts, for quantize --target-size: an evaluation by kind and by layer")
        ->needs(app.get_option("--file"));
    app.add_option("--sensitivity-chunks", flags->n_sensitivity_chunks, "chunks of the text for that")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app.add_flag("--show-statistics", flags->show_statistics, "print how the activations of each tensor are spread");
    app.add_option("--output-frequency", flags->output_frequency,
                   "write the file anew after so many chunks; 0: at the end alone")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--save-frequency", flags->save_frequency, "keep a copy after so many chunks, OUT.at_N; 0: never")
        ->type_name("N")
        ->capture_default_str();
    add_threads(app, flags->model.n_threads);
    flags->model.add_context(app);
    app.get_option("--ctx-size")->description("tokens of a chunk; 0: 512");
    return [flags] {
        const Result<std::string> text = imatrix(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(*text) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
