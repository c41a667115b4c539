// wallaby bench: speed, memory and load times of models, beside what the machine allows in the same seconds.
#include <fmt/chrono.h>

#include <ctime>
#include <map>
#include <numeric>
#include <set>

#include "assets/joey.h"
#include "backends/backend.h"
#include "base/memory_use.h"
#include "base/system.h"
#include "bench/runner.h"
#include "cli/app.h"
#include "cli/bench_output.h"
#include "cli/foresight.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "convert/mixes.h"
#include "convert/synthetic.h"
#include "planner/footprint.h"

namespace wallaby::cli {
namespace {

struct Flags {
    using Words = std::vector<std::string>;
    Words models, synthetic;
    Words n_prompt, n_gen, prompt_gen, n_depth, n_seqs, n_batch, n_threads, k_types, v_types;
    uint32_t n_repetitions = 5;
    double delay = 0;
    uint64_t seed = 1;
    bool no_warmup = false, no_probe = false, cold = false, progress = false;
    std::string output = "md";
    ModelFlags engine;  // --isa, --backend, --mmap
};

// A model to measure: where it comes from, opened anew for each load.
struct Subject {
    std::string name;
    bool is_synthetic = false;

    Result<std::unique_ptr<gguf::WeightSource>> open() const {
        if (!is_synthetic) { return open_named(name); }
        const size_t colon = name.find(':');
        if (colon == std::string::npos) {
            return Error{ErrorCode::argument,
                         fmt::format("'{}' names no type", name),
                         {"", "--synthetic", {}},
                         "Give NAME:TYPE as `wallaby synth --list` shows them: tinyllama-1.1b:Q4_0"};
        }
        auto source = convert::open_synthetic(name.substr(0, colon), name.substr(colon + 1), 1);
        if (!source.ok()) {
            blame(source.error(), "--synthetic");
            return source.error();
        }
        return std::unique_ptr<gguf::WeightSource>(*std::move(source));
    }
};

// What the command line asks for, checked.
struct Request {
    backends::Choice engine;
    std::vector<Subject> subjects;
    bench::Lists lists;
    std::vector<bench::Group> groups;
};

Result<std::vector<quant::Type>> types_of(std::string_view flag, const Flags::Words& words) {
    std::vector<quant::Type> types;
    WALLABY_TRY(const auto names, bench::parse_names(flag, words));
    for (const std::string& name : names) {
        WALLABY_TRY(const quant::Type type, kv_type(flag, name));
        types.push_back(type);
    }
    return types;
}

Result<std::vector<Subject>> subjects_of(const Flags& flags) {
    std::vector<Subject> subjects;
    WALLABY_TRY(const auto models, bench::parse_names("-m", flags.models));
    WALLABY_TRY(const auto synthetic, bench::parse_names("--synthetic", flags.synthetic));
    for (const std::string& name : models) { subjects.push_back({name, false}); }
    for (const std::string& name : synthetic) { subjects.push_back({name, true}); }
    // A name that is wrong shall not show after an hour of measuring.
    for (const Subject& subject : subjects) { WALLABY_TRY([[maybe_unused]] const auto source, subject.open()); }
    if (subjects.empty()) {
        ModelFlags none;
        none.command = "wallaby bench";
        WALLABY_TRY([[maybe_unused]] const auto joey, open_model(none));  // which says so
        subjects.push_back({"joey", false});
    }
    return subjects;
}

Result<Request> request_of(const Flags& flags) {
    constexpr uint32_t most_tokens = 1 << 20, most_depth = 1 << 24, most_seqs = 1024, most_threads = 1024,
                       most_rows = 1 << 16;
    Request request;
    request.engine = flags.engine.backend_choice();
    WALLABY_TRY(request.engine.isa, backends::instruction_set(request.engine));
    bench::Lists& lists = request.lists;
    const auto take = [](auto& list, auto parsed) -> Result<void> {  // a flag that was not given leaves the default
        if (!parsed.ok()) { return parsed.error(); }
        if (!parsed->empty()) { list = *std::move(parsed); }
        return {};
    };
    WALLABY_OK(take(lists.n_prompt, bench::parse_numbers("-p", flags.n_prompt, {0, most_tokens})));
    WALLABY_OK(take(lists.n_gen, bench::parse_numbers("-n", flags.n_gen, {0, most_tokens})));
    WALLABY_OK(take(lists.n_prompt_gen, bench::parse_pairs("-pg", flags.prompt_gen, {0, most_tokens})));
    WALLABY_OK(take(lists.n_depth, bench::parse_numbers("-d", flags.n_depth, {0, most_depth})));
    WALLABY_OK(take(lists.n_seqs, bench::parse_numbers("-np", flags.n_seqs, {1, most_seqs})));
    WALLABY_OK(take(lists.n_batch, bench::parse_numbers("-b", flags.n_batch, {1, most_rows})));
    WALLABY_OK(take(lists.n_threads, bench::parse_numbers("-t", flags.n_threads, {1, most_threads})));
    WALLABY_OK(take(lists.k_types, types_of("--ctk", flags.k_types)));
    WALLABY_OK(take(lists.v_types, types_of("--ctv", flags.v_types)));
    WALLABY_TRY(request.groups, bench::cross_product(lists));
    WALLABY_TRY(request.subjects, subjects_of(flags));
    return request;
}

// "llama 1.1B Q4_0": family, size where the file names it, and the type of the file or else of most of its weights.
std::string describe(const gguf::WeightSource& source, const ops::Model& model) {
    const auto size = source.metadata().string_or("general.size_label", "");
    const auto file_type = source.metadata().u32_or("general.file_type", ~0u);
    std::string_view type = file_type.ok() ? convert::file_type_name(*file_type) : "";
    if (type.empty()) {
        std::map<std::string_view, uint64_t> n_weights;
        for (const gguf::Tensor& t : source.tensors()) { n_weights[quant::format_of(t.type).name] += t.n_elements(); }
        const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
        type = std::max_element(n_weights.begin(), n_weights.end(), by_count)->first;
    }
    const std::string sized = size.ok() && !size->empty() ? fmt::format(" {}", *size) : "";
    return fmt::format("{}{} {}", model.family, sized, type);
}

std::string utc_now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

class Bench {
  public:
    Bench(const Flags& flags, const Request& request, BenchOutput& output, const std::stop_token& stop)
        : flags_(flags), request_(request), output_(output), stop_(stop) {}

    Result<void> run() {
        for (const Subject& subject : request_.subjects) {
            WALLABY_OK(first_load(subject));
            for (const bench::Group& group : request_.groups) { WALLABY_OK(run_group(subject, group)); }
        }
        return {};
    }

  private:
    // A model and what loading it took.
    struct Loaded {
        std::unique_ptr<gguf::WeightSource> source;
        std::unique_ptr<bench::Runner> runner;
        double seconds = 0;
    };
    Result<Loaded> load(const Subject& subject, const bench::Group& group, threads::Pool& pool) const {
        ProgressBar bar("loading");
        Loaded loaded;
        const double start = base::monotonic_seconds();
        WALLABY_TRY(loaded.source, subject.open());
        WALLABY_TRY(const auto backend, backends::make(request_.engine, pool));
        WALLABY_TRY(loaded.runner, bench::Runner::load(
                                       *loaded.source, group, *backend,
                                       [&](uint64_t done, uint64_t total) { bar(done, total); }, stop_));
        loaded.seconds = base::monotonic_seconds() - start;
        return loaded;
    }

    // Leaves the model's files in the page cache, so that every later load is a warm one; from the disk where asked.
    Result<void> first_load(const Subject& subject) {
        row_ = {};
        row_.backend = request_.engine.name;
        row_.use_mmap = request_.engine.weights_in == backends::WeightsIn::file;
        row_.isa = request_.engine.isa;
        std::set<std::string> files;
        {
            WALLABY_TRY(const auto source, subject.open());
            if (subject.is_synthetic || source->metadata().file() == assets::joey_name) { return {}; }
            for (const gguf::Tensor& tensor : source->tensors()) { files.insert(source->file_of(tensor)); }
        }
        if (flags_.cold) {
            for (const std::string& file : files) { WALLABY_OK(base::drop_cached(file)); }
        }
        threads::Pool pool(request_.groups.front().n_threads);
        WALLABY_TRY(const Loaded loaded, load(subject, request_.groups.front(), pool));
        if (flags_.cold) { row_.load_seconds_cold = loaded.seconds; }
        return {};
    }

    Result<void> run_group(const Subject& subject, const bench::Group& group) {
        threads::Pool pool(group.n_threads);
        peak_rss_ = 0;
        (void)base::reset_peak_resident();
        WALLABY_TRY(const Loaded loaded, load(subject, group, pool));
        note_peak();
        describe_load(subject, group, loaded, pool.size());
        WALLABY_OK(find_speeds(loaded.runner->model(), group, pool));
        std::optional<probe::Measured> before;
        for (const bench::Test& test : group.tests) {
            if (flags_.delay > 0) {
                wait_for(flags_.delay, stop_);
                before.reset();
            }
            if (!before) { WALLABY_TRY(before, probe(pool)); }
            WALLABY_OK(run_test(*loaded.runner, test));
            WALLABY_TRY(const auto after, probe(pool));
            finish_row(loaded.runner->model(), before, after);
            tell_if_slow(before, after);
            if (!output_.row(row_)) { return Error{ErrorCode::io, "standard output is closed", {}, ""}; }
            before = after;
        }
        return {};
    }

    // Of the model's types, so that each test's time can be predicted.
    Result<void> find_speeds(const ops::Model& model, const bench::Group& group, threads::Pool& pool) {
        speeds_.reset();
        if (flags_.no_probe) { return {}; }
        const WantedSpeeds wanted{request_.engine, planner::matrix_types(model), {{group.k_type, group.v_type}}};
        WALLABY_TRY(speeds_, speeds_for(wanted, pool, stop_));
        (void)base::reset_peak_resident();
        return {};
    }

    void describe_load(const Subject& subject, const bench::Group& group, const Loaded& loaded, uint32_t n_threads) {
        row_.model_filename = loaded.source->metadata().file();
        row_.model_type = describe(*loaded.source, loaded.runner->model());
        row_.model_size = row_.model_n_params = 0;
        for (const gguf::Tensor& tensor : loaded.source->tensors()) {
            row_.model_size += tensor.n_bytes;
            row_.model_n_params += tensor.n_elements();
        }
        row_.n_batch = group.n_batch;
        row_.n_threads = n_threads;
        row_.k_type = group.k_type;
        row_.v_type = group.v_type;
        row_.planned_bytes = loaded.runner->plan().total();
        row_.planned_rss_bytes =
            row_.planned_bytes + planner::process_bytes(loaded.runner->model(), loaded.source->metadata().n_bytes());
        // Weights that are made up take longer than reading them would.
        if (!subject.is_synthetic) { row_.load_seconds_warm = loaded.seconds; }
    }

    Result<void> run_test(bench::Runner& runner, const bench::Test& test) {
        n_begun_++;
        row_.test = test;
        row_.test_time = utc_now();
        bench::RunOptions options{flags_.n_repetitions, !flags_.no_warmup, flags_.seed, {}};
        options.progress = [&](uint32_t repetition) { tell(repetition); };
        const base::Usage before = base::usage();
        WALLABY_TRY(row_.seconds, runner.measure(test, options, stop_));
        used_ = base::usage() - before;
        note_peak();
        return {};
    }

    void tell(uint32_t repetition) const {
        if (!flags_.progress) { return; }
        const size_t n_tests = request_.subjects.size() * request_.groups.size() * request_.groups.front().tests.size();
        say(fmt::format(
            "test {} of {}: {} {}, {}", n_begun_, n_tests, row_.model_type, row_.test.name(),
            repetition == 0 ? "preparing" : fmt::format("repetition {} of {}", repetition, flags_.n_repetitions)));
    }

    void finish_row(const ops::Model& model, const std::optional<probe::Measured>& before,
                    const std::optional<probe::Measured>& after) {
        row_.probe.reset();
        if (before && after) {
            row_.probe = {planner::average(before->best, after->best), planner::average(before->median, after->median)};
        }
        row_.limit = planner::limit_of(model, bench::work_of(row_.test, row_.n_batch), row_.k_type, row_.v_type,
                                       row_.probe ? row_.probe->best : planner::Rates{});
        row_.peak_rss_bytes = peak_rss_;
        row_.prediction.reset();
        if (!speeds_ || !row_.probe) { return; }
        const auto predicted = planner::predict(model, bench::work_of(row_.test, row_.n_batch), row_.k_type,
                                                row_.v_type, *speeds_, row_.probe->median);
        if (predicted.ok()) { row_.prediction = *predicted; }
    }

    void tell_if_slow(const std::optional<probe::Measured>& before, const std::optional<probe::Measured>& after) const {
        if (!row_.prediction || !before || !after || row_.seconds.empty()) { return; }
        const double all = std::accumulate(row_.seconds.begin(), row_.seconds.end(), 0.0);
        const double share = row_.prediction->seconds() * double(row_.seconds.size()) / std::max(all, 1e-9);
        if (share >= planner::slow || all < least_slow_seconds) { return; }
        say(fmt::format("{} {}: {}", row_.model_type, row_.test.name(),
                        slow_line(share, used_, row_.n_threads, before->median, after->median)));
    }

    // Its buffer is gone when it returns, and so is what the buffer did to the peak.
    Result<std::optional<probe::Measured>> probe(threads::Pool& pool) const {
        if (flags_.no_probe) { return std::optional<probe::Measured>(); }
        probe::Options options;
        options.loops = probe::kernel_loops(request_.engine.isa);
        WALLABY_TRY(const probe::Measured measured, probe::measure(pool, options, stop_));
        (void)base::reset_peak_resident();
        return std::optional(measured);
    }

    // Called where no probe has run since the peak was last reset. A system that resets none shows what is resident
    // now.
    void note_peak() {
        const auto use = base::resident();
        if (use) { peak_rss_ = std::max(peak_rss_, can_reset_ ? use->peak : use->now); }
    }

    const Flags& flags_;
    const Request& request_;
    BenchOutput& output_;
    const std::stop_token& stop_;
    BenchRow row_;  // what is known so far of the test at hand
    std::optional<planner::Speeds> speeds_;
    base::Usage used_;  // while the last test ran
    size_t n_begun_ = 0;
    uint64_t peak_rss_ = 0;  // bytes, since the load began
    const bool can_reset_ = base::reset_peak_resident();
};

Result<void> run_bench(const Flags& flags) {
    Interrupt interrupt;
    const std::stop_token stop = interrupt.arm();
    WALLABY_TRY(const Request request, request_of(flags));
    BenchOutput output(flags.output, request.lists);
    Result<void> done = Bench(flags, request, output, stop).run();
    if (!output.end() && done.ok()) { return Error{ErrorCode::io, "standard output is closed", {}, ""}; }
    return done;
}

}  // namespace

std::function<int()> define_bench(CLI::App& app) {
    auto flags = std::make_shared<Flags>();
    const auto add_list = [&](const std::string& names, Flags::Words& words, const std::string& what,
                              const std::string& type = "N,…") {
        app.add_option(names, words, what)->type_name(type)->allow_extra_args(false);
    };
    add_list("-m,--model", flags->models, "model files (GGUF); joey (the default): the model built into the program",
             "FILE,…");
    add_list("--synthetic", flags->synthetic,
             "a known model's shape with random weights, no file (wallaby synth --list)", "NAME:TYPE,…");
    add_list("-p,--n-prompt", flags->n_prompt, "tests of a prompt of N tokens; 0: none [512]");
    add_list("-n,--n-gen", flags->n_gen, "tests of N generated tokens; 0: none [128]");
    add_list("--pg", flags->prompt_gen, "a test of a prompt and tokens generated after it (also -pg)", "N,N");
    add_list("-d,--n-depth", flags->n_depth, "tokens in the KV cache before what is timed [0]");
    add_list("--np,--parallel", flags->n_seqs,
             "sequences that generate together; speeds count all of them (also -np) [1]");
    add_list("-b,--batch-size", flags->n_batch, "tokens of a prompt evaluated at once [256]");
    add_list("-t,--threads", flags->n_threads, "threads (default: the CPUs this process may use)");
    add_list("--ctk,--cache-type-k", flags->k_types, "types of the cached keys (also -ctk) [f16]", "TYPE,…");
    add_list("--ctv,--cache-type-v", flags->v_types, "types of the cached values (also -ctv) [f16]", "TYPE,…");
    app.add_option("-r,--repetitions", flags->n_repetitions, "how often each test is timed")
        ->type_name("N")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    app.add_option("--delay", flags->delay, "seconds to wait before each test")
        ->type_name("S")
        ->check(CLI::Range(0.0, 86400.0))
        ->capture_default_str();
    app.add_option("-s,--seed", flags->seed, "seed of the token ids")->type_name("N")->capture_default_str();
    app.add_flag("--no-warmup", flags->no_warmup, "time the first run too");
    flags->engine.add_engine(app);
    app.add_flag("--no-probe", flags->no_probe, "do not measure the machine: no limits");
    app.add_flag("--cold", flags->cold, "also load each file from the disk, dropped from the page cache before");
    app.add_flag("--progress", flags->progress, "say on standard error what is being measured");
    app.add_option("-o,--output", flags->output, "how results are printed: md, csv, json, jsonl")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"md", "csv", "json", "jsonl"}))
        ->capture_default_str();
    app.footer(
        "Lists multiply: every combination is a test. 1,2,4 may be given as 1-4*2, and 0,256,512 as 0-512+256; a flag "
        "may be given several times.");
    return [flags] {
        const Result<void> done = run_bench(*flags);
        return done.ok() ? exit_ok : report(done.error());
    };
}

}  // namespace wallaby::cli
