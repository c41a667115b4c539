// Adapters of sessions: several on one model at once, taken and left in the middle of a text.
#include "engine/adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "engine/session.h"
#include "support/lora.h"
#include "support/runner.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using engine::Adapted;
using engine::Session;

const std::vector<int32_t> prompt{1, 10, 20, 30, 40, 50, 60, 70, 80, 90};

struct Fixture {
    threads::Pool pool{2};
    TinyModel tiny;
    std::shared_ptr<engine::Model> model;
    Adapted a, b;

    explicit Fixture(const TinyModel& t = {}) : tiny(t), model(load()) {
        a = {adapter({.rank = 4}), 1};
        b = {adapter({.rank = 6, .seed = 8}), -0.5f};
    }
    std::shared_ptr<engine::Model> load() {
        return must(engine::Model::load(tiny.open(), {.n_seqs = 3}, {pool, {}, {}, {}}));
    }
    std::shared_ptr<const engine::Adapter> adapter(const TinyAdapter& made) const {
        return must(engine::Adapter::load(model, made.open(*tiny.open())));
    }
    std::unique_ptr<Session> session(std::vector<Adapted> adapters) const {
        engine::SessionOptions options;
        options.sampling.temperature = 0;
        options.ignore_eos = true;
        options.adapters = std::move(adapters);
        return must(Session::create(model, options));
    }
};

std::vector<float> score(Session& session, const std::vector<int32_t>& tokens) {
    std::vector<float> out;
    const auto scored = session.score(tokens,
                                      [&](size_t, std::span<const float> row) -> Result<void> {
                                          out.insert(out.end(), row.begin(), row.end());
                                          return {};
                                      },
                                      {});
    EXPECT_TRUE(scored.ok());
    return out;
}

// By models whose state can be cut back, and by one whose state cannot.
const TinyModel models[] = {{}, {.architecture = "mamba2"}};

TEST(EngineAdapter, SessionsOfOneModelHaveTheirOwn) {
    for (const TinyModel& tiny : models) {
        const Fixture f(tiny);
        const auto plain = f.session({}), with_a = f.session({f.a}), with_both = f.session({f.a, f.b});
        const auto p = score(*plain, prompt), a = score(*with_a, prompt), both = score(*with_both, prompt);
        EXPECT_GT(relative_error(a, p), 0.05);
        EXPECT_GT(relative_error(both, a), 0.05);
        const auto again = f.session({});
        EXPECT_EQ(score(*again, prompt), p) << "others' adapters";
    }
}

// After a change, a session is what one with the new adapters would be after the same tokens: to the bit, and back.
TEST(EngineAdapter, SwappedInTheMiddle) {
    for (const TinyModel& tiny : models) {
        const Fixture f(tiny);
        const std::vector<int32_t> more{7, 77, 17};
        const auto wanted = [&](const std::vector<Adapted>& adapters) {
            const auto fresh = f.session(adapters);
            score(*fresh, prompt);
            return score(*fresh, more);
        };
        const auto session = f.session({});
        score(*session, prompt);
        for (const std::vector<Adapted>& adapters :
             {std::vector<Adapted>{f.a}, {f.a, f.b}, {{f.a.adapter, 0.25f}}, {}, {f.b}}) {
            ASSERT_TRUE(session->set_adapters(adapters).ok());
            EXPECT_EQ(session->tokens(), prompt);
            EXPECT_EQ(score(*session, more), wanted(adapters));
            session->truncate(prompt.size());
        }
    }
}

// A text that goes on with the same adapters is not evaluated again.
TEST(EngineAdapter, TheSameAgainCostsNothing) {
    const Fixture f;
    const auto session = f.session({f.a});
    ASSERT_TRUE(session->append(prompt).ok());
    must(session->next({}));
    ASSERT_TRUE(session->set_adapters({f.a}).ok());
    EXPECT_EQ(must(session->next({})).timings.n_prompt, prompt.size());
    ASSERT_TRUE(session->set_adapters({f.b}).ok());
    session->truncate(prompt.size());
    EXPECT_EQ(must(session->next({})).timings.n_prompt, prompt.size());
}

TEST(EngineAdapter, RefusesAnothersAndScalesThatAreNone) {
    const Fixture f, other;
    const auto session = f.session({f.a});
    const auto before = score(*session, prompt);
    for (const Adapted& adapted :
         {other.a, Adapted{nullptr, 1}, Adapted{f.b.adapter, NAN}, Adapted{f.b.adapter, INFINITY}}) {
        const auto set = session->set_adapters({f.b, adapted});
        ASSERT_FALSE(set.ok());
        EXPECT_EQ(set.error().code, ErrorCode::argument);
    }
    session->truncate(0);
    EXPECT_EQ(score(*session, prompt), before) << "a refused change has changed something";
    engine::SessionOptions options;
    options.adapters = {other.a};
    EXPECT_FALSE(Session::create(f.model, options).ok());
}

TEST(EngineAdapter, OutlivesTheModelsOwner) {
    Fixture f;
    const auto session = f.session({f.a});
    const auto before = score(*session, prompt);
    f.a = f.b = {};
    f.model.reset();
    session->truncate(0);
    EXPECT_EQ(score(*session, prompt), before);
}

TEST(EngineAdapter, IsReadFromAFile) {
    const Fixture f;
    const std::string path = ::testing::TempDir() + "wallaby-engine-adapter.gguf";
    const std::vector<uint8_t> bytes = TinyAdapter{.rank = 4}.build(*f.tiny.open());
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), ptrdiff_t(bytes.size()));
    const auto loaded = must(engine::Adapter::load(f.model, path));
    EXPECT_EQ(loaded->name(), path);
    EXPECT_TRUE(loaded->is_of(*f.model));
    EXPECT_EQ(score(*f.session({{loaded, 1}}), prompt), score(*f.session({f.a}), prompt));
    std::filesystem::remove(path);
    EXPECT_EQ(engine::Adapter::load(f.model, path).error().code, ErrorCode::io);
}

}  // namespace
