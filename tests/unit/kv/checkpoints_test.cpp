#include "kv/checkpoints.h"

#include <gtest/gtest.h>

namespace {

using namespace wallaby::kv;

SlotId step(Checkpoints& c, size_t n_tokens) {
    const auto slots = c.begin();
    EXPECT_TRUE(slots.ok());
    EXPECT_NE(slots->from, slots->to);
    c.commit(n_tokens);
    return slots->to;
}

TEST(KvCheckpoints, AStepReadsTheNewestAndWritesAnother) {
    PagePool pool(slots_per_sequence);
    Checkpoints c(pool);
    EXPECT_EQ(c.begin()->from, no_slot);
    const SlotId first = step(c, 5);
    const auto second = c.begin();
    EXPECT_EQ(second->from, first);
    // A step that failed is simply begun again.
    EXPECT_EQ(c.begin()->from, first);
    EXPECT_EQ(c.begin()->to, second->to);
    c.commit(9);
    EXPECT_EQ(c.begin()->from, second->to);
}

TEST(KvCheckpoints, GoesBackToTheCheckpointOrTheBeginning) {
    PagePool pool(slots_per_sequence);
    {
        Checkpoints c(pool);
        const SlotId kept = step(c, 5);
        c.keep();
        for (size_t n = 6; n < 20; n++) { EXPECT_NE(step(c, n), kept); }
        EXPECT_EQ(c.rewind(25), 19u);  // nothing to undo
        EXPECT_EQ(c.rewind(12), 5u);
        EXPECT_EQ(c.begin()->from, kept);
        step(c, 7);
        EXPECT_EQ(c.rewind(5), 5u);
        EXPECT_EQ(c.begin()->from, kept);
        EXPECT_EQ(c.rewind(4), 0u);
        EXPECT_EQ(c.begin()->from, no_slot);
        EXPECT_EQ(c.rewind(4), 0u);
        step(c, 3);
        c.keep();
        step(c, 4);
        c.keep();
        EXPECT_EQ(c.rewind(3), 0u);  // the checkpoint moved on
    }
    EXPECT_EQ(pool.n_free(), slots_per_sequence);
}

TEST(KvCheckpoints, AnotherSequenceTooManyIsAnError) {
    PagePool pool(1);
    Checkpoints a(pool), b(pool);
    EXPECT_TRUE(a.begin().ok());
    EXPECT_FALSE(b.begin().ok());
}

TEST(KvCheckpoints, NothingToDoWithoutRecurrentStates) {
    PagePool none(0);
    Checkpoints c(none);
    EXPECT_FALSE(c.needed());
    EXPECT_EQ(c.begin()->to, no_slot);
    c.commit(100);
    c.keep();
    EXPECT_EQ(c.rewind(42), 42u);
}

}  // namespace
