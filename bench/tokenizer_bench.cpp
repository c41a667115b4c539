// How long texts of one kind take to tokenize, and whether twice the text takes twice as long:
//   tokenizer_bench VOCABULARY.gguf … [--runs N]
// For each file and kind: processor seconds of the fastest of N (5) runs over 1 MB and over 2 MB, in turn, their ratio,
// and MB/s. One character over and over is the hard case: no spaces cut it into words. Exits with 1 where a file could
// not be measured.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "gguf/weight_source.h"
#include "sampling/random.h"
#include "text/tokenizer.h"

namespace {

using namespace wallaby;

std::string repeated(std::string_view unit, size_t n_bytes) {
    std::string out;
    while (out.size() + unit.size() <= n_bytes) { out += unit; }
    return out;
}

std::string random_bytes(size_t n_bytes) {
    sampling::Random random(1);
    std::string out(n_bytes, '\0');
    for (char& c : out) { c = char(random.next() >> 56); }
    return out;
}

double seconds_to_encode(const text::Tokenizer& tokenizer, std::string_view text) {
    const auto now = [] {
        timespec t{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
    };
    const double start = now();
    if (!tokenizer.encode(text).ok()) { return 1e9; }
    return now() - start;
}

bool measure(const char* path, int n_runs) {
    const auto source = gguf::open_gguf(path);
    if (!source.ok()) {
        std::fprintf(stderr, "tokenizer_bench: %s\n", source.error().message().c_str());
        return false;
    }
    const auto tokenizer = text::Tokenizer::load((*source)->metadata());
    if (!tokenizer.ok()) {
        std::fprintf(stderr, "tokenizer_bench: %s\n", tokenizer.error().message().c_str());
        return false;
    }
    constexpr size_t n_bytes = 2'000'000;
    const std::pair<const char*, std::string> kinds[] = {
        {"a", repeated("a", n_bytes)},
        {"spaces", repeated(" ", n_bytes)},
        {"emoji", repeated("😀", n_bytes)},
        {"CJK", repeated("漢", n_bytes)},
        {"random bytes", random_bytes(n_bytes)},
        {"words", repeated("The quick brown fox jumps over 13 lazy dogs. ", n_bytes)},
    };
    for (const auto& [name, text] : kinds) {
        double half = 1e9, whole = 1e9;
        for (int run = 0; run < n_runs; run++) {
            half = std::min(half, seconds_to_encode(**tokenizer, std::string_view(text).substr(0, n_bytes / 2)));
            whole = std::min(whole, seconds_to_encode(**tokenizer, text));
        }
        const char* file = std::strrchr(path, '/');
        std::printf("| %-20s | %-12s | %.4f | %.4f | %.2f | %.1f |\n", file == nullptr ? path : file + 1, name, half,
                    whole, whole / half, n_bytes / whole * 1e-6);
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    int n_runs = 5, status = 0;
    std::printf("| vocabulary | text | s for 1 MB | s for 2 MB | ratio | MB/s |\n|---|---|--:|--:|--:|--:|\n");
    for (int i = 1; i < argc; i++) {
        if (std::strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
            n_runs = std::max(1, std::atoi(argv[++i]));
        } else if (!measure(argv[i], n_runs)) {
            status = 1;
        }
    }
    return status;
}
