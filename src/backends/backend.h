// What runs programs. A back end plans the memory of a model, compiles it (loads its weights, allocates its states) and
// the executable then runs batches. Threads are passed in; nothing prints; errors are values.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "gguf/adapter.h"
#include "gguf/weight_source.h"
#include "kv/pages.h"
#include "ops/program.h"
#include "threads/pool.h"

namespace wallaby::backends {

struct Settings {
    uint32_t n_ctx = 4096;   // positions a sequence may have
    uint32_t n_seqs = 1;     // sequences that can be at n_ctx at once: the KV cache has pages for all of them
    uint32_t n_batch = 256;  // rows of one step at most
    quant::Type k_type = quant::Type::f16, v_type = quant::Type::f16;
    // Per sequence: recurrent states that can be held at once, of a model that has any. A step reads one and writes
    // another; each further one is a checkpoint.
    uint32_t n_slots = 2;
};

// Bytes by part, known before any weight is read; compile allocates exactly these.
struct MemoryPlan {
    Settings settings;
    uint32_t n_pages = 0;
    uint32_t n_slots = 0;  // of recurrent states, in all; 0: the model has none
    uint64_t weight_bytes = 0;
    uint64_t state_bytes = 0;
    uint64_t scratch_bytes = 0;
    uint64_t total() const { return weight_bytes + state_bytes + scratch_bytes; }
};

// Sees what a matmul reads before it runs: the rows, each n_in numbers, that meet the matrix `weight`, or the matrix of
// one of its experts, in the order of the batch; at least one. They hold until it returns. Called by run() on its own
// thread.
using MatmulObserver = std::function<void(ops::WeightId weight, uint32_t expert, std::span<const float* const> rows)>;

class Executable;

// A LoRA adapter as one executable uses it: what Executable::adapt() makes.
class Adapter {
  public:
    explicit Adapter(const Executable& of) : of_(&of) {}
    virtual ~Adapter() = default;
    Adapter(const Adapter&) = delete;
    Adapter& operator=(const Adapter&) = delete;
    bool is_of(const Executable& executable) const { return of_ == &executable; }

  private:
    const Executable* of_;
};

// One step: tokens of one sequence or several. Rows of a sequence stand in order of position, and all earlier
// positions of it are in its pages already.
//
// A recurrent state lies in a slot. The step starts from slot_from (none: from a new sequence) and leaves the state
// after its last row in slot_to, which is another one: slot_from stays as it is, a checkpoint to go back to.
struct Batch {
    struct Row {
        int32_t token = 0;
        uint32_t position = 0;
        uint32_t sequence = 0;  // index into sequences
        bool output = false;    // its logits are wanted
    };
    struct Sequence {
        std::span<const kv::PageId> pages;  // long enough for its rows; owned by the caller
        kv::SlotId slot_from = kv::no_slot, slot_to = kv::no_slot;
        // Whose changes are added to every matrix that the sequence's rows meet, each times its scale; owned by the
        // caller. Keys, values and states of earlier rows are of the same adapters, or else they are another model's.
        struct Adapted {
            const Adapter* adapter = nullptr;  // of this executable
            float scale = 1;
        };
        std::span<const Adapted> adapters = {};
    };
    std::vector<Row> rows;
    std::vector<Sequence> sequences;
    const MatmulObserver* observer = nullptr;  // owned by the caller; nullptr: none
};

class Executable {
  public:
    virtual ~Executable() = default;
    virtual const MemoryPlan& plan() const = 0;
    // Runs a program over the batch. logits: [rows with output][n_vocab], filled in row order. On an error or a stop
    // the states hold garbage at the batch's positions and in its slot_to, and nothing else has changed. One call at a
    // time.
    virtual Result<void> run(uint32_t program, const Batch& batch, std::span<float> logits, std::stop_token stop) = 0;
    // Makes an adapter ready for batches; the executable outlives it. An adapter that changes what no matmul multiplies
    // by is an error. Costs the memory of its factors, and time for their bytes.
    virtual Result<std::unique_ptr<const Adapter>> adapt(std::shared_ptr<const gguf::Adapter> adapter) const = 0;
};

class Backend {
  public:
    virtual ~Backend() = default;
    virtual Result<MemoryPlan> plan(const ops::Model& model, const Settings& settings) const = 0;
    // Loads the weights. Model and source must outlive the executable: tables of which single rows are wanted may be
    // left in the source.
    virtual Result<std::unique_ptr<Executable>> compile(const ops::Model& model, const gguf::WeightSource& source,
                                                        const MemoryPlan& plan, const base::Progress& progress,
                                                        std::stop_token stop) const = 0;
};

// Refuses what needs more memory than `available` bytes (unknown: nothing is refused), with its parts. model: its name;
// remedy: what the caller can offer.
Result<void> check_memory(const std::string& model, const MemoryPlan& plan, std::optional<uint64_t> available,
                          std::string_view remedy);

// The back end that defines each op: plain C++, sums in double, one rounding to float32 per op (docs/numerics.md).
// The pool must outlive what it makes.
std::unique_ptr<Backend> make_reference(threads::Pool& pool);
// Where the matrices of a model are while it runs.
enum class WeightsIn : uint8_t {
    memory,  // packed when the model is loaded
    file,    // read, checked and packed in pieces as they are used: for models larger than memory
};
// The fast one: packed weights, integer dot products, the same bits on every instruction set and wherever the weights
// are. isa: "auto" for the best that this CPU has, or one by name (kernels/kernels.h); empty: what the environment's
// WALLABY_ISA says, or else "auto". The pool must outlive what it makes.
Result<std::unique_ptr<Backend>> make_cpu(threads::Pool& pool, std::string_view isa,
                                          WeightsIn weights_in = WeightsIn::memory);

// A back end as people name it.
struct Choice {
    std::string name = "cpu";  // or "reference"
    std::string isa = {};      // of the CPU back end, as its weights' place: make_cpu
    WeightsIn weights_in = WeightsIn::memory;
};
// Errors: make_cpu's; `argument`: another name; `unsupported`: the reference holds its weights in memory.
Result<std::unique_ptr<Backend>> make(const Choice& choice, threads::Pool& pool);

// An instruction set that people may name, and why it cannot be used on this machine (empty: it can).
struct InstructionSet {
    std::string name;
    std::string why_not;           // empty: it can be used here
    bool is_by_name_only = false;  // "auto" never means it: its bits are its own
};
std::vector<InstructionSet> instruction_sets();  // best first
// The one that `isa` (a name, "auto" or empty) means here.
Result<std::string> instruction_set(std::string_view isa);
// The one that a back end runs on: the reference is portable.
Result<std::string> instruction_set(const Choice& choice);

}  // namespace wallaby::backends
