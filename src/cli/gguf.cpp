// wallaby gguf: files cut into sets and made whole, metadata changed, tensors' digests.
#include <charconv>
#include <map>

#include "assets/joey.h"
#include "base/checked.h"
#include "cli/app.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/writing.h"
#include "gguf/rewrite.h"
#include "gguf/shards.h"

namespace wallaby::cli {
namespace {

struct Flags {
    std::string in, out;
    std::string max_size, algorithm = "sha256", manifest;
    uint64_t max_tensors = 0;
    std::vector<std::string> assignments, removed;
    bool first_without_tensors = false, dry_run = false, force = false, totals_only = false;
};

using Source = std::unique_ptr<gguf::WeightSource>;

// Writes what the draft says with the source's tensors.
Result<std::string> copy(const gguf::WeightSource& source, gguf::SetWriter writer, const std::string& what,
                         const std::stop_token& stop) {
    const uint64_t n_bytes = writer.n_bytes();
    ProgressBar bar("writing");
    const auto progress = [&](uint64_t done, uint64_t total) { bar(done, total); };
    WALLABY_OK(gguf::copy_tensors(source, std::move(writer), progress, stop));
    return fmt::format("{}, {} tensors, {:.1f} MB\n", what, source.tensors().size(), double(n_bytes) / 1e6);
}

// "300M", "2G": of 1000s, as gguf-split counts.
Result<uint64_t> size_of(const std::string& text) {
    uint64_t n = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
    const std::string_view unit(end, size_t(text.data() + text.size() - end));
    const auto n_bytes = base::checked_mul(n, unit == "G" ? 1'000'000'000 : 1'000'000);
    if (problem != std::errc() || (unit != "M" && unit != "G") || n == 0 || !n_bytes) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no size", text),
                     {"", "--split-max-size", {}},
                     "For example 300M or 2G"};
    }
    return *n_bytes;
}

Result<std::string> split(const Flags& flags, const std::stop_token& stop) {
    gguf::SetLimits limits;
    limits.first_without_tensors = flags.first_without_tensors;
    if (!flags.max_size.empty()) { WALLABY_TRY(limits.max_bytes, size_of(flags.max_size)); }
    if (flags.max_tensors > 0) { limits.max_tensors = flags.max_tensors; }
    WALLABY_TRY(const Source source, assets::open_named(flags.in));
    const gguf::Draft draft = gguf::draft_of(*source);
    WALLABY_TRY(const gguf::Layout layout, draft.layout(flags.out));
    const std::vector<size_t> n_tensors = gguf::cut_set(layout, limits);
    const std::string prefix = prefix_of(flags.out);
    const auto count = uint32_t(n_tensors.size());
    if (flags.dry_run) {
        WALLABY_TRY(const std::vector<gguf::Draft> drafts, gguf::drafts_of_set(draft, n_tensors));
        std::string text;
        for (uint32_t no = 0; no < count; no++) {
            const std::string path = gguf::shard_path(prefix, no, count);
            WALLABY_TRY(const gguf::Layout part, drafts[no].layout(path));
            text += fmt::format("{}: {} tensors, {:.1f} MB, not written\n", path, n_tensors[no],
                                double(part.file_bytes) / 1e6);
        }
        return text;
    }
    WALLABY_TRY(gguf::SetWriter writer, gguf::SetWriter::create(prefix, draft, n_tensors));
    return copy(*source, std::move(writer), fmt::format("{}: {} files", gguf::shard_path(prefix, 0, count), count),
                stop);
}

Result<std::string> merge(const Flags& flags, const std::stop_token& stop) {
    WALLABY_TRY(const Source source, assets::open_named(flags.in));
    WALLABY_TRY(gguf::SetWriter writer, writer_like(*source, gguf::draft_of(*source), flags.out, false));
    return copy(*source, std::move(writer), fmt::format("{}: one file", flags.out), stop);
}

Result<std::string> set_metadata(const Flags& flags, const std::stop_token& stop) {
    WALLABY_TRY(const Source source, assets::open_named(flags.in));
    gguf::Draft draft = gguf::draft_of(*source);
    for (const std::string& assignment : flags.assignments) {
        WALLABY_OK(gguf::set_key(draft, source->metadata(), assignment, flags.force));
    }
    for (const std::string& key : flags.removed) {
        WALLABY_OK(gguf::remove_key(draft, source->metadata(), key, flags.force));
    }
    WALLABY_TRY(gguf::SetWriter writer, writer_like(*source, draft, flags.out, true));
    const std::string what =
        fmt::format("{}: {} keys set, {} removed", flags.out, flags.assignments.size(), flags.removed.size());
    return copy(*source, std::move(writer), what, stop);
}

// --- Digests, in the lines of llama.cpp's gguf-hash: "sha256    HEX  FILE:TENSOR", and FILE alone for all tensors

std::string name_of(const std::string& file, const std::string& tensor) {
    return tensor.empty() ? file : file + ":" + tensor;
}

// The digests of one algorithm by name, without the folders of files.
std::map<std::string, std::string, std::less<>> read_manifest(std::string_view text, std::string_view algorithm) {
    std::map<std::string, std::string, std::less<>> digests;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const size_t hex = line.find_first_not_of(' ', line.find(' '));
        const size_t end = hex == std::string_view::npos ? hex : line.find(' ', hex);
        const size_t name = end == std::string_view::npos ? end : line.find_first_not_of(' ', end);
        if (name == std::string_view::npos || line.substr(0, line.find(' ')) != algorithm) { continue; }
        const std::string_view path = line.substr(name);
        digests[std::string(path.substr(path.rfind('/') + 1))] = line.substr(hex, end - hex);
    }
    return digests;
}

// The lines, and whether all of them are as the manifest says.
Result<std::pair<std::string, bool>> hash(const Flags& flags, const std::stop_token& stop) {
    std::map<std::string, std::string, std::less<>> expected;
    if (!flags.manifest.empty()) {
        WALLABY_TRY(const std::string text, read_text(flags.manifest));
        expected = read_manifest(text, flags.algorithm);
        if (expected.empty()) {
            return Error{ErrorCode::format,
                         fmt::format("has no digests of {}", flags.algorithm),
                         {flags.manifest, "", {}},
                         "Name another with --algorithm"};
        }
    }
    WALLABY_TRY(const Source source, assets::open_named(flags.in));
    std::vector<gguf::NamedDigest> digests;
    {
        ProgressBar bar("reading");
        const auto progress = [&](uint64_t done, uint64_t total) { bar(done, total); };
        WALLABY_TRY(digests, gguf::digests_of(*source, flags.algorithm, progress, stop));
    }
    std::string text;
    bool all_good = true;
    for (const gguf::NamedDigest& digest : digests) {
        if (flags.totals_only && !digest.tensor.empty()) { continue; }
        text += fmt::format("{:<8}  {}  {}", flags.algorithm, digest.hex, name_of(flags.in, digest.tensor));
        if (!flags.manifest.empty()) {
            const auto found = expected.find(name_of(flags.in.substr(flags.in.rfind('/') + 1), digest.tensor));
            const bool good = found != expected.end() && found->second == digest.hex;
            text += good ? "  -  Ok" : found == expected.end() ? "  -  Not Found" : "  -  Not Ok";
            all_good = all_good && good;
        }
        text += '\n';
    }
    return std::pair(std::move(text), all_good);
}

// --- Flags

CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& what, Flags& flags) {
    CLI::App* verb = app.add_subcommand(name, what);
    verb->add_option("in", flags.in, "model file (GGUF; the first of a split one), or joey")
        ->type_name("IN")
        ->required();
    return verb;
}

int finish(const Result<std::string>& text) {
    if (!text.ok()) { return report(text.error()); }
    return print(*text) ? exit_ok : exit_failed;
}

int finish_hash(const Result<std::pair<std::string, bool>>& hashed) {
    if (!hashed.ok()) { return report(hashed.error()); }
    return print(hashed->first) && hashed->second ? exit_ok : exit_failed;
}

}  // namespace

std::function<int()> define_gguf(CLI::App& app) {
    app.require_subcommand(1);
    auto flags = std::make_shared<Flags>();

    CLI::App* split_app = add_verb(app, "split", "cut a file into a set of smaller ones", *flags);
    split_app->add_option("out", flags->out, "what their names begin with: OUT-00001-of-0000N.gguf; none may be there")
        ->type_name("OUT")
        ->required();
    CLI::Option* max_size =
        split_app->add_option("--split-max-size", flags->max_size, "tensors of at most this size in a file (300M, 2G)")
            ->type_name("N(M|G)");
    split_app->add_option("--split-max-tensors", flags->max_tensors, "at most so many tensors in a file (default 128)")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 30))
        ->excludes(max_size);
    split_app->add_flag("--no-tensor-first-split", flags->first_without_tensors, "the first file has metadata alone");
    split_app->add_flag("--dry-run", flags->dry_run, "say what the files would hold, and write nothing");

    CLI::App* merge_app = add_verb(app, "merge", "make one file of a set", *flags);
    merge_app->add_option("out", flags->out, "file to write")->type_name("OUT")->required();

    CLI::App* set_app =
        add_verb(app, "set-metadata", "write a file with other metadata (a set, where IN is one)", *flags);
    set_app->add_option("out", flags->out, "file to write")->type_name("OUT")->required();
    set_app
        ->add_option("keys", flags->assignments,
                     "a value of the type that the key has, or of u8 … i64, f32, f64, bool or string")
        ->type_name("KEY[:TYPE]=VALUE");
    set_app->add_option("--remove", flags->removed, "remove this key; may be given several times")
        ->type_name("KEY")
        ->expected(1)
        ->take_all();
    set_app->add_flag("--force", flags->force, "change also what must agree with the tensors");

    CLI::App* hash_app =
        add_verb(app, "hash", "digests of each tensor's bytes and of all, as gguf-hash prints", *flags);
    hash_app->add_option("--algorithm", flags->algorithm, fmt::format("one of {}", fmt::join(base::digest_names, ", ")))
        ->type_name("NAME")
        ->check(CLI::IsMember(std::vector<std::string>(base::digest_names.begin(), base::digest_names.end())))
        ->capture_default_str();
    hash_app
        ->add_option("-c,--check", flags->manifest, "compare with these lines; exit code 1 where one differs or lacks")
        ->type_name("MANIFEST");
    hash_app->add_flag("--no-layer", flags->totals_only, "only the digest of all tensors");

    return [=] {
        Interrupt interrupt;
        const std::stop_token stop = interrupt.arm();
        constexpr uint64_t default_max_tensors = 128;  // gguf-split's
        if (flags->max_size.empty() && flags->max_tensors == 0) { flags->max_tensors = default_max_tensors; }
        if (split_app->parsed()) { return finish(split(*flags, stop)); }
        if (merge_app->parsed()) { return finish(merge(*flags, stop)); }
        if (set_app->parsed()) { return finish(set_metadata(*flags, stop)); }
        return finish_hash(hash(*flags, stop));
    };
}

}  // namespace wallaby::cli
