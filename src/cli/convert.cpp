// wallaby convert: a model file from a checkpoint in Hugging Face's layout, or from llama2.c's.
#include <filesystem>

#include "base/system.h"
#include "cli/app.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/writing.h"
#include "convert/checkpoint.h"
#include "convert/llama2c.h"
#include "convert/quantize.h"
#include "convert/streaming.h"

namespace wallaby::cli {
namespace {

constexpr std::string_view as_it_is = "auto";

struct Flags {
    std::string in, out, type{as_it_is}, vocabulary;
    bool vocabulary_only = false;
    uint32_t n_threads = 0;
};

Result<std::unique_ptr<gguf::WeightSource>> open(const Flags& flags) {
    if (is_checkpoint(flags.in)) { return convert::open_checkpoint(flags.in, {flags.vocabulary_only}); }
    WALLABY_TRY(auto source, convert::open_llama2c(flags.in, flags.vocabulary));
    if (flags.vocabulary.empty()) {
        return Error{ErrorCode::argument,
                     "a model of llama2.c has its tokenizer in a file of its own",
                     {"", "--vocab", {}},
                     "Name it: --vocab tok512.bin"};
    }
    return source;
}

// The tokenizer and, in a checkpoint's directory, whatever is no model of ours.
Result<void> check_beside(const Flags& flags) {
    WALLABY_OK(check_differs(flags.vocabulary, flags.out));
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(flags.in, ignored)) {
        if (entry.path().extension() != ".gguf") { WALLABY_OK(check_differs(entry.path().string(), flags.out)); }
    }
    return {};
}

// The file to write, as a plan: in its own types, or in another.
struct Plan {
    gguf::Draft draft;
    std::optional<convert::QuantizePlan> quantize;
    size_t n_replaced = 0;
};

Result<Plan> plan_of(const gguf::WeightSource& source, const Flags& flags) {
    Plan plan;
    if (flags.type == as_it_is || flags.vocabulary_only) {
        plan.draft.copy(source.metadata());
        for (const gguf::Tensor& t : source.tensors()) {
            plan.draft.tensor(t.name, t.type, std::span(t.dims).first(t.n_dims));
        }
        return plan;
    }
    auto planned = convert::plan_quantize(source, flags.type, {}, flags.out);
    if (!planned.ok()) {
        blame(planned.error(), "--outtype");
        return planned.error();
    }
    plan.draft = planned->draft;
    plan.n_replaced = planned->n_replaced;
    plan.quantize = *std::move(planned);
    return plan;
}

Result<std::string> convert_model(const Flags& flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const auto source, open(flags));
    WALLABY_TRY(const Plan plan, plan_of(*source, flags));
    WALLABY_OK(check_out(*source, flags.out));
    WALLABY_OK(check_beside(flags));
    WALLABY_TRY(gguf::Writer writer, gguf::Writer::create(flags.out, plan.draft));
    const uint64_t n_bytes = writer.layout().file_bytes;
    threads::Pool pool(flags.n_threads);
    const double started = base::monotonic_seconds();
    {
        ProgressBar bar("converting");
        const auto progress = [&](uint64_t done, uint64_t total) { bar(done, total); };
        if (plan.quantize) {
            WALLABY_TRY([[maybe_unused]] const auto types,
                        convert::quantize(*source, *plan.quantize, std::move(writer), pool, progress, stop));
        } else {
            WALLABY_OK(convert::write_source(*source, std::move(writer), pool, progress, stop));
        }
    }
    return fmt::format("{}: {:.1f} MB, {} tensors, {:.2f} s\n", flags.out, double(n_bytes) / 1e6,
                       source->tensors().size(), base::monotonic_seconds() - started) +
           said_replaced(plan.n_replaced);
}

}  // namespace

std::function<int()> define_convert(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    app.add_option(
           "in", flags->in,
           "directory of a checkpoint (config.json, *.safetensors, tokenizer), its safetensors file, or a model "
           "of llama2.c")
        ->type_name("IN")
        ->required();
    app.add_option("out", flags->out, "file to write (GGUF)")->type_name("OUT")->required();
    app.add_option("--outtype,--type", flags->type,
                   fmt::format("auto: matrices as they are; or a weight format or mix: {}",
                               fmt::join(convert::quantize_names(), " ")))
        ->type_name("TYPE")
        ->capture_default_str();
    app.add_option("--vocab", flags->vocabulary, "tokenizer of a llama2.c model (tokenizer.bin)")->type_name("FILE");
    app.add_flag("--vocab-only", flags->vocabulary_only, "write keys and tokenizer of a checkpoint, without tensors");
    add_threads(app, flags->n_threads);
    return [flags] {
        const Result<std::string> text = convert_model(*flags);
        if (!text.ok()) { return report(text.error()); }
        return print(*text) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
