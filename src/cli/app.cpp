#include "cli/app.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "assets/joey.h"
#include "cli/progress_bar.h"
#include "convert/checkpoint.h"
#include "convert/encoded.h"

namespace wallaby::cli {

Result<quant::Type> kv_type(std::string_view flag, const std::string& name) {
    const quant::Format* format = quant::find_format(name);
    if (format == nullptr) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no type", name),
                     {"", std::string(flag), {}},
                     "Use f32, f16, bf16, q8_0 or q4_0"};
    }
    return format->type;
}

void say(std::string_view text) {
    const std::string line = fmt::format("wallaby: {}\n", for_terminal(text, 2));
    (void)!::write(2, line.data(), line.size());
}

int report(const Error& error) {
    if (error.code == ErrorCode::cancelled) { return exit_interrupted; }
    say(error.message());
    return error.code == ErrorCode::argument ? exit_usage : exit_failed;
}

bool print(std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(1, text.data(), text.size());
        if (n < 0 && errno == EINTR) { continue; }
        if (n < 0) { return false; }
        text.remove_prefix(size_t(n));
    }
    return true;
}

std::string for_terminal(std::string_view text, int fd) {
    std::string out(text);
    if (::isatty(fd) == 0) { return out; }
    out.clear();
    for (size_t i = 0; i < text.size(); i++) {
        const auto c = static_cast<unsigned char>(text[i]);
        const bool is_c1 = c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0 &&
                           static_cast<unsigned char>(text[i + 1]) >= 0x80;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || is_c1) {
            out += "\xef\xbf\xbd";
            i += is_c1 ? 1 : 0;
        } else {
            out += text[i];
        }
    }
    return out;
}

void log(const ModelFlags& flags, base::LogLevel level, std::string_view text) {
    if (level < base::LogLevel::warning && !flags.verbose) { return; }
    say(fmt::format("{}{}", level == base::LogLevel::warning ? "warning: " : "", text));
}

bool is_checkpoint(const std::string& name) {
    std::error_code ignored;
    return name.ends_with(".safetensors") || std::filesystem::is_directory(name, ignored);
}

Result<std::unique_ptr<gguf::WeightSource>> open_named(const std::string& name) {
    return is_checkpoint(name) ? convert::open_checkpoint(name) : assets::open_named(name);
}

namespace {

Result<std::unique_ptr<gguf::WeightSource>> encoded(std::unique_ptr<gguf::WeightSource> source,
                                                    const ModelFlags& flags) {
    if (flags.mmap) {
        return Error{ErrorCode::argument,
                     "encodes weights anew each time they are read, which --mmap does for every token",
                     {"", "--type", {}},
                     "Leave out one of them, or write the file with wallaby quantize or convert"};
    }
    auto made = convert::EncodedSource::create(std::move(source), flags.type);
    if (!made.ok()) {
        blame(made.error(), "--type");
        return made.error();
    }
    return std::unique_ptr<gguf::WeightSource>(*std::move(made));
}

}  // namespace

Result<std::unique_ptr<gguf::WeightSource>> open_model(const ModelFlags& flags) {
    if (flags.model) {
        WALLABY_TRY(auto source, open_named(*flags.model));
        return flags.type.empty() ? std::move(source) : encoded(std::move(source), flags);
    }
    WALLABY_TRY(auto joey, assets::open_joey());
    uint64_t n_weights = 0;
    for (const gguf::Tensor& tensor : joey->tensors()) { n_weights += tensor.n_elements(); }
    say(fmt::format("no model given: using joey, the built-in {:.1f}M-parameter model. For a real one: {} -m FILE.gguf",
                    double(n_weights) / 1e6, flags.command));
    return joey;
}

void ModelFlags::add_model(CLI::App& app) {
    for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
        command = command.empty() ? at->get_name() : at->get_name() + " " + command;
    }
    auto* const named =
        app.add_option("-m,--model", model,
                       "model file (GGUF), or the directory of a checkpoint (config.json, safetensors); joey (the "
                       "default): the small model built into the program")
            ->type_name("FILE");
    app.add_option("--type", type, "have the weights in this format or mix, encoded as they are loaded: Q8_0, Q4_K_M …")
        ->type_name("TYPE")
        ->needs(named);
}

void blame(Error& error, std::string_view argument) {
    if (error.where.field.empty() && error.where.file.empty()) { error.where.field = argument; }
}

std::string said_replaced(size_t n_matrices) {
    if (n_matrices == 0) { return ""; }
    return fmt::format("{} matrices have rows that are no whole blocks of their type, and got another\n", n_matrices);
}

void add_threads(CLI::App& app, uint32_t& n_threads) {
    app.add_option("-t,--threads", n_threads, "threads (default: the physical cores this process may use)")
        ->type_name("N")
        ->check(CLI::Range(1, 1024));
}

void ModelFlags::add_context(CLI::App& app) {
    app.add_option("-c,--ctx-size", n_ctx, "tokens of context; 0: what the model was trained with, at most 4096")
        ->type_name("N")
        ->check(CLI::Range(0, 1 << 30));
    app.add_flag("--force", force, "load what seems not to fit the memory");
    app.add_option("-b,--batch-size", n_batch, "tokens evaluated at once")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 16))
        ->capture_default_str();
    app.add_option("--ctk,--cache-type-k", k_type, "type of the cached keys: f32, f16, bf16, q8_0, q4_0 (also -ctk)")
        ->type_name("TYPE")
        ->capture_default_str();
    app.add_option("--ctv,--cache-type-v", v_type, "type of the cached values (also -ctv)")
        ->type_name("TYPE")
        ->capture_default_str();
    add_engine(app);
    app.add_option("--rope-freq-base", rope_freq_base, "RoPE base frequency in place of the file's")
        ->type_name("X")
        ->check(CLI::Range(1.0000001, 1e15));
    app.add_option("--rope-freq-scale", rope_freq_scale,
                   "RoPE positions are multiplied by this, in place of the file's scaling")
        ->type_name("X")
        ->check(CLI::Range(1e-9, 1e9));
    app.add_flag("-v,--verbose", verbose, "say what is loaded, planned and how fast it ran");
}

void ModelFlags::add_isa(CLI::App& app) {
    app.add_option("--isa", isa, "instruction set of the kernels: auto, or one of `inspect --cpu` (or WALLABY_ISA)")
        ->type_name("NAME")
        ->envname("WALLABY_ISA")
        ->capture_default_str();
}

void ModelFlags::add_engine(CLI::App& app) {
    add_isa(app);
    app.add_option("--backend", backend, "cpu, or reference: slow, in double, what every op is defined by")
        ->type_name("NAME")
        ->check(CLI::IsMember({"cpu", "reference"}))
        ->capture_default_str();
    app.add_flag("--mmap", mmap,
                 "leave the weights in the file and read them as they are used: slower, for models larger than memory");
}

void ModelFlags::add_lora(CLI::App& app) { lora.add(app, "added to its matrices as they are used"); }

Result<Loaded> load(const ModelFlags& flags, uint32_t n_ctx_at_least, const std::stop_token& stop) {
    engine::LoadOptions options;
    options.n_ctx = flags.n_ctx;
    options.n_ctx_at_least = n_ctx_at_least;
    options.n_batch = flags.n_batch;
    options.backend = flags.backend_choice();
    options.force = flags.force;
    options.rope_freq_base = flags.rope_freq_base;
    options.rope_freq_scale = flags.rope_freq_scale;
    WALLABY_TRY(options.k_type, kv_type("--ctk", flags.k_type));
    WALLABY_TRY(options.v_type, kv_type("--ctv", flags.v_type));
    Loaded loaded;
    loaded.pool = std::make_unique<threads::Pool>(flags.n_threads);
    ProgressBar bar("loading");
    WALLABY_TRY(auto source, open_model(flags));
    const auto log_line = [&](base::LogLevel level, std::string_view text) { log(flags, level, text); };
    engine::Resources resources{*loaded.pool, log_line, [&](uint64_t done, uint64_t total) { bar(done, total); }, stop};
    WALLABY_TRY(const std::vector<LoraChoice> choices, flags.lora.choices());
    WALLABY_TRY(loaded.model, engine::Model::load(std::move(source), options, resources));
    for (const auto& [path, scale] : choices) {
        WALLABY_TRY(auto adapter, engine::Adapter::load(loaded.model, path));
        loaded.adapters.push_back({std::move(adapter), scale});
    }
    return loaded;
}

Result<std::string> read_text(const std::string& path) {
    WALLABY_TRY(const auto file, base::open_file(path));
    if (file->size() > text::Tokenizer::max_text_bytes) {
        return Error{ErrorCode::capacity,
                     fmt::format("is {} bytes long, the limit is {}", file->size(), text::Tokenizer::max_text_bytes),
                     {path, "", {}},
                     ""};
    }
    std::string text(file->size(), '\0');
    WALLABY_OK(file->read(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
    return text;
}

Result<std::vector<int32_t>> parse_ids(const std::string& list) {
    std::vector<int32_t> ids;
    const char* at = list.data();
    const char* const end = at + list.size();
    while (true) {
        int32_t id = 0;
        const auto [next, problem] = std::from_chars(at, end, id);
        if (problem != std::errc() || id < 0 || (next != end && *next != ',')) {
            return Error{ErrorCode::argument,
                         fmt::format("is no list of token ids at character {}", at - list.data()),
                         {"", "--tokens", {}},
                         "Give ids separated by commas: 1,2,3"};
        }
        ids.push_back(id);
        if (next == end) { return ids; }
        at = next + 1;
    }
}

}  // namespace wallaby::cli
