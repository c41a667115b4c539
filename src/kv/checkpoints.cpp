#include "kv/checkpoints.h"

namespace wallaby::kv {

void Checkpoints::release(State& state) {
    if (state.slot != no_slot) { pool_->release(state.slot); }
    state = {};
}

void Checkpoints::clear() {
    release(newest_);
    release(kept_);
    if (writing_ != no_slot) { pool_->release(writing_); }
    writing_ = no_slot;
}

Result<Checkpoints::Step> Checkpoints::begin() {
    if (!needed_) { return Step{}; }
    if (writing_ == no_slot) {
        const auto slot = pool_->take();
        if (!slot) {
            return Error{ErrorCode::capacity,
                         fmt::format("all {} slots of recurrent state are in use", pool_->n_pages()),
                         {},
                         "End another sequence"};
        }
        writing_ = *slot;
    }
    return Step{newest_.slot, writing_};
}

void Checkpoints::commit(size_t n_tokens) {
    if (!needed_) { return; }
    release(newest_);
    newest_ = {writing_, n_tokens};
    writing_ = no_slot;
}

void Checkpoints::keep() {
    if (!needed_ || newest_.slot == no_slot) { return; }
    release(kept_);
    kept_ = newest_;
    pool_->hold(kept_.slot);
}

size_t Checkpoints::rewind(size_t n_tokens) {
    if (!needed_ || n_tokens >= newest_.n_tokens) { return needed_ ? newest_.n_tokens : n_tokens; }
    release(newest_);
    if (kept_.n_tokens > n_tokens) { release(kept_); }
    newest_ = kept_;
    if (newest_.slot != no_slot) { pool_->hold(newest_.slot); }
    return newest_.n_tokens;
}

}  // namespace wallaby::kv
