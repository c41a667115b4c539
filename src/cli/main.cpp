// wallaby VERB [flags]: finds the verb, parses its flags, runs it. One row per verb; one file per verb.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <new>
#include <vector>

#include "cli/app.h"

namespace wallaby::cli {
namespace {

constexpr std::array verbs{
    Verb{"run", "write text with a model, or chat with it", define_run},
    Verb{"inspect", "show what a model file holds", define_inspect},
    Verb{"tokenize", "print the token ids of a text", define_tokenize},
    Verb{"logits", "write a model's logits for given tokens", define_logits},
    Verb{"eval", "measure how well a model predicts a text, or how far it lies from another", define_eval},
    Verb{"synth", "write a model file with random weights", define_synth},
    Verb{"imatrix", "measure which weights a text's activations fall on, for quantize --imatrix", define_imatrix},
    Verb{"quantize", "write a model file in another weight format", define_quantize},
    Verb{"gguf", "split, merge, edit and hash model files", define_gguf},
    Verb{"convert", "write a model file from a checkpoint of Hugging Face's or llama2.c's", define_convert},
    Verb{"bench", "measure how fast a model runs, beside what this machine allows", define_bench},
    Verb{"plan", "say whether a model fits a machine and how fast it will be there", define_plan},
    Verb{"probe", "measure what this machine can do", define_probe},
};

// Short flags of several letters, as llama.cpp spells them; CLI11 would read them letter by letter.
constexpr std::array<std::array<std::string_view, 2>, 8> long_spellings{{
    {"-ctk", "--ctk"},
    {"-ctv", "--ctv"},
    {"-sys", "--sys"},
    {"-st", "--chat"},
    {"-no-cnv", "--raw"},
    {"-tb", "--threads"},
    {"-pg", "--pg"},
    {"-np", "--np"},
}};

std::vector<std::string> spelled_out(int argc, char** argv) {
    std::vector<std::string> out;
    for (int i = 1; i < argc; i++) {
        std::string word = argv[i];
        for (const auto& [from, to] : long_spellings) {
            if (word == from) { word = to; }
        }
        out.push_back(std::move(word));
    }
    return out;
}

int run(int argc, char** argv) {
    CLI::App app{"Wallaby runs quantised language models (GGUF) on this machine.", "wallaby"};
    app.set_version_flag("--version", "wallaby " WALLABY_VERSION);
    app.require_subcommand(1);
    app.footer("Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.");
    std::function<int()> action;
    std::array<std::function<int()>, verbs.size()> actions;
    for (size_t i = 0; i < verbs.size(); i++) {
        CLI::App* sub = app.add_subcommand(std::string(verbs[i].name), std::string(verbs[i].summary));
        actions[i] = verbs[i].define(*sub);
        sub->callback([&action, &actions, i] { action = actions[i]; });
    }
    std::vector<std::string> words = spelled_out(argc, argv);
    std::reverse(words.begin(), words.end());  // as CLI11 takes a vector
    try {
        app.parse(std::move(words));
    } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? exit_ok : exit_usage; }
    return action();
}

}  // namespace
}  // namespace wallaby::cli

int main(int argc, char** argv) {
    // A file over the limit of its size shall be an error that is reported and cleaned up after, not a signal.
#ifdef SIGXFSZ
    std::signal(SIGXFSZ, SIG_IGN);
#endif
    // Handlers only write: what led here may be that nothing can be allocated.
    try {
        return wallaby::cli::run(argc, argv);
    } catch (const std::bad_alloc&) {
        constexpr std::string_view text = "wallaby: out of memory. Use a smaller model or a smaller -c\n";
        (void)!::write(2, text.data(), text.size());
    } catch (...) {
        constexpr std::string_view text = "wallaby: an unexpected exception: please report it as a bug\n";
        (void)!::write(2, text.data(), text.size());
    }
    return wallaby::cli::exit_failed;
}
