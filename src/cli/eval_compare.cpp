// wallaby eval --compare: size, speed and quality of several models side by side.
#include "cli/eval_compare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "bench/runner.h"
#include "cli/eval.h"
#include "cli/interrupt.h"
#include "eval/divergence.h"
#include "eval/perplexity.h"

namespace wallaby::cli {
namespace {

struct CompareFlags {
    EvalFlags eval;
    std::vector<std::string> models;
    bool no_speed = false;
};

// Logits for as long as they are needed, in a folder that only this user can enter.
class TemporaryLogits {
  public:
    static Result<TemporaryLogits> create() {
        std::error_code failed;
        const auto parent = std::filesystem::temp_directory_path(failed);
        for (uint64_t attempt = 0; !failed && attempt < 1000; attempt++) {
            const auto folder =
                parent / fmt::format("wallaby-{:x}-{}", uint64_t(base::monotonic_seconds() * 1e9), attempt);
            if (!std::filesystem::create_directory(folder, failed)) { continue; }
            std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
            return TemporaryLogits(folder.string());
        }
        return Error{ErrorCode::io,
                     fmt::format("cannot make a folder: {}", failed.message()),
                     {parent.string(), "", {}},
                     "Set TMPDIR, or give logits that were saved with --base"};
    }
    TemporaryLogits(TemporaryLogits&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}
    TemporaryLogits& operator=(TemporaryLogits&&) = delete;
    ~TemporaryLogits() {
        std::error_code ignored;
        if (!folder_.empty()) { std::filesystem::remove_all(folder_, ignored); }
    }
    std::string path() const { return folder_ + "/base"; }

  private:
    explicit TemporaryLogits(std::string folder) : folder_(std::move(folder)) {}
    std::string folder_;
};

Result<bool> is_logits(const std::string& path) {
    if (path == "joey") { return false; }
    WALLABY_TRY(const auto file, base::open_file(path));
    std::array<uint8_t, 8> begin{};
    if (file->size() < begin.size()) { return false; }
    WALLABY_OK(file->read(0, begin));
    return std::string_view(reinterpret_cast<const char*>(begin.data()), begin.size()) == eval::base_magic;
}

class Comparer {
  public:
    Comparer(const CompareFlags& flags, const std::stop_token& stop) : flags_(flags), stop_(stop) {}

    Result<Comparison> run() {
        std::vector<std::string> names = flags_.models;
        const std::string& base = flags_.eval.base;
        bool is_saved = false;
        if (!base.empty()) { WALLABY_TRY(is_saved, is_logits(base)); }
        WALLABY_OK(check_text(is_saved));
        if (!base.empty() && !is_saved && std::find(names.begin(), names.end(), base) == names.end()) {
            names.insert(names.begin(), base);
        }
        WALLABY_OK(look_at(names));
        std::optional<TemporaryLogits> temporary;
        std::string logits = base;
        comparison_.base = base.empty() ? names.front() : base;
        if (!is_saved) {
            WALLABY_TRY(TemporaryLogits created, TemporaryLogits::create());
            logits = temporary.emplace(std::move(created)).path();
            const auto is_base = [&](const Compared& m) { return m.model == comparison_.base; };
            Compared& m = *std::find_if(comparison_.models.begin(), comparison_.models.end(), is_base);
            WALLABY_OK(score_base(m, logits));
            WALLABY_OK(measure(m));
        }
        for (Compared& m : comparison_.models) {
            if (m.is_base) { continue; }
            WALLABY_OK(score(m, logits));
            WALLABY_OK(measure(m));
        }
        mark_frontier(comparison_);
        return std::move(comparison_);
    }

  private:
    // Saved logits are of a text already.
    Result<void> check_text(bool is_saved) const {
        if (is_saved != flags_.eval.text_file.empty()) {
            return Error{ErrorCode::argument,
                         is_saved ? "is not used: the base logits are of their own text" : "is not given",
                         {"", "-f", {}},
                         is_saved ? "Leave it out" : "Name the text, or logits that were saved with --base"};
        }
        if (is_saved && flags_.eval.n_chunks != -1) {
            return Error{ErrorCode::argument,
                         "belongs to -f: all chunks of the base logits are compared",
                         {"", "--chunks", {}},
                         "Leave it out"};
        }
        return {};
    }

    // Sizes; a name that is wrong shall not show after an hour.
    Result<void> look_at(const std::vector<std::string>& names) {
        for (const std::string& name : names) {
            WALLABY_TRY(const auto source, open_named(name));
            Compared& m = comparison_.models.emplace_back();
            m.model = name;
            for (const gguf::Tensor& tensor : source->tensors()) {
                m.n_bytes += tensor.n_bytes;
                m.n_weights += tensor.n_elements();
            }
        }
        return {};
    }

    Result<Loaded> load_named(const std::string& name, uint32_t n_ctx) const {
        ModelFlags model = flags_.eval.model;
        model.model = name;
        model.n_ctx = n_ctx;
        return load(model, 0, stop_);
    }

    // Chunks of the text, and their logits into a file.
    Result<void> score_base(Compared& m, const std::string& logits) {
        m.is_base = true;
        const uint32_t wanted = flags_.eval.model.n_ctx;
        WALLABY_TRY(const Loaded loaded, load_named(m.model, wanted != 0 ? wanted : default_chunk_size));
        WALLABY_TRY(const std::string text, evaluated_text(flags_.eval.text_file));
        WALLABY_TRY(const eval::Chunks chunks,
                    chunks_of(*loaded.model, text, flags_.eval.text_file, flags_.eval.n_chunks, flags_.eval.stride));
        WALLABY_TRY(const text::Tokenizer* tokenizer, loaded.model->tokenizer());
        WALLABY_TRY(eval::BaseWriter writer, eval::BaseWriter::create(logits, chunks, loaded.model->n_vocab(),
                                                                      eval::vocabulary_digest(*tokenizer)));
        WALLABY_TRY(const auto session, engine::Session::create(loaded.model, {}));
        StatusLine status;
        const auto progress = [&](size_t n_done, size_t n_total, const eval::Estimate& ppl) {
            status.show(n_done, n_total, fmt::format("{}: PPL = {:.4f}", m.model, ppl.value));
        };
        WALLABY_TRY(const eval::Perplexity p, eval::perplexity(*session, chunks, &writer, progress, stop_));
        WALLABY_OK(writer.commit());
        comparison_.n_ctx = chunks.n_ctx;
        comparison_.n_scored = p.n_scored;
        m.ppl = p.ppl;
        m.same_top = {1, 0};
        return {};
    }

    Result<void> score(Compared& m, const std::string& logits) {
        WALLABY_TRY(auto file, base::open_file(logits));
        WALLABY_TRY(eval::BaseReader base, eval::BaseReader::open(std::move(file)));
        WALLABY_TRY(const Loaded loaded, load_named(m.model, base.chunks().n_ctx));
        WALLABY_TRY(const auto session, engine::Session::create(loaded.model, {}));
        StatusLine status;
        const auto progress = [&](size_t n_done, size_t n_total, const eval::DivergenceSum::Running& r) {
            status.show(n_done, n_total,
                        fmt::format("{}: PPL = {:.4f}, KLD = {:.5f}", m.model, r.ppl.value, r.kld.value));
        };
        WALLABY_TRY(const eval::Divergence d, eval::divergence(*session, base, progress, stop_));
        comparison_.n_ctx = base.chunks().n_ctx;
        comparison_.n_scored = d.n_scored;
        m.ppl = d.ppl;
        m.kld = d.kld;
        m.same_top = d.same_top;
        m.kld_max = d.kld_max;
        for (const eval::Percentile& p : d.kld_percentiles) {
            if (p.fraction == 0.99) { m.kld_99 = p.value; }
        }
        return {};
    }

    // Short tests: what a table needs, not what `bench` finds out.
    Result<void> measure(Compared& m) {
        if (flags_.no_speed) { return {}; }
        const ModelFlags& model = flags_.eval.model;
        threads::Pool pool(model.n_threads);
        bench::Group group{
            model.n_batch, pool.size(), quant::Type::f16, quant::Type::f16, {{.n_prompt = 128}, {.n_gen = 16}}};
        WALLABY_TRY(group.k_type, kv_type("--ctk", model.k_type));
        WALLABY_TRY(group.v_type, kv_type("--ctv", model.v_type));
        WALLABY_TRY(const auto source, open_named(m.model));
        WALLABY_TRY(const auto backend, backends::make(model.backend_choice(), pool));
        WALLABY_TRY(const auto runner, bench::Runner::load(*source, group, *backend, {}, stop_));
        const auto speed = [&](const bench::Test& test) -> Result<MeasuredSpeed> {
            WALLABY_TRY(const auto seconds, runner->measure(test, {.n_repetitions = 3}, stop_));
            eval::Moments speeds;
            for (const double s : seconds) { speeds.add(double(test.n_tokens()) / s); }
            return MeasuredSpeed{speeds.mean(), std::sqrt(speeds.variance_of_mean() * double(speeds.count()))};
        };
        WALLABY_TRY(m.prompt, speed(group.tests[0]));
        WALLABY_TRY(m.decode, speed(group.tests[1]));
        return {};
    }

    const CompareFlags& flags_;
    const std::stop_token& stop_;
    Comparison comparison_;
};

Result<std::string> compare(const CompareFlags& flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const Comparison comparison, Comparer(flags, stop).run());
    const std::string& output = flags.eval.output;
    return output == "json"  ? comparison_json(comparison)
           : output == "svg" ? comparison_svg(comparison)
           : output == "md"  ? comparison_markdown(comparison)
                             : comparison_text(comparison);
}

}  // namespace

EvalVerb add_compare(CLI::App& app) {
    auto flags = std::make_shared<CompareFlags>();
    CLI::Option* models = app.add_option("--compare", flags->models,
                                         "instead of a subcommand: models whose size, speed and quality on the text of "
                                         "-f are put side by side")
                              ->type_name("FILE …")
                              ->expected(1, 1000);
    const auto only_here = [&](CLI::Option* option) { return option->needs(models); };
    only_here(app.add_option("-f,--file", flags->eval.text_file, "the text; not with logits that were saved"))
        ->type_name("FILE");
    only_here(
        app.add_option("--base", flags->eval.base,
                       "what they are compared with: a model, or logits that eval kl --save-base made; without it "
                       "the first of them"))
        ->type_name("FILE");
    add_chunks(app, flags->eval.n_chunks);
    app.add_flag("--no-speed", flags->no_speed, "leave the speeds out");
    add_eval_output(app, flags->eval, {"text", "md", "json", "svg"});
    add_threads(app, flags->eval.model.n_threads);
    flags->eval.model.add_context(app);
    app.get_option("--ctx-size")->description("tokens of a chunk; 0: 512, or what the base logits have");
    return [models, flags] { return models->count() != 0 ? std::optional(compare(*flags)) : std::nullopt; };
}

}  // namespace wallaby::cli
