#include "backends/cpu/weights.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "backends/finite.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/math.h"
#include "kernels/kernels.h"
#include "kernels/tiles.h"

namespace wallaby::backends::cpu {
namespace {

enum class Use : uint8_t { none, vector, table, matrix };

// What the programs do with each weight: a matrix that rows are taken of too (a tied embedding) is a matrix.
std::vector<Use> uses_of(const ops::Model& model) {
    std::vector<Use> uses(model.weights.size(), Use::none);
    const auto use = [&](ops::WeightId id, Use u) {
        if (id != ops::none) { uses[id] = std::max(uses[id], u); }
    };
    for (const ops::Program& program : model.programs) {
        for (const ops::Op& op : program.ops) {
            const bool multiplies = std::holds_alternative<ops::Matmul>(op.spec);
            const bool looks_up = std::holds_alternative<ops::Embed>(op.spec);
            for (size_t i = 0; i < op.weight.size(); i++) {
                use(op.weight[i],
                    i != 0 ? Use::vector : (multiplies ? Use::matrix : (looks_up ? Use::table : Use::vector)));
            }
        }
    }
    return uses;
}

// Whether two weights are the same view of the same tensor.
bool is_same(const ops::Weight& a, const ops::Weight& b) {
    return a.name == b.name && a.first == b.first && a.n_in == b.n_in && a.n_out == b.n_out && a.n_expert == b.n_expert;
}

}  // namespace

// What the arena holds, in its order: each distinct weight that is a matrix or a vector. Weights that are the same
// share a place, and one that is a matrix anywhere is one everywhere.
struct Place {
    ops::WeightId first = 0;  // the weight that it is made from
    Use use = Use::none;
    uint64_t n_bytes = 0;
    uint64_t offset = 0;  // in the image
    uint64_t end() const { return offset + *base::checked_align(n_bytes, base::Arena::alignment); }
};
struct Places {
    std::vector<Place> places;
    uint64_t n_bytes = 0;      // of the image
    std::vector<uint32_t> of;  // by weight: its place, or ops::none
    std::vector<Use> use;      // by weight
};

namespace {

// What an image begins with. It fits a model if all of it is equal to what header_of() says.
struct ImageHeader {
    char magic[8] = {'W', 'A', 'L', 'L', 'A', 'B', 'Y', 'W'};
    uint32_t version = kernels::tile_version;
    uint32_t n_places = 0;
    uint64_t n_bytes = 0;
    uint64_t layout = 0;  // FNV-1a of every place: name, view, type, shape, offset
    uint8_t unused[32] = {};
};
static_assert(sizeof(ImageHeader) == base::Arena::alignment);

ImageHeader header_of(const ops::Model& model, const Places& places) {
    ImageHeader header;
    header.n_places = uint32_t(places.places.size());
    header.n_bytes = places.n_bytes;
    std::string text;
    for (const Place& p : places.places) {
        const ops::Weight& w = model.weights[p.first];
        text += fmt::format("{} {} {} {} {} {} {} {}\n", w.name, w.first, int(w.type), w.n_in, w.n_out, w.n_expert,
                            int(p.use), p.offset);
    }
    header.layout = base::fnv1a(text);
    return header;
}

uint64_t matrix_bytes(const ops::Weight& w) { return kernels::packed_bytes(w.type, w.n_in, w.n_out) * w.n_expert; }

Places places_of(const ops::Model& model, WeightsIn weights_in) {
    Places p;
    p.use = uses_of(model);
    p.of.assign(model.weights.size(), ops::none);
    std::unordered_map<std::string_view, std::vector<ops::WeightId>> by_tensor;
    for (ops::WeightId id = 0; id < model.weights.size(); id++) { by_tensor[model.weights[id].name].push_back(id); }
    // A table that is some matmul's matrix is served from its tiles.
    for (ops::WeightId id = 0; id < model.weights.size(); id++) {
        if (p.use[id] != Use::table) { continue; }
        for (const ops::WeightId other : by_tensor[model.weights[id].name]) {
            if (p.use[other] == Use::matrix && is_same(model.weights[id], model.weights[other])) {
                p.use[id] = Use::matrix;
            }
        }
    }
    for (ops::WeightId id = 0; id < model.weights.size(); id++) {
        const ops::Weight& w = model.weights[id];
        const bool is_held = p.use[id] == Use::vector || (p.use[id] == Use::matrix && weights_in == WeightsIn::memory);
        if (!is_held) { continue; }
        for (const ops::WeightId other : by_tensor[w.name]) {
            if (p.of[other] != ops::none && p.use[other] == p.use[id] && is_same(model.weights[other], w)) {
                p.of[id] = p.of[other];
            }
        }
        if (p.of[id] != ops::none) { continue; }
        p.of[id] = uint32_t(p.places.size());
        p.places.push_back(
            {id, p.use[id], p.use[id] == Use::matrix ? matrix_bytes(w) : w.n_elements() * sizeof(float)});
    }
    p.n_bytes = sizeof(ImageHeader);
    for (Place& place : p.places) {
        place.offset = p.n_bytes;
        p.n_bytes = place.end();
    }
    return p;
}

// Has the caches fetch bytes in their order; beyond what is mapped this does nothing.
void fetch(const uint8_t* at, uint64_t n_bytes) {
    for (uint64_t i = 0; i < n_bytes; i += 64) { __builtin_prefetch(at + i, 0, 2); }
}

// Tiles of one matrix, from the source.
class Packing {
  public:
    Packing(const ops::Weight& weight, const gguf::Tensor& tensor, const gguf::WeightSource& source)
        : w_(weight),
          tensor_(tensor),
          source_(source),
          format_(quant::format_of(weight.type)),
          row_bytes_(uint64_t(weight.n_in) / format_.block_len * format_.block_bytes) {}

    // Packs the rows of n tiles of an expert, refusing those that are not finite, unless that is known. buffer: where
    // to read them to, or nullptr to take them where they lie (WeightSource::bytes, not empty). aside: where to make a
    // tile before it is stored past the caches, or nullptr to make it in its place. buffer, out: n * tile_bytes.
    Result<void> pack(uint32_t expert, uint32_t first, uint32_t n, bool is_finite, uint8_t* buffer, uint8_t* aside,
                      uint8_t* out) const {
        const uint32_t first_row = first * kernels::tile_rows;
        const uint32_t n_rows = std::min(n * kernels::tile_rows, w_.n_out - first_row);
        const uint64_t begin = w_.first / format_.block_len * format_.block_bytes;  // of the view, in the tensor
        const uint64_t row = uint64_t(expert) * w_.n_out + first_row, offset = begin + row * row_bytes_;
        const uint8_t* rows = buffer;
        if (buffer == nullptr) {
            rows = source_.bytes(tensor_).data() + offset;
        } else {
            WALLABY_OK(source_.read(tensor_, offset, {buffer, n_rows * row_bytes_}));
        }
        const uint64_t tile_bytes = kernels::tile_rows * row_bytes_;
        for (uint32_t r = 0; r < n_rows; r += kernels::tile_rows, out += tile_bytes) {
            const uint32_t n_in_tile = std::min(kernels::tile_rows, n_rows - r);
            uint8_t* const tile = aside == nullptr ? out : aside;
            if (buffer == nullptr) { fetch(rows + r * row_bytes_ + tile_bytes, tile_bytes); }
            kernels::pack_tile(w_.type, w_.n_in, rows + r * row_bytes_, n_in_tile, tile);
            if (aside != nullptr) { kernels::store_tiles(tile, tile_bytes, out); }
            if (is_finite || kernels::is_tile_finite(w_.type, w_.n_in, tile)) { continue; }
            WALLABY_OK(check_finite(row + r, n_in_tile, rows + r * row_bytes_));
        }
        return buffer == nullptr ? source_.check_bytes(tensor_) : Result<void>();
    }

    // All of it in chunks, which threads take in any order.
    uint64_t n_chunks() const { return uint64_t(w_.n_expert) * chunks_per_matrix(); }
    Result<void> pack_chunk(uint64_t chunk, std::vector<uint8_t>& scratch, uint8_t* out) const {
        const uint64_t tile_bytes = kernels::tile_rows * row_bytes_;
        const auto expert = uint32_t(chunk / chunks_per_matrix());
        const uint32_t first = uint32_t(chunk % chunks_per_matrix()) * tiles_per_chunk();
        const uint32_t n = std::min(tiles_per_chunk(), kernels::n_tiles(w_.n_out) - first);
        scratch.resize(std::max<uint64_t>(scratch.size(), (n + 1) * tile_bytes));
        return pack(expert, first, n, false, scratch.data(), scratch.data() + n * tile_bytes,
                    out + (uint64_t(expert) * kernels::n_tiles(w_.n_out) + first) * tile_bytes);
    }

  private:
    Result<void> check_finite(uint64_t row, uint32_t n_rows, const uint8_t* rows) const {
        const auto bad = find_not_finite(format_, rows, uint64_t(n_rows) * (w_.n_in / format_.block_len));
        if (!bad) { return {}; }
        return not_finite(tensor_, source_.file_of(tensor_), w_.first + row * w_.n_in + bad->element, bad->value);
    }

    // Read and packed at a time: within a second-level cache, and milliseconds of work between two looks at a stop.
    static constexpr uint64_t chunk_bytes = 256 * 1024;
    uint32_t tiles_per_chunk() const {
        return uint32_t(std::max<uint64_t>(1, chunk_bytes / (kernels::tile_rows * row_bytes_)));
    }
    uint32_t chunks_per_matrix() const {
        return (kernels::n_tiles(w_.n_out) + tiles_per_chunk() - 1) / tiles_per_chunk();
    }

    const ops::Weight& w_;
    const gguf::Tensor& tensor_;
    const gguf::WeightSource& source_;
    const quant::Format& format_;
    uint64_t row_bytes_;
};

// The first error that any thread met, in the order of chunks, so that it is the same one every time.
class FirstError {
  public:
    void take(uint64_t chunk, Error error) {
        const std::lock_guard lock(mutex_);
        if (!error_ || chunk < chunk_) {
            chunk_ = chunk;
            error_ = std::move(error);
        }
        is_set_ = true;
    }
    bool is_set() const { return is_set_; }
    const Error& get() const { return *error_; }

  private:
    std::mutex mutex_;
    std::atomic<bool> is_set_ = false;
    uint64_t chunk_ = 0;
    std::optional<Error> error_;
};

// Has the system back an arena by all threads, a stretch ahead of what is written. Left to the first touch, two threads
// would often want the same huge page, and what one has packed would leave the caches for the zeros of the next.
class Backing {
  public:
    Backing(const base::Arena& arena, threads::Pool& pool) : arena_(arena), pool_(pool) {}

    // At least the arena's first n_bytes.
    Result<void> reach(uint64_t n_bytes, const std::stop_token& stop) {
        const uint64_t n_used = (n_bytes + base::Arena::page_bytes - 1) / base::Arena::page_bytes;
        if (n_used <= n_pages_) { return {}; }
        const uint64_t first = n_pages_, n_all = arena_.size() / base::Arena::page_bytes;
        n_pages_ = std::min(n_all, std::max(n_used, first + pages_ahead));
        const auto back = [&](uint64_t page, unsigned) { arena_.back(first + page); };
        return pool_.run_in_shares(n_pages_ - first, stop, back);
    }

  private:
    static constexpr uint64_t pages_ahead = 64;  // enough that no thread waits for another's last page
    const base::Arena& arena_;
    threads::Pool& pool_;
    uint64_t n_pages_ = 0;
};

Result<const gguf::Tensor*> find(const gguf::WeightSource& source, const ops::Weight& w) {
    const gguf::Tensor* tensor = source.find(w.name);
    if (tensor == nullptr || tensor->type != w.type || w.first + w.n_elements() > tensor->n_elements()) {
        return Error{ErrorCode::model,
                     "is not in the weight source as the model has it",
                     {source.metadata().file(), fmt::format("tensor '{}'", w.name), {}},
                     ""};
    }
    return tensor;
}

Result<void> read_vector(const gguf::WeightSource& source, const gguf::Tensor& tensor, const ops::Weight& w,
                         float* out) {
    const quant::Format& format = quant::format_of(w.type);
    std::vector<uint8_t> bytes(w.n_bytes());
    WALLABY_OK(source.read(tensor, w.first / format.block_len * format.block_bytes, bytes));
    format.decode(bytes.data(), out, w.n_elements() / format.block_len);
    const size_t bad = base::first_not_finite({out, w.n_elements()});
    if (bad < w.n_elements()) { return not_finite(tensor, source.file_of(tensor), w.first + bad, out[bad]); }
    return {};
}

}  // namespace

uint64_t Weights::planned_bytes(const ops::Model& model, WeightsIn weights_in) {
    return places_of(model, weights_in).n_bytes;
}

Weights::Weights(const ops::Model& model, const gguf::WeightSource& source)
    : model_(&model), source_(&source), pieces_(model.weights.size()) {}

Result<Weights> Weights::load(const ops::Model& model, const gguf::WeightSource& source, WeightsIn weights_in,
                              threads::Pool& pool, const base::Progress& progress, const std::stop_token& stop) {
    const Places places = places_of(model, weights_in);
    Weights weights(model, source);
    WALLABY_TRY(weights.arena_, base::Arena::create(places.n_bytes));
    const auto image = weights.arena_.take(places.n_bytes);
    if (!image) { return Error{ErrorCode::memory, "the plan's weight bytes do not hold the weights", {}, ""}; }
    weights.image_ = *image;
    const ImageHeader header = header_of(model, places);
    std::memcpy(image->data(), &header, sizeof(header));
    std::vector<std::vector<uint8_t>> scratch(pool.size());
    Backing backing(weights.arena_, pool);
    for (const Place& place : places.places) {
        const ops::Weight& w = model.weights[place.first];
        WALLABY_TRY(const gguf::Tensor* tensor, find(source, w));
        uint8_t* const out = image->data() + place.offset;
        WALLABY_OK(backing.reach(place.end(), stop));
        if (place.use == Use::vector) {
            WALLABY_OK(read_vector(source, *tensor, w, reinterpret_cast<float*>(out)));
        } else {
            const Packing packing(w, *tensor, source);
            FirstError error;
            const auto pack = [&](uint64_t chunk, unsigned worker) {
                if (error.is_set()) { return; }
                auto packed = packing.pack_chunk(chunk, scratch[worker], out);
                if (!packed.ok()) { error.take(chunk, std::move(packed).error()); }
            };
            WALLABY_OK(pool.run(packing.n_chunks(), stop, pack));
            if (error.is_set()) { return error.get(); }
        }
        if (stop.stop_requested()) { return Error{ErrorCode::cancelled, "stopped", {}, ""}; }
        if (progress) { progress(place.end(), places.n_bytes); }
    }
    WALLABY_OK(weights.set_pieces(places));
    return weights;
}

Result<Weights> Weights::over(const ops::Model& model, const gguf::WeightSource& source, WeightsIn weights_in,
                              std::span<const uint8_t> image) {
    const Places places = places_of(model, weights_in);
    const ImageHeader header = header_of(model, places);
    const bool fits = image.size() >= places.n_bytes && std::memcmp(image.data(), &header, sizeof(header)) == 0;
    if (!fits || reinterpret_cast<uintptr_t>(image.data()) % base::Arena::alignment != 0) {
        return Error{ErrorCode::model,
                     fmt::format("is no image of this model's weights in version {}", header.version),
                     {source.metadata().file(), "packed weights", {}},
                     "Pack them again"};
    }
    Weights weights(model, source);
    weights.image_ = image.first(places.n_bytes);
    WALLABY_OK(weights.set_pieces(places));
    return weights;
}

Result<void> Weights::set_pieces(const Places& places) {
    for (ops::WeightId id = 0; id < model_->weights.size(); id++) {
        Piece& piece = pieces_[id];
        const ops::Weight& w = model_->weights[id];
        if (places.use[id] == Use::matrix) { piece.tile_bytes = kernels::tile_bytes(w.type, w.n_in); }
        const bool is_left = places.use[id] == Use::table || places.use[id] == Use::matrix;
        if (places.of[id] != ops::none) {
            const uint8_t* at = image_.data() + places.places[places.of[id]].offset;
            if (places.use[id] == Use::matrix) {
                piece.tiles = at;
            } else {
                piece.vector = reinterpret_cast<const float*>(at);
            }
        } else if (is_left) {
            WALLABY_TRY(piece.tensor, find(*source_, w));
            if (places.use[id] == Use::matrix) {
                piece.is_checked =
                    std::make_unique<std::atomic<bool>[]>(uint64_t(w.n_expert) * kernels::n_tiles(w.n_out));
            }
        }
    }
    return {};
}

Result<const uint8_t*> Weights::tiles(ops::WeightId id, uint32_t expert, uint32_t first, uint32_t n,
                                      uint8_t* scratch) const {
    const ops::Weight& w = model_->weights[id];
    const Piece& piece = pieces_[id];
    const uint64_t at = uint64_t(expert) * kernels::n_tiles(w.n_out) + first;
    if (piece.tiles != nullptr) { return piece.tiles + at * piece.tile_bytes; }
    std::atomic<bool>* const checked = &piece.is_checked[at];
    const bool is_finite = std::all_of(checked, checked + n, [](const std::atomic<bool>& c) { return c.load(); });
    uint8_t* const out = scratch + n * piece.tile_bytes;
    uint8_t* const buffer = source_->bytes(*piece.tensor).empty() ? scratch : nullptr;
    WALLABY_OK(Packing(w, *piece.tensor, *source_).pack(expert, first, n, is_finite, buffer, nullptr, out));
    for (uint32_t i = 0; i < n; i++) { checked[i] = true; }
    return static_cast<const uint8_t*>(out);
}

uint64_t Weights::row_bytes(ops::WeightId id) const {
    const ops::Weight& w = model_->weights[id];
    const quant::Format& format = quant::format_of(w.type);
    return uint64_t(w.n_in) / format.block_len * format.block_bytes;
}

Result<void> Weights::row(ops::WeightId id, uint64_t row, float* out, uint8_t* scratch) const {
    const ops::Weight& w = model_->weights[id];
    const quant::Format& format = quant::format_of(w.type);
    const Piece& piece = pieces_[id];
    const uint64_t n_bytes = row_bytes(id);
    if (piece.tiles != nullptr) {
        const uint64_t tile = row / kernels::tile_rows;
        kernels::unpack_row(w.type, w.n_in, piece.tiles + tile * piece.tile_bytes, uint32_t(row % kernels::tile_rows),
                            scratch);
        format.decode(scratch, out, w.n_in / format.block_len);
        return {};
    }
    const uint64_t begin = w.first / format.block_len * format.block_bytes;
    WALLABY_OK(source_->read(*piece.tensor, begin + row * n_bytes, {scratch, n_bytes}));
    format.decode(scratch, out, w.n_in / format.block_len);
    const size_t bad = base::first_not_finite({out, w.n_in});
    if (bad < w.n_in) {
        return not_finite(*piece.tensor, source_->file_of(*piece.tensor), w.first + row * w.n_in + bad, out[bad]);
    }
    return {};
}

}  // namespace wallaby::backends::cpu
