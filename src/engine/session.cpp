#include "engine/session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/system.h"

namespace wallaby::engine {
namespace {

constexpr size_t rows_per_score = 16;  // logits kept at once while scoring: 16 rows of a 128k vocabulary are 8 MB

Error too_long(size_t n_tokens, uint32_t n_ctx) {
    return Error{ErrorCode::capacity,
                 fmt::format("the text has {} tokens, but the context holds {}", n_tokens, n_ctx),
                 {"", "-c", {}},
                 fmt::format("Shorten it, or use -c {} or more", n_tokens + 1)};
}

}  // namespace

std::string_view name_of(Finish finish) {
    switch (finish) {
        case Finish::end_token: return "end_token";
        case Finish::stop_string: return "stop_string";
        case Finish::length: return "length";
        case Finish::context: return "context";
    }
    return "unknown";
}

Session::Session(std::shared_ptr<Model> model, SessionOptions options, const text::Tokenizer* tokenizer)
    : model_(std::move(model)),
      options_(std::move(options)),
      tokenizer_(tokenizer),
      sampler_(options_.sampling),
      pages_(*model_->pages_),
      states_(*model_->slots_),
      stops_(options_.stop) {}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<Model> model, SessionOptions options) {
    WALLABY_OK(sampling::check(options.sampling));
    const auto tokenizer = model->tokenizer();
    std::vector<Adapted> adapters = std::exchange(options.adapters, {});
    std::unique_ptr<Session> session(
        new Session(std::move(model), std::move(options), tokenizer.ok() ? *tokenizer : nullptr));
    WALLABY_OK(session->set_adapters(std::move(adapters)));
    return session;
}

Session::~Session() {
    truncate(0);
    const std::lock_guard lock(model_->step_);
    states_.clear();
}

Result<void> Session::append(std::span<const int32_t> tokens) {
    for (const int32_t token : tokens) {
        if (token < 0 || uint32_t(token) >= model_->n_vocab()) {
            return Error{ErrorCode::argument,
                         fmt::format("token {} is not one of the model's {}", token, model_->n_vocab()),
                         {},
                         ""};
        }
    }
    if (tokens_.size() + tokens.size() > model_->n_ctx()) {
        return too_long(tokens_.size() + tokens.size(), model_->n_ctx());
    }
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    in_reply_ = false;
    return {};
}

void Session::truncate(size_t n) {
    n = std::min(n, tokens_.size());
    tokens_.resize(n);
    in_reply_ = false;
    rewind(n);
    const std::lock_guard lock(model_->step_);
    pages_.truncate(n_evaluated_);
}

Result<void> Session::set_adapters(std::vector<Adapted> adapters) {
    std::vector<backends::Batch::Sequence::Adapted> ready;
    for (const auto& [adapter, scale] : adapters) {
        if (adapter == nullptr || !adapter->is_of(*model_)) {
            return Error{ErrorCode::argument,
                         "is an adapter of another model",
                         {adapter == nullptr ? "" : adapter->name(), "", {}},
                         "Load it for this one"};
        }
        if (!std::isfinite(scale)) {
            return Error{ErrorCode::argument,
                         fmt::format("is used at the scale {}", scale),
                         {adapter->name(), "", {}},
                         "Use a finite number"};
        }
        ready.push_back({adapter->adapter_.get(), scale});
    }
    if (adapters == options_.adapters) { return {}; }
    rewind(0);
    options_.adapters = std::move(adapters);
    adapters_ = std::move(ready);
    return {};
}

// Makes n the most tokens that count as evaluated.
void Session::rewind(size_t n) {
    if (n >= n_evaluated_) { return; }
    const std::lock_guard lock(model_->step_);
    n_evaluated_ = states_.rewind(n);
}

Result<void> Session::evaluate(size_t n, size_t n_outputs, const std::stop_token& stop) {
    backends::Batch batch;
    batch.observer = options_.observer ? &options_.observer : nullptr;
    for (size_t i = 0; i < n; i++) {
        batch.rows.push_back({tokens_[n_evaluated_ + i], uint32_t(n_evaluated_ + i), 0, i + n_outputs >= n});
    }
    logits_.resize(n_outputs * model_->n_vocab());
    const std::lock_guard lock(model_->step_);
    WALLABY_OK(pages_.reserve(n_evaluated_ + n));
    WALLABY_TRY(const kv::Checkpoints::Step slots, states_.begin());
    batch.sequences.push_back({pages_.pages(), slots.from, slots.to, adapters_});
    WALLABY_OK(model_->executable_->run(0, batch, logits_, stop));
    n_evaluated_ += n;
    states_.commit(n_evaluated_);
    return {};
}

Result<void> Session::evaluate_until(size_t end, const std::stop_token& stop) {
    const size_t n_batch = model_->plan().settings.n_batch;
    while (n_evaluated_ < end) {
        const size_t left = end - n_evaluated_;
        const bool is_prompt = left > 1 || timings_.n_generated == 0;
        size_t n = std::min(left, n_batch);
        // The state before a prompt's last token is kept, so that a reply can be taken back or asked for again.
        if (states_.needed() && is_prompt && left > 1) { n = std::min(n, left - 1); }
        const double start = base::monotonic_seconds();
        WALLABY_OK(evaluate(n, n == left ? 1 : 0, stop));
        const double seconds = base::monotonic_seconds() - start;
        if (states_.needed() && is_prompt && n == left - 1) {
            const std::lock_guard lock(model_->step_);
            states_.keep();
        }
        if (is_prompt) {
            timings_.n_prompt += n;
            timings_.prompt_seconds += seconds;
        } else {
            timings_.generated_seconds += seconds;
        }
    }
    return {};
}

void Session::begin_reply() {
    in_reply_ = true;
    finish_.reset();
    stops_.reset();
    timings_ = {};
    if (tokenizer_ == nullptr) { return; }
    // A reply after nothing but BOS opens the text: SentencePiece's leading space is no part of it.
    const bool at_start =
        std::all_of(tokens_.begin(), tokens_.end(), [&](int32_t t) { return tokenizer_->is_special(t); });
    decoder_.emplace(*tokenizer_, options_.render_special, at_start);
}

void Session::end_reply(Event& event, Finish finish) {
    if (decoder_) { event.text += stops_.push(decoder_->flush()); }
    event.text += stops_.flush();
    finish_ = finish;
    event.finish = finish;
}

Result<Event> Session::next(const std::stop_token& stop) {
    if (tokens_.empty()) {
        return Error{ErrorCode::argument,
                     "there is nothing to go on from: the prompt is empty and the model has no BOS token",
                     {},
                     "Give a prompt"};
    }
    if (!in_reply_) { begin_reply(); }
    Event event;
    if (finish_) {
        event.finish = finish_;
        event.timings = timings_;
        return event;
    }
    if (n_evaluated_ == tokens_.size()) {
        rewind(tokens_.size() - 1);  // nothing new since a truncation: its logits are wanted again
    }
    WALLABY_OK(evaluate_until(tokens_.size(), stop));
    const sampling::Choice choice = sampler_.sample(logits_, tokens_);
    timings_.n_generated++;
    event.ids.push_back(choice.token);
    event.log_probabilities.push_back(choice.log_probability);
    const bool full = tokens_.size() == model_->n_ctx();
    if (!full) { tokens_.push_back(choice.token); }

    const bool ends = tokenizer_ != nullptr && tokenizer_->is_eog(choice.token) && !options_.ignore_eos;
    if (!ends && decoder_) { event.text += stops_.push(decoder_->push(choice.token)); }
    if (stops_.stopped()) {
        end_reply(event, Finish::stop_string);
    } else if (ends) {
        end_reply(event, Finish::end_token);
    } else if (options_.max_tokens != 0 && timings_.n_generated >= options_.max_tokens) {
        end_reply(event, Finish::length);
    } else if (full) {
        end_reply(event, Finish::context);
    }
    event.timings = timings_;
    return event;
}

Result<void> Session::score(std::span<const int32_t> tokens, const Sink& sink, const std::stop_token& stop) {
    WALLABY_OK(append(tokens));
    const size_t first = tokens_.size() - tokens.size();
    WALLABY_OK(evaluate_until(first, stop));
    while (n_evaluated_ < tokens_.size()) {
        const size_t n =
            std::min({tokens_.size() - n_evaluated_, rows_per_score, size_t(model_->plan().settings.n_batch)});
        const size_t at = n_evaluated_ - first;
        WALLABY_OK(evaluate(n, n, stop));
        for (size_t i = 0; i < n; i++) {
            WALLABY_OK(sink(at + i, std::span<const float>(logits_).subspan(i * model_->n_vocab(), model_->n_vocab())));
        }
    }
    return {};
}

}  // namespace wallaby::engine
