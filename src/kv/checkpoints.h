// Where a sequence's recurrent states stand, by slot numbers: the newest state, and one checkpoint to go back to. No
// bytes here. Of a model without such states everything can be cut back anywhere, and this does nothing.
#pragma once
#include <algorithm>

#include "kv/pages.h"

namespace wallaby::kv {

inline constexpr uint32_t slots_per_sequence = 3;  // the newest state, the one being written, a checkpoint

class Checkpoints {
  public:
    // `slots` outlives it; a pool of no slots: the model has no recurrent states.
    explicit Checkpoints(PagePool& slots) : pool_(&slots), needed_(slots.n_pages() != 0) {}
    Checkpoints(const Checkpoints&) = delete;
    Checkpoints& operator=(const Checkpoints&) = delete;
    ~Checkpoints() { clear(); }

    bool needed() const { return needed_; }

    // What a step reads (no_slot: nothing yet) and what it writes; both no_slot where none are needed.
    struct Step {
        SlotId from = no_slot, to = no_slot;
    };
    Result<Step> begin();
    // The step has succeeded, and the sequence now has n_tokens. After a failed step call nothing.
    void commit(size_t n_tokens);
    // Makes the newest state the checkpoint.
    void keep();
    // Goes back to a state of at most n_tokens tokens, and returns how many it has: n_tokens itself where no states
    // are needed.
    size_t rewind(size_t n_tokens);
    // Gives every slot back.
    void clear();

  private:
    struct State {
        SlotId slot = no_slot;
        size_t n_tokens = 0;
    };
    void release(State& state);

    PagePool* pool_;
    bool needed_;
    State newest_, kept_;
    SlotId writing_ = no_slot;
};

}  // namespace wallaby::kv
