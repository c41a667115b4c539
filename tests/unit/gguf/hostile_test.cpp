// Broken and lying files through the whole path that a user's file takes: opened by name, its program built, its
// tokenizer made, its weights loaded. Each must be refused with an error that says where: no signal, no hang, and no
// more memory than the file's size and 64 MiB.
#include <fcntl.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/session.h"
#include "support/children.h"
#include "support/runner.h"
#include "unit/gguf/malformed_cases.h"
#include "unit/gguf/model_lies.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
namespace fs = std::filesystem;

constexpr uint64_t mib = 1 << 20;

struct TemporaryFile {
    std::string path = ::testing::TempDir() + "wallaby-hostile-" + std::to_string(::getpid()) + ".gguf";
    ~TemporaryFile() { fs::remove(path); }
    void write(std::span<const uint8_t> bytes) const {
        std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), long(bytes.size()));
    }
};

// What the path refuses a file with, at the latest when its last token is evaluated; nothing when all is accepted.
std::optional<Error> refusal_of_file(const std::string& path) {
    threads::Pool pool(1);
    const auto model = engine::Model::load(path, {}, {pool, {}, {}, {}});
    if (!model.ok()) { return model.error(); }
    const auto tokenizer = (*model)->tokenizer();
    if (!tokenizer.ok()) { return tokenizer.error(); }
    // Rows of an embedding that is left in the file are looked at when their token comes.
    const auto session = must(engine::Session::create(*model, {}));
    const auto last = int32_t((*model)->n_vocab()) - 1;
    if (const auto appended = session->append(std::array{last}); !appended.ok()) { return appended.error(); }
    const auto event = session->next({});
    return event.ok() ? std::nullopt : std::optional(event.error());
}

Verdict verdict_of(const std::string& path) {
    const auto error = refusal_of_file(path);
    if (!error) { return Verdict::accepted; }
    if (error->code == ErrorCode::memory || error->code == ErrorCode::capacity) { return Verdict::over_budget; }
    return error->message().empty() || error->where.file != path ? Verdict::accepted : Verdict::refused;
}

// All of n files refused: prints what was tried and returns the line of figures.
void expect_all_refused(const std::string& what, const Verdicts& verdicts,
                        const std::function<std::string(size_t)>& name_of) {
    std::printf("[ tried    ] %zu %s: %zu signals, %zu hangs, %zu over budget; slowest %.1f ms\n", verdicts.each.size(),
                what.c_str(), verdicts.count(Verdict::signal), verdicts.count(Verdict::hang),
                verdicts.count(Verdict::over_budget), 1000 * verdicts.slowest_seconds);
    static constexpr const char* names[] = {"not tried", "refused", "accepted", "over budget", "signal", "hang"};
    for (size_t i = 0; i < verdicts.each.size(); i++) {
        if (verdicts.each[i] != Verdict::refused) {
            ADD_FAILURE() << name_of(i) << ": " << names[size_t(verdicts.each[i])];
        }
    }
}

ChildLimits limits_of(const std::string& path, std::function<void(size_t)> prepare) {
    return {2, std::move(prepare), [path](size_t) { return uint64_t(fs::file_size(path)) + 64 * mib; }};
}

TEST(GgufHostile, TheJudgeItselfWorks) {
    ChildLimits limits;
    limits.seconds = 0.2;
    limits.address_space = [](size_t) { return 64 * mib; };
    const auto verdicts = run_in_children(8, limits, [](size_t i) {
        volatile uint64_t forever = 1;
        switch (i) {
            case 1: ::raise(SIGSEGV); break;
            case 2: std::abort();
            case 4:
                while (forever != 0) {}
                break;
            case 5:
                return std::vector<uint8_t>(under_sanitizer ? 0 : 80 * mib).size() == 1 ? Verdict::accepted
                                                                                        : Verdict::over_budget;
            case 6: return std::vector<uint8_t>(40 * mib)[0] == 0 ? Verdict::accepted : Verdict::refused;
            default: break;
        }
        return Verdict::refused;
    });
    EXPECT_EQ(verdicts.each,
              (std::vector<Verdict>{Verdict::refused, Verdict::signal, Verdict::signal, Verdict::refused, Verdict::hang,
                                    Verdict::over_budget, Verdict::accepted, Verdict::refused}));
}

TEST(GgufHostile, MalformedFiles) {
    struct File {
        std::string name;
        std::function<std::vector<uint8_t>()> make;
    };
    std::vector<File> files;
    for (const malformed::Case& c : malformed::all_cases()) {
        files.push_back({c.name, [=] { return c.bytes; }});
    }
    const size_t n_of_format = files.size();
    for (const Lie& lie : lies::all()) { files.push_back({lie.name, lie.make}); }
    EXPECT_GE(n_of_format, 80u);
    EXPECT_GE(files.size(), 200u);
    const TemporaryFile file;
    const auto verdicts =
        run_in_children(files.size(), limits_of(file.path, [&](size_t i) { file.write(files[i].make()); }),
                        [&](size_t) { return verdict_of(file.path); });
    expect_all_refused(
        fmt::format("malformed ({} of the format, {} of the model)", n_of_format, files.size() - n_of_format), verdicts,
        [&](size_t i) { return files[i].name; });
}

// The error of each lie names the key or the tensor that it is about.
TEST(GgufHostile, LiesAreNamed) {
    const TemporaryFile file;
    std::set<size_t> seen;  // hashes: the files together would be much memory
    for (const Lie& lie : lies::all()) {
        const std::vector<uint8_t> bytes = lie.make();
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        EXPECT_TRUE(seen.insert(std::hash<std::string_view>()(text)).second)
            << lie.name << ": another lie is the same file";
        file.write(bytes);
        const auto error = refusal_of_file(file.path);
        if (!error) {
            ADD_FAILURE() << lie.name << ": accepted";
            continue;
        }
        EXPECT_NE(error->where.field.find(lie.field), std::string::npos) << lie.name << ": " << error->message();
        EXPECT_NE(error->code, ErrorCode::io) << lie.name;
    }
}

// The files that the lies are made from are not refused: each lie is the only thing wrong with its file.
TEST(GgufHostile, TheTruthIsAccepted) {
    const TemporaryFile file;
    for (const auto& bytes : {lies::small(), lies::small_routed(), lies::wide()}) {
        file.write(bytes);
        const auto error = refusal_of_file(file.path);
        EXPECT_FALSE(error.has_value()) << error->message();
    }
}

// Odd, and yet no contradiction: real files have such things, or they have one meaning only.
TEST(GgufHostile, OddFilesThatAreAccepted) {
    const auto with_tokens = [](const std::function<void(std::vector<std::string>&)>& change) {
        return [=](EditedGguf& f) {
            std::vector<std::string> tokens = TinyModel::tokens();
            change(tokens);
            f.keys.set_array("tokenizer.ggml.tokens", tokens);
        };
    };
    const auto norm_as = [](quant::Type type) {
        return [=](EditedGguf& f) {
            EditedGguf::Part& norm = f.part("blk.0.attn_norm.weight");
            norm.resize(type, norm.dims);
        };
    };
    const std::string nested = [] {
        std::string text;
        for (int i = 0; i < 100000; i++) { text += "{% for m in messages %}"; }
        return text;
    }();
    const std::pair<const char*, lies::Edit> odd[] = {
        {"a token's text twice: the first is found", with_tokens([](auto& t) { t[262] = t[261]; })},
        {"a token that is not UTF-8: tokens are bytes", with_tokens([](auto& t) { t[262] = "\xff\xfe"; })},
        {"a norm in blocks: any weight format decodes", norm_as(quant::Type::q8_0)},
        {"a norm in F16", norm_as(quant::Type::f16)},
        {"a chat template nested deep: it is compared, not run",
         [&](EditedGguf& f) { f.keys.set("tokenizer.chat_template", nested); }},
        {"a chat template without an end",
         [](EditedGguf& f) { f.keys.set("tokenizer.chat_template", "{% for i in range(10**12) %}x{% endfor %}"); }},
        {"keys that nobody knows", [](EditedGguf& f) { f.keys.set("llama.colour", "green").set("x", UINT64_MAX); }},
        {"a file merged from a set",
         [](EditedGguf& f) { f.keys.set("split.count", uint16_t(0)).set("split.tensors.count", int32_t(9)); }},
        {"merges of pieces that are no tokens: steps only",
         [](EditedGguf& f) {
             Toy toy = bpe_toy();
             while (toy.tokens.size() < TinyModel::n_vocab) { toy.add("filler" + std::to_string(toy.tokens.size())); }
             toy.merges.emplace_back("zz qq");
             f.keys.set("tokenizer.ggml.model", "gpt2").set("tokenizer.ggml.pre", "gpt-2");
             f.keys.set_array("tokenizer.ggml.tokens", toy.tokens).set_array("tokenizer.ggml.merges", toy.merges);
             f.keys.set_array<int32_t>("tokenizer.ggml.token_type", toy.types);
         }},
    };
    const TemporaryFile file;
    for (const auto& [name, edit] : odd) {
        EditedGguf parts = lies::parts_of(lies::small());
        edit(parts);
        file.write(parts.build());
        const auto error = refusal_of_file(file.path);
        EXPECT_FALSE(error.has_value()) << name << ": " << error->message();
    }
}

TEST(GgufHostile, EveryPrefixOfAHeader) {
    const std::vector<uint8_t>& bytes = lies::small();
    const uint64_t n = read(bytes)->data_offset;
    const TemporaryFile file;
    file.write(bytes);
    const auto cut = [&](size_t i) { fs::resize_file(file.path, n - 1 - i); };
    const auto verdicts = run_in_children(n, limits_of(file.path, cut), [&](size_t) { return verdict_of(file.path); });
    expect_all_refused("prefixes of a header", verdicts, [&](size_t i) { return fmt::format("{} bytes", n - 1 - i); });
}

TEST(GgufHostile, AThousandTruncationsOfTheData) {
    const std::vector<uint8_t>& bytes = lies::small();
    const gguf::File parsed = *read(bytes);
    const uint64_t end = parsed.tensors.back().offset + parsed.tensors.back().n_bytes;
    // Evenly over the data, and every byte of its end.
    constexpr uint64_t n = 1000;
    std::vector<uint64_t> sizes;
    for (uint64_t i = 0; i < 100; i++) { sizes.push_back(end - 1 - i); }
    for (uint64_t i = 0; i < n - 100; i++) {
        sizes.push_back(end - 101 - (end - 101 - parsed.data_offset) * i / (n - 101));
    }
    const TemporaryFile file;
    file.write(bytes);
    const auto cut = [&](size_t i) { fs::resize_file(file.path, sizes[i]); };
    const auto verdicts = run_in_children(n, limits_of(file.path, cut), [&](size_t) { return verdict_of(file.path); });
    expect_all_refused("truncations of the data", verdicts,
                       [&](size_t i) { return fmt::format("{} bytes", sizes[i]); });
}

}  // namespace
