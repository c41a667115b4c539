// What the engine does with a model on this machine, beside what the machine allows:
//   engine_bench [MODEL.gguf [n_prompt=64] [n_decode=16] [repeats=5] [threads] [ADAPTER.gguf …]]
// MODEL.gguf or joey, the built-in model. Each repeat measures, in turn: read bandwidth (all threads sum a buffer
// larger than the caches), a prompt, a decode, both again with the adapters where some are named, and how long a stop
// request during a prompt takes to be obeyed. Prints the median and the range of each. Run it on an
// idle machine; docs/performance.md holds results.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "assets/joey.h"
#include "base/arena.h"
#include "base/system.h"
#include "engine/session.h"

namespace {

using namespace wallaby;

struct Series {
    std::vector<double> values;
    void print(const char* what, const char* unit) {
        std::sort(values.begin(), values.end());
        std::printf("| %-28s | %10.3f | %10.3f – %.3f | %s |\n", what, values[values.size() / 2], values.front(),
                    values.back(), unit);
    }
};

template <class T>
T must(Result<T> result) {
    if (!result.ok()) {
        std::fprintf(stderr, "engine_bench: %s\n", result.error().message().c_str());
        std::exit(1);
    }
    return std::move(result).value();
}

// GB/s of one pass over the buffer.
double read_bandwidth(threads::Pool& pool, std::span<const uint8_t> buffer) {
    constexpr uint64_t piece = 4 << 20;
    std::vector<uint64_t> sums(pool.size());
    const double start = base::monotonic_seconds();
    const auto add = [&](uint64_t chunk, unsigned worker) {
        const uint8_t* at = buffer.data() + chunk * piece;
        uint64_t s[8] = {};
        for (uint64_t i = 0; i < piece; i += 64) {
            for (uint64_t j = 0; j < 8; j++) { s[j] += base::load_le<uint64_t>(at + i + 8 * j); }
        }
        for (const uint64_t v : s) { sums[worker] += v; }
    };
    if (!pool.run(buffer.size() / piece, {}, add).ok()) { return 0; }
    const double seconds = base::monotonic_seconds() - start;
    if (sums[0] == 1) { std::puts(""); }  // the sums are used
    return double(buffer.size()) / seconds * 1e-9;
}

std::vector<int32_t> some_tokens(size_t n, uint32_t n_vocab) {
    std::vector<int32_t> out(n);
    for (size_t i = 0; i < n; i++) { out[i] = int32_t((i * 7919 + 100) % n_vocab); }
    return out;
}

int measure(int argc, char** argv) {
    if (argc < 2) {
        std::fputs(
            "engine_bench: no model given: using joey, the built-in one. For a real one: engine_bench FILE.gguf\n",
            stderr);
    }
    const std::string name = argc < 2 ? "joey" : argv[1];
    const auto number = [&](int i, int otherwise) { return argc > i ? std::max(1, std::atoi(argv[i])) : otherwise; };
    const size_t n_prompt = size_t(number(2, 64)), n_decode = size_t(number(3, 16)), n_repeats = size_t(number(4, 5));
    threads::Pool pool(argc > 5 ? unsigned(number(5, 1)) : 0);
    const double start = base::monotonic_seconds();
    const auto model = must(engine::Model::load(
        must(assets::open_named(name)), {.n_ctx = uint32_t(n_prompt + n_decode + 8), .n_seqs = 2}, {pool, {}, {}, {}}));
    const double load_seconds = base::monotonic_seconds() - start;

    auto arena = must(base::Arena::create(uint64_t(1) << 30));
    const std::span<uint8_t> buffer = *arena.take(uint64_t(1) << 30);
    std::fill(buffer.begin(), buffer.end(), uint8_t(1));

    engine::SessionOptions options;
    options.sampling.temperature = 0;
    options.ignore_eos = true;
    engine::SessionOptions adapted = options;
    for (int i = 6; i < argc; i++) {
        adapted.adapters.push_back({must(engine::Adapter::load(model, std::string(argv[i]))), 1});
    }
    const auto prompt = some_tokens(n_prompt, model->n_vocab());
    Series bandwidth, prompts, decodes, of_floor, adapted_prompts, adapted_decodes, stops;
    const auto evaluate = [&](const engine::SessionOptions& with, Series& prompt_rates, Series& decode_rates) {
        const auto session = must(engine::Session::create(model, with));
        if (!session->append(prompt).ok()) { std::exit(1); }
        engine::Event event = must(session->next({}));
        for (size_t i = 0; i < n_decode; i++) { event = must(session->next({})); }
        prompt_rates.values.push_back(double(event.timings.n_prompt) / event.timings.prompt_seconds);
        decode_rates.values.push_back(double(n_decode) / event.timings.generated_seconds);
    };
    for (size_t r = 0; r < n_repeats; r++) {
        bandwidth.values.push_back(read_bandwidth(pool, buffer));
        evaluate(options, prompts, decodes);
        if (!adapted.adapters.empty()) { evaluate(adapted, adapted_prompts, adapted_decodes); }
        of_floor.values.push_back(100 * decodes.values.back() * double(model->plan().weight_bytes) /
                                  (bandwidth.values.back() * 1e9));

        const auto stopped = must(engine::Session::create(model, options));
        if (!stopped->append(prompt).ok()) { return 1; }
        std::stop_source source;
        double asked = 0;
        std::thread asker([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20 + 7 * r));
            asked = base::monotonic_seconds();
            source.request_stop();
        });
        const auto ended = stopped->next(source.get_token());
        const double returned = base::monotonic_seconds();
        asker.join();
        if (!ended.ok() && ended.error().code == ErrorCode::cancelled) {
            stops.values.push_back(1e3 * (returned - asked));
        }
    }
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    std::printf(
        "%s: %u threads, prompt %zu, decode %zu, %zu repeats; loaded in %.2f s; planned %.1f MiB, peak %.1f MiB "
        "without the probe's buffer\n\n",
        name.c_str(), pool.size(), n_prompt, n_decode, n_repeats, load_seconds,
        double(model->plan().total()) / (1 << 20), double(usage.ru_maxrss) / 1024 - 1024);
    std::printf("| %-28s | %10s | %s | %s |\n|---|--:|--:|---|\n", "", "median", "range", "unit");
    bandwidth.print("read bandwidth", "GB/s");
    prompts.print("prompt", "tokens/s");
    decodes.print("decode", "tokens/s");
    of_floor.print("decode, share of the floor", "% of bandwidth ÷ weight bytes");
    if (!adapted_prompts.values.empty()) {
        adapted_prompts.print("prompt with adapters", "tokens/s");
        adapted_decodes.print("decode with adapters", "tokens/s");
    }
    if (!stops.values.empty()) { stops.print("stop request obeyed", "ms"); }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return measure(argc, argv);
    } catch (...) {
        std::fputs("engine_bench: out of memory\n", stderr);
        return 1;
    }
}
