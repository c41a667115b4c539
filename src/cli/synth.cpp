// wallaby synth: a model file of a real model's shape with random weights: for benchmarks and tests of any size and
// type.
#include "base/system.h"
#include "cli/app.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "convert/mixes.h"
#include "convert/streaming.h"
#include "convert/synthetic.h"

namespace wallaby::cli {
namespace {

constexpr std::string_view default_type = "Q4_K_M";

struct Flags {
    std::vector<std::string> words;  // NAME OUT, or OUT alone beside --like
    std::string type, like;
    uint64_t seed = 1;
    uint32_t n_threads = 0;
    bool list = false;
};

std::string list() {
    std::string text = "shapes:\n";
    for (const convert::NamedShape& shape : convert::named_shapes()) {
        text += fmt::format("  {:<16} {}\n", shape.name, shape.summary);
    }
    return text + fmt::format("types:\n  {}\n", fmt::join(convert::type_names(), " "));
}

Result<std::unique_ptr<convert::SyntheticSource>> source_of(const Flags& flags) {
    const auto named = [](auto result, std::string_view flag) {  // which argument it was
        if (!result.ok()) { blame(result.error(), flag); }
        return result;
    };
    const bool is_like = !flags.like.empty();
    if (flags.words.size() != (is_like ? 1u : 2u)) {
        return Error{ErrorCode::argument,
                     is_like ? "with --like, give the file to write and nothing else"
                             : "give the name of a shape and the file to write",
                     {"", "synth", {}},
                     "wallaby synth --list shows the names"};
    }
    const std::string& out = flags.words.back();
    convert::Shape shape;
    if (is_like) {
        WALLABY_TRY(const auto file, open_named(flags.like));
        WALLABY_TRY(shape, convert::shape_like(*file));
    } else {
        WALLABY_TRY(shape, named(convert::named_shape(flags.words.front()), "NAME"));
    }
    const std::string type = flags.type.empty() && !is_like ? std::string(default_type) : flags.type;
    return named(convert::SyntheticSource::create(std::move(shape), type, flags.seed, out), "--type");
}

Result<std::string> synth(const Flags& flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const auto source, source_of(flags));
    const std::string& out = flags.words.back();
    WALLABY_TRY(gguf::Writer writer, gguf::Writer::create(out, source->draft()));
    threads::Pool pool(flags.n_threads);
    const double started = base::monotonic_seconds();
    {
        ProgressBar bar("writing");
        const auto progress = [&](uint64_t done, uint64_t total) { bar(done, total); };
        WALLABY_OK(convert::write_source(*source, std::move(writer), pool, progress, stop));
    }
    const double seconds = base::monotonic_seconds() - started;
    const double n_bytes = double(source->layout().file_bytes);
    return fmt::format("{}: {:.1f} MB, {} tensors, {:.2f} s ({:.2f} GB/s)\n", out, n_bytes / 1e6,
                       source->tensors().size(), seconds, n_bytes / 1e9 / std::max(seconds, 1e-9)) +
           said_replaced(source->n_replaced());
}

}  // namespace

std::function<int()> define_synth(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    app.add_option("words", flags->words, "name of a shape (--list), and the file to write")
        ->type_name("NAME FILE")
        ->expected(0, 2);
    app.add_option("--type", flags->type,
                   fmt::format("weight format or mix (--list); default {}, or the types of --like", default_type))
        ->type_name("TYPE");
    app.add_option("-s,--seed", flags->seed, "seed of the weights")->type_name("N")->capture_default_str();
    app.add_option("--like", flags->like, "keys, tensor names and shapes of this file (give no NAME)")
        ->type_name("FILE");
    add_threads(app, flags->n_threads);
    app.add_flag("--list", flags->list, "list shapes and types");
    return [flags] {
        const Result<std::string> text = flags->list ? Result<std::string>(list()) : synth(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(*text) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
