// wallaby run: writes the continuation of a prompt, answers a prompt through the model's chat template, or chats.
#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <utility>

#include "base/memory_use.h"
#include "cli/app.h"
#include "cli/foresight.h"
#include "cli/interrupt.h"
#include "engine/session.h"
#include "planner/footprint.h"
#include "text/chat.h"

namespace wallaby::cli {
namespace {

struct Flags {
    ModelFlags model;
    std::optional<std::string> prompt, prompt_flag, prompt_file;
    std::string system;
    int64_t n_predict = -1;
    int64_t seed = -1;
    bool raw = false, chat = false, timings = false;
    engine::SessionOptions session;
};

// The prompt of a one-shot run; nothing when the user wants to chat.
Result<std::optional<std::string>> one_shot_prompt(const Flags& flags) {
    const int n_given =
        int(flags.prompt.has_value()) + int(flags.prompt_flag.has_value()) + int(flags.prompt_file.has_value());
    if (n_given > 1) {
        return Error{ErrorCode::argument,
                     "the prompt is given more than once",
                     {"", "-p, -f, PROMPT", {}},
                     "Give it in one way"};
    }
    if (flags.prompt) { return flags.prompt; }
    if (flags.prompt_flag) { return flags.prompt_flag; }
    if (!flags.prompt_file) { return std::optional<std::string>(); }
    WALLABY_TRY(std::string text, read_text(*flags.prompt_file));
    return std::optional<std::string>(std::move(text));
}

// Whether what the user says goes through the chat template, where the file has one. In a chat it does. A single prompt
// is a question too, unless the file says that its model goes on from a plain text; a system message or --chat still
// makes it a question.
Result<bool> wants_template(const gguf::Metadata& metadata, const Flags& flags, bool is_one_shot) {
    constexpr std::string_view key = "wallaby.run.prompt";
    if (flags.raw) { return false; }
    if (!is_one_shot || flags.chat || !flags.system.empty()) { return true; }
    WALLABY_TRY(const std::string_view rule, metadata.string_or(key, "answer"));
    if (rule == "answer" || rule == "continue") { return rule == "answer"; }
    return metadata.error(ErrorCode::format, key,
                          fmt::format("is '{}', but must be 'answer' or 'continue'", rule.substr(0, 40)),
                          "Say which it is with --chat or --raw");
}

// How prompts become tokens: as they are, or through the chat template that the file names.
class Prompter {
  public:
    static Result<Prompter> create(const engine::Model& model, const Flags& flags, bool is_one_shot) {
        WALLABY_TRY(const text::Tokenizer* tokenizer, model.tokenizer());
        Prompter p(*tokenizer);
        WALLABY_TRY(const bool wanted, wants_template(model.metadata(), flags, is_one_shot));
        if (!wanted) { return p; }
        constexpr std::string_view key = "tokenizer.chat_template";
        WALLABY_TRY(const std::string_view text, model.metadata().string_or(key, ""));
        if (text.empty() && flags.chat) {
            return model.metadata().error(ErrorCode::unsupported, key, "is missing, so that --chat has no form",
                                          "Leave out --chat: the model goes on from the prompt");
        }
        if (text.empty()) { return p; }
        auto format = text::find_chat_format(text);
        if (!format.ok()) {
            Error error = std::move(format).error();
            error.where.file = model.name();
            return error;
        }
        p.format_ = *std::move(format);
        if (!flags.system.empty()) { p.messages_.push_back({"system", flags.system}); }
        return p;
    }

    bool is_chat() const { return format_.has_value(); }

    // The whole conversation's tokens with the user's next turn at its end; without a template, the text's tokens (and
    // what a text begins with, when it is the first).
    Result<std::vector<int32_t>> next(const std::string& text, bool is_first) {
        if (!format_) {
            WALLABY_TRY(std::vector<int32_t> ids, tokenizer_->encode(text, {is_first, true}));
            if (ids.empty() && is_first && tokenizer_->bos()) { ids.push_back(*tokenizer_->bos()); }
            return ids;
        }
        messages_.push_back({"user", text});
        const auto text_of = [&](std::optional<int32_t> id) {
            return id ? tokenizer_->token_text(*id) : std::string_view();
        };
        const text::ChatTokens tokens{text_of(tokenizer_->bos()), text_of(tokenizer_->eos())};
        WALLABY_TRY(const std::string rendered, text::render(*format_, messages_, tokens, true));
        WALLABY_TRY(std::vector<int32_t> ids, tokenizer_->encode(rendered, {true, true}));
        // Templates may spell out the BOS that the tokenizer's policy adds.
        if (ids.size() >= 2 && tokenizer_->bos() && ids[0] == *tokenizer_->bos() && ids[1] == ids[0]) {
            ids.erase(ids.begin());
        }
        return ids;
    }
    void answered(std::string text) {
        if (format_) { messages_.push_back({"assistant", std::move(text)}); }
    }
    // As if the last next() had not been asked.
    void take_back() {
        if (format_) { messages_.pop_back(); }
    }

  private:
    explicit Prompter(const text::Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
    const text::Tokenizer* tokenizer_;
    std::optional<text::ChatFormat> format_;
    std::vector<text::ChatMessage> messages_;
};

// Says how long replies took; and with --timings what was predicted of them.
class Timekeeper {
  public:
    Timekeeper(const Flags& flags, const Loaded& loaded) : flags_(flags), loaded_(loaded) {}

    // When tokens are appended and nothing is evaluated yet.
    void begin(const engine::Session& session) {
        n_tokens_ = session.tokens().size();
        before_ = base::usage();
    }

    Result<void> end(const engine::Timings& t, const std::stop_token& stop) const {
        if (!flags_.model.verbose && !flags_.timings) { return {}; }
        const base::Usage used = base::usage() - before_;
        const auto rate = [](uint64_t n, double seconds) { return seconds > 0 ? double(n) / seconds : 0.0; };
        const uint64_t n_decoded = t.n_generated > 0 ? t.n_generated - 1 : 0;
        say(fmt::format("prompt {} tokens in {:.2f} s ({:.2f}/s), decode {} tokens in {:.2f} s ({:.2f}/s)", t.n_prompt,
                        t.prompt_seconds, rate(t.n_prompt, t.prompt_seconds), n_decoded, t.generated_seconds,
                        rate(n_decoded, t.generated_seconds)));
        if (!flags_.timings) { return {}; }
        const engine::Model& model = *loaded_.model;
        const uint64_t metadata_bytes = model.metadata().n_bytes();
        const uint64_t planned = model.plan().total() + planner::run_bytes(model.program(), metadata_bytes);
        if (const auto use = base::resident()) {
            const auto mib = [](uint64_t n) { return double(n) / double(1 << 20); };
            say(fmt::format("memory: peak_rss_mib {:.1f}, planned_mib {:.1f}", mib(use->peak), mib(planned)));
        }
        const backends::Settings& s = model.plan().settings;
        const WantedSpeeds wanted{
            flags_.model.backend_choice(), planner::matrix_types(model.program()), {{s.k_type, s.v_type}}};
        WALLABY_TRY(const Foresight foresight, Foresight::create(model.program(), wanted, *loaded_.pool, stop));
        const auto tell = [&](std::string_view phase, const planner::Work& work, double seconds) {
            if (work.n_tokens() == 0) { return; }
            const auto lines = foresight.lines(work, seconds, used);
            say(fmt::format("{}: {}", phase, lines.ok() ? *lines : lines.error().what));
        };
        const auto n_prompt = uint32_t(t.n_prompt);
        tell("prompt", {n_prompt, 0, uint32_t(n_tokens_ - t.n_prompt), 1, s.n_batch}, t.prompt_seconds);
        tell("decode", {0, uint32_t(n_decoded), uint32_t(n_tokens_), 1, s.n_batch}, t.generated_seconds);
        return {};
    }

  private:
    const Flags& flags_;
    const Loaded& loaded_;
    size_t n_tokens_ = 0;
    base::Usage before_;
};

// Streams one reply to standard output, a newline after it, and adds it to `text`. A stop request ends it early and is
// an error `cancelled`.
Result<engine::Finish> reply(engine::Session& session, const std::stop_token& stop, Timekeeper& timekeeper,
                             std::string& text) {
    timekeeper.begin(session);
    while (true) {
        const auto event = session.next(stop);
        if (!event.ok()) {
            print("\n");
            return event.error();
        }
        text += event->text;
        if (!print(for_terminal(event->text))) { return Error{ErrorCode::io, "standard output is closed", {}, ""}; }
        if (event->finish) {
            print("\n");
            WALLABY_OK(timekeeper.end(event->timings, stop));
            return *event->finish;
        }
    }
}

// Replaces the session's tokens by `ids`, keeping what they have in common.
Result<void> continue_with(engine::Session& session, const std::vector<int32_t>& ids) {
    const auto& old = session.tokens();
    size_t n_common = 0;
    while (n_common < std::min(old.size(), ids.size()) && old[n_common] == ids[n_common]) { n_common++; }
    session.truncate(n_common);
    return session.append(std::span(ids).subspan(n_common));
}

// A line of standard input without its end; nothing at the end of the input or at Ctrl-C.
class Lines {
  public:
    explicit Lines(Interrupt& interrupt) : interrupt_(interrupt) {}
    std::optional<std::string> next(std::string_view prompt) {
        if (::isatty(0) != 0) { print(prompt); }
        (void)interrupt_.arm();
        while (true) {
            if (const size_t end = held_.find('\n'); end != std::string::npos) {
                std::string line = held_.substr(0, end);
                held_.erase(0, end + 1);
                return line;
            }
            pollfd watched[2] = {{0, POLLIN, 0}, {interrupt_.readable(), POLLIN, 0}};
            if (::poll(watched, 2, -1) < 0) { continue; }
            if ((watched[1].revents & POLLIN) != 0) { return std::nullopt; }
            char piece[4096];
            const ssize_t n = ::read(0, piece, sizeof(piece));
            if (n <= 0) {
                if (held_.empty()) { return std::nullopt; }
                return std::exchange(held_, {});
            }
            held_.append(piece, size_t(n));
        }
    }

  private:
    Interrupt& interrupt_;
    std::string held_;
};

// Turns until the input ends or the context is full. A message that does not fit is refused and the chat goes on
// without it; then the exit code is that of a failure.
Result<int> chat(engine::Session& session, Prompter& prompter, Interrupt& interrupt, Timekeeper& timekeeper) {
    const uint32_t n_ctx = session.model().n_ctx();
    int code = exit_ok;
    Lines lines(interrupt);
    while (const auto line = lines.next("> ")) {
        if (line->empty()) { continue; }
        WALLABY_TRY(const std::vector<int32_t> ids, prompter.next(*line, session.tokens().empty()));
        const size_t n_tokens = ids.size() + (prompter.is_chat() ? 0 : session.tokens().size());
        if (n_tokens > n_ctx) {
            prompter.take_back();
            code =
                report(Error{ErrorCode::capacity,
                             fmt::format("with this message the conversation has {} tokens, but the context holds {}",
                                         n_tokens, n_ctx),
                             {"", "-c", {}},
                             "Shorten it, start another chat, or use a larger -c"});
            continue;
        }
        WALLABY_OK(prompter.is_chat() ? continue_with(session, ids) : session.append(ids));
        const std::stop_token stop = interrupt.arm();
        std::string text;
        const auto done = reply(session, stop, timekeeper, text);
        if (!done.ok() && done.error().code != ErrorCode::cancelled) { return done.error(); }
        if (done.ok() && *done == engine::Finish::context) {
            say(fmt::format(
                "the context of {} tokens is full, and the chat ends here. Start another, or use a larger -c", n_ctx));
            return code;
        }
        prompter.answered(std::move(text));
    }
    if (::isatty(0) != 0) { print("\n"); }
    return code;
}

// `wallaby run DIR`: what would be a prompt names the directory of a checkpoint.
void take_checkpoint(Flags& flags) {
    if (flags.model.model || !flags.prompt) { return; }
    std::error_code ignored;
    if (!std::filesystem::exists(*flags.prompt + "/config.json", ignored)) { return; }
    flags.model.model = std::exchange(flags.prompt, std::nullopt);
}

Result<int> run(Flags& flags) {
    Interrupt interrupt;
    take_checkpoint(flags);
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const std::optional<std::string> prompt, one_shot_prompt(flags));
    if (flags.n_predict < -1 || flags.n_predict > int64_t(1) << 30) {
        return Error{ErrorCode::argument,
                     fmt::format("is {}, but must be -1 (no limit) to 2^30", flags.n_predict),
                     {"", "-n", {}},
                     ""};
    }
    flags.session.sampling.seed = flags.seed < 0 ? std::random_device{}() : uint64_t(flags.seed);
    flags.session.max_tokens = flags.n_predict < 0 ? 0 : uint32_t(flags.n_predict);
    WALLABY_OK(sampling::check(flags.session.sampling));

    // A text that was asked for by number fits the automatic context: a prompt has at most a token per byte.
    const uint32_t at_least = flags.n_predict <= 0 ? 0
                                                   : uint32_t(flags.n_predict) + 8 +
                                                         uint32_t(std::min<size_t>(prompt ? prompt->size() : 0, 4096));
    WALLABY_TRY(const Loaded loaded, load(flags.model, at_least, stop));
    flags.session.adapters = loaded.adapters;
    WALLABY_TRY(Prompter prompter, Prompter::create(*loaded.model, flags, prompt.has_value()));
    WALLABY_TRY(const auto session, engine::Session::create(loaded.model, flags.session));
    Timekeeper timekeeper(flags, loaded);
    if (!prompt) { return chat(*session, prompter, interrupt, timekeeper); }
    if (flags.n_predict == 0) { return exit_ok; }
    WALLABY_TRY(const std::vector<int32_t> ids, prompter.next(*prompt, true));
    WALLABY_OK(session->append(ids));
    // A reader wants the whole text; a program has the beginning already.
    if (!prompter.is_chat() && ::isatty(1) != 0) { print(for_terminal(*prompt)); }
    std::string text;
    WALLABY_TRY([[maybe_unused]] const auto finish, reply(*session, stop, timekeeper, text));
    return exit_ok;
}

}  // namespace

std::function<int()> define_run(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    engine::SessionOptions& s = flags->session;
    flags->model.add_model(app);
    app.add_option("prompt", flags->prompt,
                   "the text to go on from, or the question; without one, a chat (Ctrl-C stops a reply, Ctrl-D "
                   "leaves). Without -m, "
                   "the directory of a checkpoint is the model");
    app.add_option("-p,--prompt", flags->prompt_flag, "the same as a flag; may be empty")->type_name("TEXT");
    app.add_option("-f,--file", flags->prompt_file, "the same from a file")->type_name("FILE");
    auto* raw = app.add_flag("--raw,--no-conversation", flags->raw,
                             "use the prompt as it is, without the model's chat template (also -no-cnv)");
    app.add_flag("--chat,--single-turn", flags->chat,
                 "answer the prompt through the chat template, whatever the file says of plain prompts (also -st)")
        ->excludes(raw);
    app.add_option("--sys,--system-prompt", flags->system, "system message of a chat (also -sys)")->type_name("TEXT");
    app.add_option("-n,--predict,--n-predict", flags->n_predict,
                   "tokens to write; -1: until the model ends or the context is full")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("-s,--seed", flags->seed, "seed of the random numbers; -1: a random one")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--temp,--temperature", s.sampling.temperature, "temperature; 0: always the most likely token")
        ->type_name("X")
        ->capture_default_str();
    app.add_option("--top-k", s.sampling.top_k, "draw from the K most likely tokens; 0: all")
        ->type_name("K")
        ->capture_default_str();
    app.add_option("--top-p", s.sampling.top_p, "draw from the most likely tokens that hold this probability; 1: all")
        ->type_name("P")
        ->capture_default_str();
    app.add_option("--min-p", s.sampling.min_p,
                   "leave out tokens below this share of the most likely one's probability")
        ->type_name("P")
        ->capture_default_str();
    app.add_option("--repeat-penalty", s.sampling.repeat_penalty, "divide the logits of recent tokens by this; 1: off")
        ->type_name("X")
        ->capture_default_str();
    app.add_option("--repeat-last-n", s.sampling.repeat_last_n, "how many recent tokens; 0: none")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("-r,--reverse-prompt,--stop", s.stop, "end the text before this string; may be given several times")
        ->type_name("TEXT")
        ->allow_extra_args(false);
    app.add_flag("--ignore-eos", s.ignore_eos, "go on after the model ends its text");
    app.add_flag("--timings", flags->timings,
                 "say how fast it ran beside the speed predicted for this machine, and why where it was slow; measures "
                 "the machine after the reply (0.3 s; once for a format 0.2 s more)");
    app.add_flag("--special", s.render_special, "show control tokens");
    add_threads(app, flags->model.n_threads);
    flags->model.add_context(app);
    flags->model.add_lora(app);
    return [flags] {
        const auto done = run(*flags);
        return done.ok() ? *done : report(done.error());
    };
}

}  // namespace wallaby::cli
