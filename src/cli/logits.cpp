// wallaby logits: float32 [n_tokens][n_vocab] of one causal pass, and the argmax continuation. Keys and values are kept
// in float32 unless asked otherwise: this verb is for comparing numbers.
#include "cli/app.h"
#include "cli/writing.h"
#include "engine/session.h"

namespace wallaby::cli {
namespace {

struct Flags {
    ModelFlags model;
    std::string tokens, out;
    uint32_t n_greedy = 1;
};

Result<std::string> logits(const Flags& flags) {
    WALLABY_TRY(const std::vector<int32_t> tokens, parse_ids(flags.tokens));
    WALLABY_OK(check_differs(flags.model.model.value_or(""), flags.out));
    WALLABY_TRY(const Loaded loaded, load(flags.model, uint32_t(tokens.size()) + flags.n_greedy, {}));
    engine::SessionOptions options;
    options.sampling.temperature = 0;
    options.max_tokens = flags.n_greedy;
    options.ignore_eos = true;
    options.adapters = loaded.adapters;
    WALLABY_TRY(const auto session, engine::Session::create(loaded.model, options));
    std::optional<base::AtomicFile> file;
    if (!flags.out.empty()) {
        WALLABY_TRY(base::AtomicFile created, base::AtomicFile::create(flags.out));
        file.emplace(std::move(created));
    }
    const auto write = [&](size_t, std::span<const float> row) -> Result<void> {
        if (!file) { return {}; }
        return file->write({reinterpret_cast<const uint8_t*>(row.data()), row.size_bytes()});
    };
    WALLABY_OK(session->score(tokens, write, {}));
    if (file) { WALLABY_OK(file->commit()); }
    std::vector<int32_t> greedy;
    while (greedy.size() < flags.n_greedy) {
        WALLABY_TRY(const engine::Event event, session->next({}));
        greedy.insert(greedy.end(), event.ids.begin(), event.ids.end());
        if (event.finish == engine::Finish::context && greedy.size() < flags.n_greedy) {
            return Error{ErrorCode::capacity,
                         fmt::format("is {}, but the context of {} tokens has room for {}", flags.n_greedy,
                                     loaded.model->n_ctx(), greedy.size()),
                         {"", "--greedy", {}},
                         "Use a larger -c"};
        }
    }
    return fmt::format("{}\n", fmt::join(greedy, " "));
}

}  // namespace

std::function<int()> define_logits(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    flags->model.k_type = flags->model.v_type = "f32";
    flags->model.add_model(app);
    app.add_option("--tokens", flags->tokens, "token ids, separated by commas")->type_name("ID,ID,…")->required();
    app.add_option("--out,-o", flags->out, "where the logits go: little-endian float32 [n_tokens][n_vocab]")
        ->type_name("FILE");
    app.add_option("--greedy", flags->n_greedy, "print this many ids of the argmax continuation")
        ->type_name("N")
        ->check(CLI::Range(0, 1 << 30))
        ->capture_default_str();
    add_threads(app, flags->model.n_threads);
    flags->model.add_context(app);
    flags->model.add_lora(app);
    return [flags] {
        const auto line = logits(*flags);
        if (!line.ok()) { return report(line.error()); }
        return print(*line) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
