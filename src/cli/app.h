// What every verb shares: exit codes, how errors and messages reach the user, and the flags that load a model.
#pragma once
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/lora.h"
#include "engine/adapter.h"

namespace wallaby::cli {

// The process's exit codes (documented in README.md).
inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;         // a file, a model, memory, I/O
inline constexpr int exit_usage = 2;          // flags or arguments
inline constexpr int exit_interrupted = 130;  // Ctrl-C

// What a verb gives main: its subcommand's flags, and what runs when it was chosen. Returns the exit code.
struct Verb {
    std::string_view name;
    std::string_view summary;
    std::function<int()> (*define)(CLI::App& app);
};

std::function<int()> define_run(CLI::App& app);
std::function<int()> define_inspect(CLI::App& app);
std::function<int()> define_tokenize(CLI::App& app);
std::function<int()> define_logits(CLI::App& app);
std::function<int()> define_eval(CLI::App& app);
std::function<int()> define_synth(CLI::App& app);
std::function<int()> define_imatrix(CLI::App& app);
std::function<int()> define_quantize(CLI::App& app);
std::function<int()> define_gguf(CLI::App& app);
std::function<int()> define_convert(CLI::App& app);
std::function<int()> define_bench(CLI::App& app);
std::function<int()> define_plan(CLI::App& app);
std::function<int()> define_probe(CLI::App& app);

// A line of the program's own on standard error: "wallaby: TEXT".
void say(std::string_view text);
// Says the error's message and returns the exit code that goes with it.
int report(const Error& error);
// Writes all of `text` to standard output, at once. False when it cannot be written.
bool print(std::string_view text);
// The text with control characters shown as U+FFFD where standard output (or `fd`) is a terminal: what comes out of a
// model or a file must not drive the terminal.
std::string for_terminal(std::string_view text, int fd = 1);

// Names the argument that an error is about, where the error names no place itself.
void blame(Error& error, std::string_view argument);
// A line on matrices whose rows are no whole blocks; nothing where there are none.
std::string said_replaced(size_t n_matrices);
// -t
void add_threads(CLI::App& app, uint32_t& n_threads);

// -m and how to load: flags of llama.cpp's names where they mean the same.
struct ModelFlags {
    std::optional<std::string> model;
    std::string type;     // that its weights are encoded in as they are read; empty: as they are
    std::string command;  // "wallaby run": what the user typed before the flags
    uint32_t n_threads = 0;
    uint32_t n_ctx = 0, n_batch = 256;
    std::string k_type = "f16", v_type = "f16";
    std::string backend = "cpu", isa = "auto";
    double rope_freq_base = 0, rope_freq_scale = 0;
    bool mmap = false, force = false, verbose = false;
    LoraFlags lora;

    backends::Choice backend_choice() const {
        return {backend, isa, mmap ? backends::WeightsIn::file : backends::WeightsIn::memory};
    }
    void add_model(CLI::App& app);
    void add_context(CLI::App& app);
    void add_isa(CLI::App& app);     // which kernels
    void add_engine(CLI::App& app);  // which back end, and where its weights are
    void add_lora(CLI::App& app);
};

// The model of that name: joey, a GGUF file, or a checkpoint in Hugging Face's layout: its directory, or its
// safetensors file.
Result<std::unique_ptr<gguf::WeightSource>> open_named(const std::string& name);
bool is_checkpoint(const std::string& name);

// The model that -m names. Without -m it is joey, and a line on standard error that says so.
Result<std::unique_ptr<gguf::WeightSource>> open_model(const ModelFlags& flags);

// A line on standard error: warnings always, the rest with -v.
void log(const ModelFlags& flags, base::LogLevel level, std::string_view text);

// A pool and the model loaded on it, with a progress bar on a terminal; and its adapters.
struct Loaded {
    std::unique_ptr<threads::Pool> pool;
    std::shared_ptr<engine::Model> model;
    std::vector<engine::Adapted> adapters;
};
Result<Loaded> load(const ModelFlags& flags, uint32_t n_ctx_at_least, const std::stop_token& stop);

// A whole text file, of the length that the tokenizer takes.
Result<std::string> read_text(const std::string& path);

// A type of cached keys or values by its name, for the flag that gave it. Which of them it can be, the back end says.
Result<quant::Type> kv_type(std::string_view flag, const std::string& name);

// "1,2,3" as token ids.
Result<std::vector<int32_t>> parse_ids(const std::string& list);

}  // namespace wallaby::cli
