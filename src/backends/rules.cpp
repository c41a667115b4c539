#include "backends/rules.h"

#include <cmath>
#include <vector>

#include "base/system.h"

namespace wallaby::backends {
namespace {

// A recurrent state goes on exactly where it stands: each sequence's rows follow its slot_from, one by one, and no slot
// that is written is named twice.
Result<void> check_slots(const MemoryPlan& plan, std::span<const uint32_t> slot_tokens, const Batch& batch) {
    const auto refuse = [](std::string what) {
        return Error{ErrorCode::argument, std::move(what), {"", "batch", {}}, ""};
    };
    std::vector<uint32_t> next(batch.sequences.size());
    std::vector<uint8_t> is_written(plan.n_slots, 0);
    for (size_t i = 0; i < batch.sequences.size(); i++) {
        const Batch::Sequence& s = batch.sequences[i];
        if (s.slot_to == kv::no_slot) { continue; }  // has no rows, or is refused below
        if (s.slot_to >= plan.n_slots || is_written[s.slot_to]++ != 0) {
            return refuse(fmt::format("slot {} of sequence {} does not exist or is written twice", s.slot_to, i));
        }
    }
    for (size_t i = 0; i < batch.sequences.size(); i++) {
        const kv::SlotId from = batch.sequences[i].slot_from;
        if (from == kv::no_slot) { continue; }
        if (from >= plan.n_slots || is_written[from] != 0) {
            return refuse(fmt::format("slot {} of sequence {} does not exist or is written too", from, i));
        }
        next[i] = slot_tokens[from];
    }
    for (const Batch::Row& r : batch.rows) {
        if (batch.sequences[r.sequence].slot_to == kv::no_slot || r.position != next[r.sequence]++) {
            return refuse(fmt::format("position {} of sequence {} does not follow its state", r.position, r.sequence));
        }
    }
    return {};
}

}  // namespace

Result<void> check_memory(const std::string& model, const MemoryPlan& plan, std::optional<uint64_t> available,
                          std::string_view remedy) {
    if (!available || plan.total() <= *available) { return {}; }
    const auto gib = [](uint64_t n_bytes) { return double(n_bytes) / double(1u << 30); };
    return Error{
        ErrorCode::capacity,
        fmt::format("needs {:.2f} GiB ({:.2f} weights, {:.2f} for {} sequences of {} tokens, {:.2f} scratch), but "
                    "{:.2f} GiB are available",
                    gib(plan.total()), gib(plan.weight_bytes), gib(plan.state_bytes), plan.settings.n_seqs,
                    plan.settings.n_ctx, gib(plan.scratch_bytes), gib(*available)),
        {model, "", {}},
        std::string(remedy)};
}

Result<void> check_batch(const Ground& ground, const Batch& batch, uint32_t program, size_t n_logits) {
    const ops::Model& model = ground.model;
    const MemoryPlan& plan = ground.executable.plan();
    const auto refuse = [](std::string what) {
        return Error{ErrorCode::argument, std::move(what), {"", "batch", {}}, ""};
    };
    if (program >= model.programs.size()) { return refuse(fmt::format("program {} does not exist", program)); }
    if (batch.rows.empty() || batch.rows.size() > plan.settings.n_batch) {
        return refuse(fmt::format("{} rows: 1 to {} are allowed", batch.rows.size(), plan.settings.n_batch));
    }
    for (const Batch::Sequence& sequence : batch.sequences) {
        for (const kv::PageId page : sequence.pages) {
            if (page >= plan.n_pages) { return refuse(fmt::format("page {} of {}", page, plan.n_pages)); }
        }
        for (const auto& [adapter, scale] : sequence.adapters) {
            if (adapter == nullptr || !adapter->is_of(ground.executable)) {
                return refuse("an adapter is of another executable");
            }
            if (!std::isfinite(scale)) { return refuse(fmt::format("an adapter's scale is {}", scale)); }
        }
    }
    size_t n_outputs = 0;
    for (const Batch::Row& r : batch.rows) {
        n_outputs += r.output ? 1 : 0;
        if (r.token < 0 || uint32_t(r.token) >= model.n_vocab) {
            return refuse(fmt::format("token {} is not one of the {} there are", r.token, model.n_vocab));
        }
        if (r.position >= plan.settings.n_ctx) {
            return refuse(
                fmt::format("position {} is beyond the context of {} tokens", r.position, plan.settings.n_ctx));
        }
        if (r.sequence >= batch.sequences.size() ||
            r.position / kv::page_tokens >= batch.sequences[r.sequence].pages.size()) {
            return refuse(fmt::format("position {} of sequence {} has no page", r.position, r.sequence));
        }
    }
    if (plan.n_slots != 0) { WALLABY_OK(check_slots(plan, ground.slot_tokens, batch)); }
    if (n_logits != n_outputs * model.n_vocab) {
        return refuse(fmt::format("{} logits asked for {} outputs", n_logits, n_outputs));
    }
    return {};
}

Result<void> check_logits(std::span<const float> logits, uint32_t n_vocab) {
    for (size_t i = 0; i < logits.size(); i++) {
        if (!std::isfinite(logits[i])) {
            return Error{ErrorCode::numeric,
                         fmt::format("logit {} of output {} is {}", i % n_vocab, i / n_vocab, logits[i]),
                         {},
                         "The model's weights are damaged, or its numbers outgrow float32"};
        }
    }
    return {};
}

Result<void> check_settings(const ops::Model& model, const Settings& settings) {
    if (settings.n_slots < 2) {
        return Error{ErrorCode::argument, "a sequence needs two slots of recurrent state at least", {}, ""};
    }
    if (settings.n_ctx == 0 || settings.n_seqs == 0 || settings.n_batch == 0 || settings.n_batch > 1u << 16) {
        return Error{
            ErrorCode::argument, "the context, the sequences and the batch (up to 65536) must be at least 1", {}, ""};
    }
    if (model.n_ctx_max != 0 && settings.n_ctx > model.n_ctx_max) {
        return Error{ErrorCode::capacity,
                     fmt::format("is {}, but this model has only {} positions", settings.n_ctx, model.n_ctx_max),
                     {"", "-c", {}},
                     fmt::format("Use -c {} or less", model.n_ctx_max)};
    }
    const uint64_t n_pages = uint64_t(kv::pages_for(settings.n_ctx)) * settings.n_seqs;
    if (n_pages > 1u << 30) {
        return Error{
            ErrorCode::capacity, fmt::format("{} pages of KV cache are too many", n_pages), {"", "-c", {}}, ""};
    }
    return {};
}

Result<uint32_t> slots_of(const ops::Model& model, const Settings& settings) {
    const uint64_t n_slots = ops::has_recurrent_state(model) ? uint64_t(settings.n_seqs) * settings.n_slots : 0;
    if (n_slots > 1u << 20) {
        return Error{ErrorCode::capacity, fmt::format("{} slots of recurrent state are too many", n_slots), {}, ""};
    }
    return uint32_t(n_slots);
}

}  // namespace wallaby::backends
