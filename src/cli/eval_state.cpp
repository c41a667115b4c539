// wallaby eval --resume: what a state depends on.
#include "base/hash.h"
#include "cli/eval.h"

namespace wallaby::cli {
namespace {

constexpr size_t piece_bytes = 1 << 20;

std::string hex(uint64_t digest) { return fmt::format("{:016x}", digest); }

std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Everything that a model is: keys, shapes and weights.
Result<uint64_t> model_digest(const gguf::WeightSource& source) {
    uint64_t digest = 0;
    for (const gguf::Metadata::Entry& entry : source.metadata().entries()) {
        digest = base::digest(bytes_of(entry.key), digest);
        digest = base::digest(entry.value.bytes, digest);
    }
    std::vector<uint8_t> piece;
    for (const gguf::Tensor& tensor : source.tensors()) {
        digest = base::digest(bytes_of(fmt::format("{} {} {}", tensor.name, int(tensor.type), tensor.shape())), digest);
        for (uint64_t at = 0; at < tensor.n_bytes; at += piece.size()) {
            piece.resize(size_t(std::min<uint64_t>(piece_bytes, tensor.n_bytes - at)));
            WALLABY_OK(source.read(tensor, at, piece));
            digest = base::digest(piece, digest);
        }
    }
    return digest;
}

// Which bits come out: instruction sets that share theirs have one name.
Result<std::string> arithmetic_of(const backends::Choice& choice) {
    if (choice.name != "cpu") { return choice.name; }
    WALLABY_TRY(const std::string used, backends::instruction_set(choice));
    for (const backends::InstructionSet& isa : backends::instruction_sets()) {
        if (isa.name == used && isa.is_by_name_only) { return used; }
    }
    return choice.name;
}

}  // namespace

std::string hex_digest(std::string_view bytes) { return hex(base::digest(bytes_of(bytes))); }

Result<std::string> hex_digest(const base::ByteSource& source) {
    uint64_t digest = 0;
    std::vector<uint8_t> piece;
    for (uint64_t at = 0; at < source.size(); at += piece.size()) {
        piece.resize(size_t(std::min<uint64_t>(piece_bytes, source.size() - at)));
        WALLABY_OK(source.read(at, piece));
        digest = base::digest(piece, digest);
    }
    return hex(digest);
}

namespace {

Result<std::string> adapters_of(const LoraFlags& flags) {
    WALLABY_TRY(const std::vector<LoraChoice> choices, flags.choices());
    std::string out;
    for (const auto& [path, scale] : choices) {
        WALLABY_TRY(const auto file, base::open_file(path));
        WALLABY_TRY(const std::string digest, hex_digest(*file));
        out += fmt::format("{}{}:{}", out.empty() ? "" : " ", digest, scale);
    }
    return out;
}

}  // namespace

Result<std::optional<eval::StateFile>> open_state(const EvalFlags& flags, std::string_view evaluation,
                                                  const engine::Model& model, const eval::Identity& more) {
    if (flags.resume.empty()) { return std::optional<eval::StateFile>(); }
    WALLABY_TRY(const auto source, open_named(flags.model.model.value_or("joey")));
    WALLABY_TRY(const uint64_t digest, model_digest(*source));
    WALLABY_TRY(const std::string arithmetic, arithmetic_of(flags.model.backend_choice()));
    WALLABY_TRY(const std::string adapters, adapters_of(flags.model.lora));
    const backends::Settings& settings = model.plan().settings;
    eval::Identity identity{{"evaluation", std::string(evaluation)}, {"model", hex(digest)}};
    identity.insert(identity.end(), more.begin(), more.end());
    identity.insert(identity.end(), {{"keys", std::string(quant::format_of(settings.k_type).name)},
                                     {"values", std::string(quant::format_of(settings.v_type).name)},
                                     {"arithmetic", arithmetic},
                                     {"type", flags.model.type},
                                     {"adapters", adapters},
                                     {"rope-freq-base", fmt::format("{}", flags.model.rope_freq_base)},
                                     {"rope-freq-scale", fmt::format("{}", flags.model.rope_freq_scale)}});
    WALLABY_TRY(eval::StateFile state, eval::StateFile::open(flags.resume, identity));
    if (state.n_done() != 0) {
        say(fmt::format("{}: goes on after the {} that are done", state.path(), state.n_done()));
    }
    return std::optional(std::move(state));
}

void say_kept(const std::optional<eval::StateFile>& state) {
    if (!state || state->n_done() == 0) { return; }
    say(fmt::format("{}: {} are done; the same command goes on after them", state->path(), state->n_done()));
}

void add_eval_resume(CLI::App& app, EvalFlags& flags) {
    app.add_option(
           "--resume", flags.resume,
           "keeps there what is done, once a second and when interrupted; where the file is there, goes on from "
           "it, to the same bits")
        ->type_name("FILE");
}

}  // namespace wallaby::cli
