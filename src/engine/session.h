// One timeline of tokens over a shared model. Generation is pulled: each next() computes one token and returns what is
// certain about it. A session is used by one thread at a time; sessions of one model take turns.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/adapter.h"
#include "engine/model.h"
#include "engine/stop_strings.h"
#include "kv/checkpoints.h"
#include "sampling/sampler.h"
#include "text/detokenizer.h"

namespace wallaby::engine {

struct SessionOptions {
    sampling::Params sampling = {};
    std::vector<std::string> stop = {};      // strings that end the text, themselves left out
    uint32_t max_tokens = 0;                 // generated per reply; 0: as many as the context holds
    bool ignore_eos = false;                 // go on after an end-of-generation token
    bool render_special = false;             // show control tokens in the text
    backends::MatmulObserver observer = {};  // of this session's steps; may be empty
    std::vector<Adapted> adapters = {};      // set_adapters
};

enum class Finish : uint8_t {
    end_token,    // the model ended its text
    stop_string,  // one of SessionOptions::stop
    length,       // max_tokens
    context,      // the context is full
};

std::string_view name_of(Finish finish);

struct Timings {
    uint64_t n_prompt = 0;         // tokens evaluated before the first was sampled
    uint64_t n_generated = 0;      // tokens sampled; the first one's logits came with the prompt
    double prompt_seconds = 0;     // evaluating n_prompt tokens
    double generated_seconds = 0;  // evaluating n_generated - 1 tokens
};

struct Event {
    std::vector<int32_t> ids;               // sampled by this call; an end token too
    std::vector<double> log_probabilities;  // of ids, natural logarithm, before the sampling chain
    std::string text;                       // whole UTF-8 characters only; may be empty while one is incomplete
    std::optional<Finish> finish;           // set on the last event of a reply
    Timings timings;                        // of the reply so far
};

class Session {
  public:
    static Result<std::unique_ptr<Session>> create(std::shared_ptr<Model> model, SessionOptions options);
    ~Session();

    const Model& model() const { return *model_; }
    // Every token so far: appended and sampled.
    const std::vector<int32_t>& tokens() const { return tokens_; }

    // Adds tokens for the next reply; nothing is computed yet. Beyond the context: an error that states both numbers.
    Result<void> append(std::span<const int32_t> tokens);
    // Keeps the first n tokens; their keys and values stay. A recurrent state cannot be cut back: from the last one
    // that is not beyond n, the end of a prompt or the beginning, tokens are evaluated again when they are next needed.
    void truncate(size_t n);
    // The adapters of the model that this session uses from now on, in the place of those before; of two, both changes
    // are added. Tokens that were evaluated with others are evaluated again when they are next needed: what follows is
    // to the bit what a session with these adapters would have given. Errors, which change nothing: an adapter of
    // another model, a scale that is no finite number.
    Result<void> set_adapters(std::vector<Adapted> adapters);
    // Evaluates what was appended, then samples one token. A requested stop ends it within 10 ms with
    // ErrorCode::cancelled; the session stays usable.
    Result<Event> next(const std::stop_token& stop);

    // Appends and evaluates tokens and hands the logits [n_vocab] after each to the sink, in order. What was appended
    // before and not evaluated yet comes first, without logits.
    using Sink = std::function<Result<void>(size_t index, std::span<const float> logits)>;
    Result<void> score(std::span<const int32_t> tokens, const Sink& sink, const std::stop_token& stop);

  private:
    Session(std::shared_ptr<Model> model, SessionOptions options, const text::Tokenizer* tokenizer);
    // Evaluates tokens [n_evaluated_, n_evaluated_ + n), at most a batch; logits for the last n_outputs of them.
    Result<void> evaluate(size_t n, size_t n_outputs, const std::stop_token& stop);
    // Evaluates tokens up to `end`; logits of the last one.
    Result<void> evaluate_until(size_t end, const std::stop_token& stop);
    void rewind(size_t n);
    void begin_reply();
    void end_reply(Event& event, Finish finish);

    std::shared_ptr<Model> model_;
    SessionOptions options_;
    const text::Tokenizer* tokenizer_;  // nullptr: events carry no text
    sampling::Sampler sampler_;
    kv::PageTable pages_;
    kv::Checkpoints states_;
    std::vector<backends::Batch::Sequence::Adapted> adapters_;  // those of options_, as batches take them
    std::vector<int32_t> tokens_;
    size_t n_evaluated_ = 0;
    std::vector<float> logits_;

    // The reply under way.
    bool in_reply_ = false;
    std::optional<Finish> finish_;
    std::optional<text::StreamDecoder> decoder_;
    StopStrings stops_;
    Timings timings_;
};

}  // namespace wallaby::engine
