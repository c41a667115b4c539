#include "convert/checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>

#include "convert/bind.h"
#include "convert/hf_config.h"
#include "convert/hf_vocabulary.h"
#include "convert/json_events.h"
#include "convert/json_file.h"
#include "convert/mixes.h"

namespace wallaby::convert {
namespace {

using quant::Type;

// What generation_config.json says of sampling, under the keys that llama.cpp's converter gives it.
struct SamplingKey {
    std::string_view field, key;
    bool is_integer = false;
};
constexpr SamplingKey sampling_keys[] = {
    {"temperature", "general.sampling.temp"},
    {"top_k", "general.sampling.top_k", true},
    {"top_p", "general.sampling.top_p"},
    {"min_p", "general.sampling.min_p"},
    {"repetition_penalty", "general.sampling.penalty_repeat"},
};

// Sets the keys, and gives the ids of tokens that end a text.
Result<std::vector<uint32_t>> read_generation_config(gguf::Draft& draft, const std::string& path, uint32_t n_vocab) {
    std::vector<uint32_t> ends;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) { return ends; }
    WALLABY_TRY(const std::string text, read_text_file(path, max_config_bytes));
    const auto take = [&](const JsonEvent& e) -> Result<void> {
        if (e.path.size() != 1) { return {}; }
        const auto refuse = [&](std::string what) {
            return Error{ErrorCode::model, std::move(what), {path, fmt::format("field '{:.64}'", e.path[0]), {}}, ""};
        };
        if (e.path[0] == "eos_token_id") {
            if (e.kind == JsonEvent::Kind::natural && e.natural < n_vocab) {
                ends.push_back(uint32_t(e.natural));
            } else if (e.kind == JsonEvent::Kind::natural || e.kind == JsonEvent::Kind::number) {
                return refuse(fmt::format("has {}, which is none of the {} tokens", e.value, n_vocab));
            }
            return {};
        }
        const auto* const row = std::ranges::find(sampling_keys, e.path[0], &SamplingKey::field);
        if (row == std::end(sampling_keys) || e.kind == JsonEvent::Kind::null) { return {}; }
        const bool is_natural = e.kind == JsonEvent::Kind::natural;
        constexpr double most = 1e6;
        if ((!is_natural && (row->is_integer || e.kind != JsonEvent::Kind::number)) ||
            !(e.value >= 0 && e.value <= most)) {
            return refuse(fmt::format("is no {} from 0 to {}", row->is_integer ? "integer" : "number", most));
        }
        row->is_integer ? draft.set(row->key, int32_t(e.value)) : draft.set(row->key, float(e.value));
        return {};
    };
    WALLABY_OK(read_json(text, path, 0, take));
    return ends;
}

// A file has one token of each role: those that end a text and are not yet the one that does get the roles of the ends
// of a turn and of a message.
Result<void> set_ends(gguf::Draft& draft, const std::vector<uint32_t>& ends, const std::string& path) {
    constexpr std::array<std::string_view, 3> roles{"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                                    "tokenizer.ggml.eom_token_id"};
    WALLABY_TRY(const gguf::Metadata keys, gguf::metadata_of(draft, path));
    std::array<std::optional<int64_t>, roles.size()> ids;
    for (size_t i = 0; i < roles.size(); i++) {
        if (const gguf::Value* const value = keys.find(roles[i])) { ids[i] = value->integer(); }
    }
    for (const uint32_t id : ends) {
        const auto free = std::ranges::find(ids, std::optional<int64_t>());
        if (free == ids.end() || std::ranges::find(ids, std::optional<int64_t>(id)) != ids.end()) { continue; }
        *free = id;
        draft.set(roles[size_t(free - ids.begin())], id);
    }
    return {};
}

// general.file_type of what most weights are.
uint32_t file_type_of(std::span<const AssembledTensor> tensors) {
    std::map<Type, uint64_t> n_weights;
    for (const AssembledTensor& t : tensors) {
        uint64_t n = 1;
        for (const uint64_t dim : t.dims) { n *= dim; }
        n_weights[t.type] += n;
    }
    const auto most = std::ranges::max_element(n_weights, {}, [](const auto& entry) { return entry.second; });
    return choose_types(quant::format_of(most->first).name, {})->file_type;
}

// How quantised checkpoints name and pack their weights differs from method to method.
Result<void> refuse_quantized(const ConfigModel& model, const std::string& config) {
    if (model.quantized.empty() || (model.quantized == "mxfp4" && model.model_type == "gpt_oss")) { return {}; }
    return Error{ErrorCode::unsupported,
                 fmt::format("is '{:.32}': weights quantised so are not read", model.quantized),
                 {config, "field 'quantization_config.quant_method'", {}},
                 "Use the checkpoint in BF16, F16 or F32"};
}

std::string name_of_model(const std::string& directory) {
    std::error_code ignored;
    const auto whole = std::filesystem::weakly_canonical(directory, ignored);
    return whole.filename().empty() ? directory : whole.filename().string();
}

}  // namespace

Result<std::unique_ptr<gguf::WeightSource>> open_checkpoint(const std::string& path, const CheckpointOptions& options) {
    std::error_code ignored;
    const bool is_directory = std::filesystem::is_directory(path, ignored);
    const std::string parent = std::filesystem::path(path).parent_path().string();
    const std::string directory = is_directory ? path : parent.empty() ? "." : parent;
    const std::string config = directory + "/config.json";
    WALLABY_TRY(const std::string text, read_text_file(config, max_config_bytes));
    WALLABY_TRY(ConfigModel model, model_of_config(text, config, false));
    WALLABY_OK(refuse_quantized(model, config));
    std::vector<AssembledTensor> tensors;
    Safetensors stored;
    gguf::Draft& draft = model.shape.metadata;
    draft.set("general.name", name_of_model(directory));
    if (!options.vocabulary_only) {
        WALLABY_TRY(stored, open_safetensors(path));
        WALLABY_TRY(tensors, bind_tensors(stored, path, model));
        draft.set("general.file_type", file_type_of(tensors)).set("general.quantization_version", 2u);
    }
    const std::string generation = directory + "/generation_config.json";
    WALLABY_TRY(const std::vector<uint32_t> ends, read_generation_config(draft, generation, model.n_vocab));
    WALLABY_OK(set_tokenizer(draft, directory, {.n_vocab = model.n_vocab}));
    WALLABY_OK(set_ends(draft, ends, generation));
    WALLABY_TRY(auto source,
                AssembledSource::create(std::move(draft), std::move(tensors), std::move(stored.files), path));
    return std::unique_ptr<gguf::WeightSource>(std::move(source));
}

}  // namespace wallaby::convert
