// wallaby eval: how well a model predicts a text (perplexity), and how far it lies from another (kl). Numbers, names
// and chunking are llama-perplexity's, so that results compare.
#include "cli/eval.h"

#include "cli/interrupt.h"
#include "cli/writing.h"
#include "eval/divergence.h"
#include "eval/perplexity.h"

namespace wallaby::cli {

using Json = nlohmann::ordered_json;
using eval::Estimate;

std::string dump(const Json& object) {
    return Json::array({object}).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json json_of(const Estimate& x) { return {{"value", x.value}, {"error", x.error}}; }

namespace {

// --- Perplexity, and the logits of a base model

std::string perplexity_text(const eval::Perplexity& p) {
    std::string out;
    for (size_t i = 0; i < p.running.size(); i++) { out += fmt::format("[{}]{:.4f},", i + 1, p.running[i].value); }
    return fmt::format("{}\nFinal estimate: PPL = {:.4f} +/- {:.5f}\n", out, p.ppl.value, p.ppl.error);
}

std::string perplexity_json(const EvalFlags& flags, const engine::Model& model, const eval::Chunks& chunks,
                            const eval::Perplexity& p) {
    Json running = Json::array();
    for (const Estimate& ppl : p.running) { running.push_back(json_of(ppl)); }
    return dump({{"model", model.name()},
                 {"text", flags.text_file},
                 {"n_ctx", chunks.n_ctx},
                 {"stride", flags.stride},
                 {"n_chunks", chunks.n_chunks()},
                 {"n_scored", p.n_scored},
                 {"ppl", json_of(p.ppl)},
                 {"nll", json_of(p.nll)},
                 {"running", std::move(running)}});
}

Result<std::string> perplexity(EvalFlags flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    if (flags.model.n_ctx == 0) { flags.model.n_ctx = default_chunk_size; }
    WALLABY_TRY(flags.model.n_ctx, eval::n_ctx_with_stride(flags.model.n_ctx, flags.stride));
    WALLABY_OK(check_differs(flags.model.model.value_or(""), flags.save_base));
    WALLABY_OK(check_differs(flags.text_file, flags.save_base));
    WALLABY_TRY(const Loaded loaded, load(flags.model, 0, stop));
    const engine::Model& model = *loaded.model;
    WALLABY_TRY(const std::string text, evaluated_text(flags.text_file));
    WALLABY_TRY(const eval::Chunks chunks, chunks_of(model, text, flags.text_file, flags.n_chunks, flags.stride));
    WALLABY_TRY(auto state, open_state(flags, "perplexity", model,
                                       {{"text", hex_digest(text)},
                                        {"context", fmt::format("{}", chunks.n_ctx)},
                                        {"stride", fmt::format("{}", flags.stride)},
                                        {"chunks", fmt::format("{}", chunks.n_chunks())}}));
    std::optional<eval::BaseWriter> writer;
    if (!flags.save_base.empty()) {
        WALLABY_TRY(const text::Tokenizer* tokenizer, model.tokenizer());
        WALLABY_TRY(eval::BaseWriter created, eval::BaseWriter::create(flags.save_base, chunks, model.n_vocab(),
                                                                       eval::vocabulary_digest(*tokenizer)));
        writer.emplace(std::move(created));
        log(flags.model, base::LogLevel::info,
            fmt::format("{}: {} MiB of logits", flags.save_base,
                        eval::BaseWriter::file_bytes(chunks, model.n_vocab()) >> 20));
    }
    WALLABY_TRY(const auto session, engine::Session::create(loaded.model, {.adapters = loaded.adapters}));
    StatusLine status;
    const auto progress = [&](size_t n_done, size_t n_total, const Estimate& ppl) {
        status.show(n_done, n_total, fmt::format("PPL = {:.4f} +/- {:.5f}", ppl.value, ppl.error));
    };
    auto result =
        eval::perplexity(*session, chunks, writer ? &*writer : nullptr, progress, stop, state ? &*state : nullptr);
    if (!result.ok()) {
        say_kept(state);
        return result.error();
    }
    if (writer) { WALLABY_OK(writer->commit()); }
    return flags.output == "json" ? perplexity_json(flags, model, chunks, *result) : perplexity_text(*result);
}

// --- Divergence

std::string percent(const Estimate& x) { return fmt::format("{:6.3f} ± {:5.3f} %", 100 * x.value, 100 * x.error); }

std::string divergence_text(const eval::Divergence& d) {
    std::string out = "====== Perplexity statistics ======\n";
    const auto line = [&](std::string_view name, const Estimate& x) {
        out += fmt::format("{:<30}: {:10.6f} ± {:10.6f}\n", name, x.value, x.error);
    };
    line("Mean PPL(Q)", d.ppl);
    line("Mean PPL(base)", d.ppl_base);
    out += fmt::format("Cor(ln(PPL(Q)), ln(PPL(base))): {:6.2f}%\n", 100 * d.correlation);
    line("Mean ln(PPL(Q)/PPL(base))", d.log_ratio);
    line("Mean PPL(Q)/PPL(base)", d.ratio);
    line("Mean PPL(Q)-PPL(base)", d.difference);

    out += "\n====== KL divergence statistics ======\n";
    out +=
        fmt::format("Mean    KLD: {:10.6f} ± {:10.6f}\nMaximum KLD: {:10.6f}\n", d.kld.value, d.kld.error, d.kld_max);
    const auto kld_percentile = [&](const eval::Percentile& p) {
        out += fmt::format("{:4.1f}%   KLD: {:10.6f}\n", 100 * p.fraction, p.value);
    };
    const auto split = [](const std::vector<eval::Percentile>& all) {
        return std::find_if(all.begin(), all.end(), [](const eval::Percentile& p) { return p.fraction < 0.5; });
    };
    std::for_each(d.kld_percentiles.begin(), split(d.kld_percentiles), kld_percentile);
    out += fmt::format("Median  KLD: {:10.6f}\n", d.kld_median);
    std::for_each(split(d.kld_percentiles), d.kld_percentiles.end(), kld_percentile);
    out += fmt::format("Minimum KLD: {:10.6f}\n", d.kld_min);

    out += "\n====== Token probability statistics ======\n";
    out += fmt::format("Mean    Δp: {}\nMaximum Δp: {:6.3f}%\n", percent(d.dp), 100 * d.dp_max);
    const auto dp_percentile = [&](const eval::Percentile& p) {
        out += fmt::format("{:4.1f}%   Δp: {:6.3f}%\n", 100 * p.fraction, 100 * p.value);
    };
    std::for_each(d.dp_percentiles.begin(), split(d.dp_percentiles), dp_percentile);
    out += fmt::format("Median  Δp: {:6.3f}%\n", 100 * d.dp_median);
    std::for_each(split(d.dp_percentiles), d.dp_percentiles.end(), dp_percentile);
    out += fmt::format("Minimum Δp: {:6.3f}%\nRMS Δp    : {}\nSame top p: {}\n", 100 * d.dp_min, percent(d.dp_rms),
                       percent(d.same_top));
    return out;
}

Json percentiles_json(const std::vector<eval::Percentile>& percentiles) {
    Json out = Json::object();
    for (const eval::Percentile& p : percentiles) { out[fmt::format("{:g}", 100 * p.fraction)] = p.value; }
    return out;
}

std::string divergence_json(const EvalFlags& flags, const engine::Model& model, const eval::Chunks& chunks,
                            const eval::Divergence& d) {
    return dump({{"model", model.name()},
                 {"base", flags.base},
                 {"n_ctx", chunks.n_ctx},
                 {"n_chunks", chunks.n_chunks()},
                 {"n_scored", d.n_scored},
                 {"ppl", json_of(d.ppl)},
                 {"ppl_base", json_of(d.ppl_base)},
                 {"nll_correlation", d.correlation},
                 {"ln_ppl_ratio", json_of(d.log_ratio)},
                 {"ppl_ratio", json_of(d.ratio)},
                 {"ppl_difference", json_of(d.difference)},
                 {"kld",
                  {{"mean", json_of(d.kld)},
                   {"min", d.kld_min},
                   {"median", d.kld_median},
                   {"max", d.kld_max},
                   {"percentiles", percentiles_json(d.kld_percentiles)}}},
                 {"delta_p",
                  {{"mean", json_of(d.dp)},
                   {"rms", json_of(d.dp_rms)},
                   {"min", d.dp_min},
                   {"median", d.dp_median},
                   {"max", d.dp_max},
                   {"percentiles", percentiles_json(d.dp_percentiles)}}},
                 {"same_top", json_of(d.same_top)}});
}

Result<std::string> divergence(EvalFlags flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(auto source, base::open_file(flags.base));
    std::string digest;
    if (!flags.resume.empty()) { WALLABY_TRY(digest, hex_digest(*source)); }
    WALLABY_TRY(eval::BaseReader base, eval::BaseReader::open(std::move(source)));
    const uint32_t n_ctx = base.chunks().n_ctx;
    if (flags.model.n_ctx != 0 && flags.model.n_ctx != n_ctx) {
        return Error{ErrorCode::argument,
                     fmt::format("is {}, but the base logits are of chunks of {} tokens", flags.model.n_ctx, n_ctx),
                     {"", "-c", {}},
                     "Leave it out"};
    }
    if (flags.n_chunks != -1 && flags.text_file.empty()) {
        return Error{ErrorCode::argument,
                     "belongs to -f: all chunks of the base logits are compared",
                     {"", "--chunks", {}},
                     "Leave it out"};
    }
    flags.model.n_ctx = n_ctx;
    WALLABY_TRY(const Loaded loaded, load(flags.model, 0, stop));
    WALLABY_OK(eval::check_vocabulary(*loaded.model, base));
    if (!flags.text_file.empty()) {
        WALLABY_TRY(const std::string text, evaluated_text(flags.text_file));
        WALLABY_TRY(const eval::Chunks chunks,
                    chunks_of(*loaded.model, text, flags.text_file, flags.n_chunks, flags.stride));
        WALLABY_OK(eval::check_chunks(chunks, base));
    }
    WALLABY_TRY(auto state, open_state(flags, "kl", *loaded.model, {{"base", digest}}));
    WALLABY_TRY(const auto session, engine::Session::create(loaded.model, {.adapters = loaded.adapters}));
    StatusLine status;
    const auto progress = [&](size_t n_done, size_t n_total, const eval::DivergenceSum::Running& r) {
        status.show(n_done, n_total,
                    fmt::format("PPL = {:.4f}, KLD = {:.5f} ± {:.5f}, same top {:.2f} %", r.ppl.value, r.kld.value,
                                r.kld.error, 100 * r.same_top.value));
    };
    auto result = eval::divergence(*session, base, progress, stop, state ? &*state : nullptr);
    if (!result.ok()) {
        say_kept(state);
        return result.error();
    }
    return flags.output == "json" ? divergence_json(flags, *loaded.model, base.chunks(), *result)
                                  : divergence_text(*result);
}

// --- Flags

void add_flags(CLI::App& app, EvalFlags& flags) {
    flags.model.add_model(app);
    add_chunks(app, flags.n_chunks);
    add_eval_output(app, flags, {"text", "json"});
    add_eval_resume(app, flags);
    add_threads(app, flags.model.n_threads);
    flags.model.add_context(app);
    flags.model.add_lora(app);
}

void add_save_base(CLI::App& app, EvalFlags& flags, const std::string& names) {
    app.add_option(names, flags.save_base,
                   "also write the logits there, for eval kl --base (4 bytes × vocabulary a scored token)")
        ->type_name("FILE")
        ->excludes(app.get_option("--resume"));
}

EvalVerb add_perplexity(CLI::App& app) {
    auto flags = std::make_shared<EvalFlags>();
    CLI::App* sub = app.add_subcommand("perplexity", "perplexity of a text, cut and counted as llama-perplexity does");
    add_flags(*sub, *flags);
    sub->add_option("-f,--file", flags->text_file, "the text; a newline at its end is left out")
        ->type_name("FILE")
        ->required();
    add_save_base(*sub, *flags, "--save-base,--kl-divergence-base");
    sub->add_option(
           "--stride,--ppl-stride", flags->stride,
           "chunks begin N tokens apart, have N/2 tokens more, and their last N tokens are scored; 0: no overlap")
        ->type_name("N")
        ->check(CLI::Range(0, 1 << 30))
        ->capture_default_str()
        ->excludes(sub->get_option("--save-base"));
    sub->get_option("--ctx-size")->description("tokens of a chunk; 0: 512");
    return [sub, flags] { return sub->parsed() ? std::optional(perplexity(*flags)) : std::nullopt; };
}

Result<std::string> kl(const EvalFlags& flags) {
    if (!flags.base.empty()) { return divergence(flags); }
    if (!flags.save_base.empty()) { return perplexity(flags); }
    return Error{ErrorCode::argument,
                 "neither is given",
                 {"", "--base, --save-base", {}},
                 "Name the logits to compare with, or where those of the base model go"};
}

EvalVerb add_kl(CLI::App& app) {
    auto flags = std::make_shared<EvalFlags>();
    CLI::App* sub = app.add_subcommand("kl", "how far a model's predictions lie from those of a base model");
    sub->footer("First the base: eval kl -m BASE -f TEXT --save-base FILE; then others: eval kl -m MODEL --base FILE.");
    add_flags(*sub, *flags);
    CLI::Option* file = sub->add_option("-f,--file", flags->text_file,
                                        "the text; with --base: checks that the base logits are of that text")
                            ->type_name("FILE");
    CLI::Option* base =
        sub->add_option("--base,--kl-divergence-base", flags->base, "logits to compare with")->type_name("FILE");
    add_save_base(*sub, *flags, "--save-base");
    sub->get_option("--save-base")->needs(file)->excludes(base);
    sub->get_option("--ctx-size")->description("tokens of a chunk; 0: 512, or what the base logits have");
    return [sub, flags] { return sub->parsed() ? std::optional(kl(*flags)) : std::nullopt; };
}

int finish(const Result<std::string>& text) {
    if (!text.ok()) { return report(text.error()); }
    return print(*text) ? exit_ok : exit_failed;
}

}  // namespace

void add_eval_output(CLI::App& app, EvalFlags& flags, const std::vector<std::string>& formats) {
    app.add_option("-o,--output", flags.output, fmt::format("how results are printed: {}", fmt::join(formats, ", ")))
        ->type_name("FORMAT")
        ->check(CLI::IsMember(formats))
        ->capture_default_str();
}

std::function<int()> define_eval(CLI::App& app) {
    app.require_subcommand(0, 1);
    std::vector<EvalVerb> verbs{add_perplexity(app), add_kl(app)};
    for (EvalVerb& verb : add_tasks(app)) { verbs.push_back(std::move(verb)); }
    verbs.push_back(add_compare(app));
    for (CLI::App* sub : app.get_subcommands({})) { sub->excludes(app.get_option("--compare")); }
    return [verbs] {
        for (const EvalVerb& verb : verbs) {
            if (const auto text = verb()) { return finish(*text); }
        }
        return report(Error{ErrorCode::argument,
                            "nothing is asked for",
                            {"", "eval", {}},
                            "Name a subcommand of `wallaby eval --help`, or models after --compare"});
    };
}

}  // namespace wallaby::cli
