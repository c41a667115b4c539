// Every family of the golden models, lied to: each tensor taken away or changed, each hyper-parameter set to what it
// cannot be. Building the program must refuse by name, or do without; it must never crash, hang or take much memory.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>

#include "gguf/writer.h"
#include "models/models.h"
#include "support/children.h"
#include "support/data.h"
#include "support/memory_sink.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;

// A file's header with other keys or other tensors. No data: only small tensors are read while building, and those are
// zeros here.
class Liar final : public gguf::WeightSource {
  public:
    explicit Liar(const gguf::WeightSource& truth) : truth_(truth) {
        tensors_.assign(truth.tensors().begin(), truth.tensors().end());
    }
    gguf::Draft& keys() {
        if (!draft_) { draft_.emplace().copy(truth_.metadata()); }
        return *draft_;
    }
    std::vector<gguf::Tensor>& lies() { return tensors_; }
    // After the last change.
    void tell() {
        if (draft_) {
            MemorySink::Seen seen;
            auto writer = gguf::Writer::create(std::make_unique<MemorySink>(seen), *draft_);
            if (!writer.ok() || !writer->commit().ok()) { std::abort(); }
            file_ = *gguf::read_file(base::MemorySource(seen.bytes, "liar.gguf"));
        }
        for (const gguf::Tensor& t : tensors_) { by_name_[t.name] = &t; }
    }

    const gguf::Metadata& metadata() const override { return draft_ ? file_.metadata : truth_.metadata(); }
    std::span<const gguf::Tensor> tensors() const override { return tensors_; }
    const gguf::Tensor* find(std::string_view name) const override {
        const auto at = by_name_.find(name);
        return at == by_name_.end() ? nullptr : at->second;
    }
    Result<void> read(const gguf::Tensor&, uint64_t, std::span<uint8_t> out) const override {
        std::ranges::fill(out, uint8_t(0));
        return {};
    }

  private:
    const gguf::WeightSource& truth_;
    std::optional<gguf::Draft> draft_;  // where the keys lie
    std::vector<gguf::Tensor> tensors_;
    gguf::File file_;
    std::map<std::string_view, const gguf::Tensor*> by_name_;
};

struct Lie {
    std::string name;
    std::function<void(Liar&)> tell;
    bool must_be_refused;
};

void shape(gguf::Tensor& t, quant::Type type) {
    t.type = type;
    t.n_bytes = t.n_elements() * quant::format_of(type).block_bytes;
}

std::vector<Lie> lies_about(const gguf::WeightSource& truth) {
    std::vector<Lie> all;
    for (size_t i = 0; i < truth.tensors().size(); i++) {
        const std::string& name = truth.tensors()[i].name;
        if (name.starts_with("blk.1.")) { continue; }  // the first and the last of three layers will do
        // What a family leaves out by name may be anything.
        const bool is_used = !name.ends_with(".input_scale") && name != "cls.output.weight";
        all.push_back(
            {name + " missing", [i](Liar& l) { l.lies().erase(l.lies().begin() + std::ptrdiff_t(i)); }, false});
        all.push_back({name + " as integers", [i](Liar& l) { shape(l.lies()[i], quant::Type::i32); }, is_used});
        all.push_back({name + " one longer",
                       [i](Liar& l) {
                           gguf::Tensor& t = l.lies()[i];
                           t.dims[t.n_dims - 1]++;
                           shape(t, t.type);
                       },
                       is_used});
        all.push_back({name + " one wider",
                       [i](Liar& l) {
                           gguf::Tensor& t = l.lies()[i];
                           t.dims[0]++;
                           shape(t, t.type);
                       },
                       is_used});
        all.push_back({name + " by another name", [i](Liar& l) { l.lies()[i].name += ".not"; }, true});
    }
    const std::string prefix = std::string(*truth.metadata().string("general.architecture")) + ".";
    for (const auto& entry : truth.metadata().entries()) {
        const std::string key(entry.key);
        if (!key.starts_with(prefix)) { continue; }
        const auto set = [&](const char* what, auto value) {
            all.push_back({key + " " + what, [=](Liar& l) { l.keys().set(key, value); }, false});
        };
        all.push_back({key + " missing", [=](Liar& l) { l.keys().remove(key); }, false});
        set("string", "x");
        set("zero", 0u);
        set("three", 3u);
        set("2^32 - 1", UINT32_MAX);
        set("NaN", NAN);
        all.push_back({key + " array",
                       [=](Liar& l) {
                           const int32_t values[] = {0, -1, INT32_MAX};
                           l.keys().set_array<int32_t>(key, values);
                       },
                       false});
    }
    return all;
}

TEST(ModelsLies, AreRefusedOrHarmlessInEveryFamily) {
    WALLABY_NEED_DATA(data);
    size_t n_families = 0, n_lies = 0, n_refused = 0, n_bad = 0;
    double slowest = 0;
    for (const auto& entry : std::filesystem::directory_iterator(data / "golden/archs")) {
        if (entry.path().extension() != ".gguf") { continue; }
        const auto truth = gguf::open_gguf(entry.path());
        ASSERT_TRUE(truth.ok());
        if (!models::build(**truth, {}).ok()) { continue; }  // a family that this build does not run
        n_families++;
        const std::vector<Lie> lies = lies_about(**truth);
        const ChildLimits limits{2, {}, [](size_t) { return uint64_t(64) << 20; }};
        const auto verdicts = run_in_children(lies.size(), limits, [&](size_t i) {
            Liar liar(**truth);
            lies[i].tell(liar);
            liar.tell();
            const auto model = models::build(liar, {});
            if (model.ok()) { return Verdict::accepted; }
            return model.error().message().empty() ? Verdict::pending : Verdict::refused;
        });
        for (size_t i = 0; i < lies.size(); i++) {
            const Verdict v = verdicts.each[i];
            const bool good = v == Verdict::refused || (v == Verdict::accepted && !lies[i].must_be_refused);
            if (!good) { ADD_FAILURE() << entry.path().filename() << ": " << lies[i].name << ": " << int(v); }
            n_bad += good ? 0 : 1;
        }
        n_lies += lies.size();
        n_refused += verdicts.count(Verdict::refused);
        slowest = std::max(slowest, verdicts.slowest_seconds);
    }
    std::printf("[ tried    ] %zu lies about %zu files: %zu refused, %zu wrongly judged; slowest %.1f ms\n", n_lies,
                n_families, n_refused, n_bad, 1000 * slowest);
    EXPECT_GE(n_families, 5u);
}

}  // namespace
