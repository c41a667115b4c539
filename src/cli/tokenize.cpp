// wallaby tokenize: the ids of a text, on one line. Loads the vocabulary only.
#include <iostream>
#include <iterator>

#include "cli/app.h"
#include "gguf/weight_source.h"
#include "text/tokenizer.h"

namespace wallaby::cli {
namespace {

struct Flags {
    ModelFlags model;
    std::optional<std::string> text;
    bool no_bos = false, no_special = false;
};

Result<std::string> tokenize(const Flags& flags) {
    WALLABY_TRY(const auto source, open_model(flags.model));
    WALLABY_TRY(const auto tokenizer, text::Tokenizer::load(source->metadata()));
    const std::string input =
        flags.text ? *flags.text
                   : std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
    WALLABY_TRY(const std::vector<int32_t> ids, tokenizer->encode(input, {!flags.no_bos, !flags.no_special}));
    return fmt::format("{}\n", fmt::join(ids, " "));
}

}  // namespace

std::function<int()> define_tokenize(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    flags->model.add_model(app);
    app.add_option("text", flags->text, "the text; without it, standard input to its end, as it is");
    app.add_flag("--no-bos", flags->no_bos,
                 "leave out the tokens that the model's policy puts before and after a text");
    app.add_flag("--no-special", flags->no_special, "read control tokens spelled out in the text as text");
    return [flags] {
        const auto line = tokenize(*flags);
        if (!line.ok()) { return report(line.error()); }
        return print(*line) ? exit_ok : exit_failed;
    };
}

}  // namespace wallaby::cli
