#include "convert/llama2c.h"

#include <array>
#include <map>

#include "base/checked.h"
#include "convert/assembled.h"
#include "convert/hf_vocabulary.h"
#include "convert/hyper.h"
#include "convert/safetensors.h"

namespace wallaby::convert {
namespace {

constexpr size_t n_fields = 7;
constexpr uint64_t header_bytes = n_fields * sizeof(int32_t);

struct Field {
    std::string_view name;
    int64_t most;
};
// Bounds keep every product below 2^62.
constexpr std::array<Field, n_fields> fields{{{"dim", 1 << 17},
                                              {"hidden_dim", 1 << 20},
                                              {"n_layers", 1024},
                                              {"n_heads", 4096},
                                              {"n_kv_heads", 4096},
                                              {"vocab_size", 1 << 21},
                                              {"seq_len", 1 << 24}}};

struct Header {
    Hyper hyper;
    bool has_output = false;
};

Error error_of(const base::ByteSource& file, std::string what, std::optional<uint64_t> offset = {}) {
    return {ErrorCode::format,
            std::move(what),
            {file.name(), "", offset},
            "Of a checkpoint in Hugging Face's layout name the directory; of llama2.c's formats the first is read"};
}

Result<Header> read_header(const base::ByteSource& file) {
    WALLABY_OK(refuse_pickle(file));
    std::array<uint8_t, header_bytes> bytes{};
    if (file.size() < bytes.size()) { return error_of(file, "is too short for a model of llama2.c"); }
    WALLABY_OK(file.read(0, bytes));
    std::array<uint32_t, n_fields> values{};
    bool has_output = false;
    for (size_t i = 0; i < n_fields; i++) {
        int64_t value = base::load_le<int32_t>(bytes.data() + i * sizeof(int32_t));
        if (fields[i].name == "vocab_size" && value < 0) {
            has_output = true;
            value = -value;
        }
        if (value < 1 || value > fields[i].most) {
            return error_of(file,
                            fmt::format("is no model of llama2.c: its {} would be {}, outside 1 to {}", fields[i].name,
                                        value, fields[i].most),
                            i * sizeof(int32_t));
        }
        values[i] = uint32_t(value);
    }
    const auto [n_embd, n_ff, n_layers, n_heads, n_heads_kv, n_vocab, n_ctx] = values;
    if (n_embd % n_heads != 0 || n_heads % n_heads_kv != 0 || n_embd / n_heads % 2 != 0) {
        return error_of(file, fmt::format("is no model of llama2.c: {} heads and {} KV heads for a width of {}",
                                          n_heads, n_heads_kv, n_embd));
    }
    Hyper hyper{family::llama,    n_vocab, n_embd, n_layers, n_heads, n_heads_kv,
                n_embd / n_heads, n_ff,    n_ctx,  1e4,      1e-5f,   {}};
    hyper.extras.tied = !has_output;
    return Header{hyper, has_output};
}

// The file's matrices in its order: the name of the one of each layer, or of the one that there is.
constexpr std::array<std::string_view, 11> order{
    "token_embd.weight",     "blk.#.attn_norm.weight",   "blk.#.attn_q.weight",   "blk.#.attn_k.weight",
    "blk.#.attn_v.weight",   "blk.#.attn_output.weight", "blk.#.ffn_norm.weight", "blk.#.ffn_gate.weight",
    "blk.#.ffn_down.weight", "blk.#.ffn_up.weight",      "output_norm.weight"};

uint64_t bytes_of(const TensorShape& tensor) {
    uint64_t n = sizeof(float);
    for (const uint64_t dim : tensor.dims) { n *= dim; }
    return n;
}

// Where each tensor begins, and the end of all.
class Places {
  public:
    explicit Places(const std::vector<TensorShape>& tensors) {
        for (const TensorShape& t : tensors) { by_name_[t.name] = &t; }
    }
    void add(const std::string& name) {
        begin_[name] = end_;
        end_ += bytes_of(*by_name_.at(name));
    }
    void skip(uint64_t n_bytes) { end_ += n_bytes; }
    uint64_t begin(const std::string& name) const { return begin_.at(name); }
    uint64_t end() const { return end_; }

  private:
    std::map<std::string, const TensorShape*> by_name_;
    std::map<std::string, uint64_t> begin_;
    uint64_t end_ = header_bytes;
};

Places places_of(const Header& header, const std::vector<TensorShape>& tensors) {
    Places places(tensors);
    for (const std::string_view name : order) {
        const size_t at = name.find('#');
        if (at == std::string_view::npos) {
            places.add(std::string(name));
            continue;
        }
        for (uint32_t il = 0; il < header.hyper.n_layers; il++) {
            places.add(fmt::format("{}{}{}", name.substr(0, at), il, name.substr(at + 1)));
        }
    }
    places.skip(uint64_t(header.hyper.n_ctx) * header.hyper.head * sizeof(float));
    if (header.has_output) { places.add("output.weight"); }
    return places;
}

}  // namespace

Result<std::unique_ptr<gguf::WeightSource>> open_llama2c(const std::string& path, const std::string& vocabulary) {
    WALLABY_TRY(std::unique_ptr<base::ByteSource> file, base::open_file(path));
    WALLABY_TRY(const Header header, read_header(*file));
    Shape shape = make_shape(header.hyper, false);
    const Places places = places_of(header, shape.tensors);
    if (places.end() != file->size()) {
        return error_of(*file,
                        fmt::format("has {} bytes, but a model of its sizes takes {}", file->size(), places.end()));
    }
    std::vector<AssembledTensor> tensors;
    for (const TensorShape& t : shape.tensors) {
        Recipe recipe;
        recipe.parts = {{file.get(), places.begin(t.name)}};
        tensors.push_back({t.name, quant::Type::f32, t.dims, std::move(recipe)});
    }
    shape.metadata.set("general.name", "llama").set("general.file_type", 0u);
    if (!vocabulary.empty()) { WALLABY_OK(set_llama2c_tokenizer(shape.metadata, vocabulary, header.hyper.n_vocab)); }
    std::vector<std::unique_ptr<base::ByteSource>> files;
    files.push_back(std::move(file));
    WALLABY_TRY(auto source,
                AssembledSource::create(std::move(shape.metadata), std::move(tensors), std::move(files), path));
    return std::unique_ptr<gguf::WeightSource>(std::move(source));
}

}  // namespace wallaby::convert
