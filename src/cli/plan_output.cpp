#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/plan.h"

namespace wallaby::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string gb(double n_bytes) { return fmt::format("{:.2f} GB", n_bytes / 1e9); }

std::string speed(const Result<planner::Estimate>& e, double n_tokens, std::string_view unit) {
    if (!e.ok()) { return e.error().what; }
    return fmt::format("{:.4g} {} ({:.4g} … {:.4g}), limited by {}", n_tokens / e->seconds, unit, n_tokens / e->high,
                       n_tokens / e->low, e->limiter);
}

std::string largest(uint32_t n, std::string_view what) {
    return n == 0 ? fmt::format("not one {}", what) : fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string choices_text(const planner::Want& want, const MachinePlan& m) {
    const bool any_meets = std::ranges::any_of(m.choices, &Choice::meets);
    std::string text =
        fmt::format("  {}\n", any_meets ? "does what is wanted:"
                              : m.choices.empty()
                                  ? "nothing fits the memory"
                                  : "nothing does what is wanted; what fits, and the bandwidth that would be enough:");
    for (const Choice& c : m.choices) {
        text += fmt::format("    {:<7} keys and values {:<5} {:>9} {:>9.4g} tokens/s", c.type,
                            quant::format_of(c.kv_type).name, gb(double(c.needed_bytes)), c.tokens_per_s);
        if (!any_meets) {
            text += fmt::format("  {:>7.1f} GB/s for {:.4g}", c.wanted_bandwidth / 1e9, want.tokens_per_s);
        }
        text += fmt::format("  perplexity +{:.4f}\n", c.loss);
    }
    if (!m.choices.empty()) {
        text +=
            "    (perplexity: of Llama 3 8B's weights, published by llama.cpp; what types of keys and values add is "
            "not known)\n";
    }
    return text;
}

std::string machine_text(const PlanReport& report, const MachinePlan& m) {
    const backends::Settings& s = report.settings;
    std::string text = fmt::format("\n{}{}\n", m.id, m.id == m.name ? "" : ": " + m.name);
    const auto line = [&](std::string_view name, const std::string& what) {
        text += fmt::format("  {:<14} {}\n", name, what);
    };
    line("memory",
         fmt::format("{} of {}: {}", gb(double(m.needed())), gb(m.memory_bytes), m.fits() ? "fits" : "does not fit"));
    line("", fmt::format("weights {}, KV cache {}, scratch {}, process {}", gb(double(m.memory.weight_bytes)),
                         gb(double(m.memory.state_bytes)), gb(double(m.memory.scratch_bytes)),
                         gb(double(m.process_bytes))));
    line("largest", fmt::format("a context of {}, or {} of {}", largest(m.largest_context, "token"),
                                largest(m.largest_sequences, "sequence"), s.n_ctx));
    if (report.n_prompt != 0) {
        line("prompt", speed(m.prompt, report.n_prompt, "tokens/s"));
        if (m.prompt.ok()) {
            line("first token", fmt::format("{:.3g} s after a prompt of {} ({:.3g} … {:.3g})", m.prompt->seconds,
                                            report.n_prompt, m.prompt->low, m.prompt->high));
        }
    }
    line("decode", speed(m.decode, s.n_seqs, "tokens/s") + fmt::format(", after {} tokens", report.n_prompt));
    line("decode, full", speed(m.decode_full, s.n_seqs, "tokens/s") + fmt::format(", after {} tokens", s.n_ctx));
    if (!m.changes.empty()) {
        const Change& best = m.changes.front();
        line("helps most", fmt::format("{}: {:.4g} tokens/s at the full context ({:+.0f} %)", best.what,
                                       best.tokens_per_s, 100 * best.gain));
    }
    if (m.speculation) {
        const Speculation& p = *m.speculation;
        line("speculation",
             fmt::format(
                 "{} drafts, each accepted with probability {:.3g}: {:.2f} x; verifying costs {:.2f} steps; "
                 "{}",
                 p.n_drafts, p.acceptance, p.gain, p.verify_steps,
                 p.break_even ? fmt::format("a gain above a probability of {:.2f}", *p.break_even) : "never a gain"));
    }
    if (report.want) { text += choices_text(*report.want, m); }
    return text;
}

Json estimate_json(const Result<planner::Estimate>& e, double n_tokens) {
    if (!e.ok()) { return {{"unknown", e.error().what}}; }
    return {{"tokens_per_s", n_tokens / e->seconds},
            {"low", n_tokens / e->high},
            {"high", n_tokens / e->low},
            {"seconds", e->seconds},
            {"limiter", e->limiter}};
}

Json machine_json(const PlanReport& report, const MachinePlan& m) {
    const backends::Settings& s = report.settings;
    Json out{{"model", report.model},
             {"type", report.type},
             {"n_params", uint64_t(report.n_params)},
             {"model_bytes", uint64_t(report.n_bytes)},
             {"machine", m.id},
             {"machine_name", m.name},
             {"n_ctx", s.n_ctx},
             {"n_seqs", s.n_seqs},
             {"n_batch", s.n_batch},
             {"type_k", quant::format_of(s.k_type).name},
             {"type_v", quant::format_of(s.v_type).name},
             {"n_prompt", report.n_prompt},
             {"fits", m.fits()},
             {"needed_bytes", m.needed()},
             {"memory_bytes", uint64_t(m.memory_bytes)},
             {"weight_bytes", m.memory.weight_bytes},
             {"state_bytes", m.memory.state_bytes},
             {"scratch_bytes", m.memory.scratch_bytes},
             {"process_bytes", m.process_bytes},
             {"largest_context", m.largest_context},
             {"largest_sequences", m.largest_sequences}};
    if (report.n_prompt != 0) { out["prompt"] = estimate_json(m.prompt, report.n_prompt); }
    out["decode"] = estimate_json(m.decode, s.n_seqs);
    out["decode_full_context"] = estimate_json(m.decode_full, s.n_seqs);
    out["changes"] = Json::array();
    for (const Change& c : m.changes) {
        out["changes"].push_back({{"what", c.what}, {"tokens_per_s", c.tokens_per_s}, {"gain", c.gain}});
    }
    if (m.speculation) {
        const Speculation& p = *m.speculation;
        out["speculation"] = {{"n_drafts", p.n_drafts},
                              {"acceptance", p.acceptance},
                              {"draft_steps", p.draft_steps},
                              {"verify_steps", p.verify_steps},
                              {"gain", p.gain},
                              {"break_even", p.break_even ? Json(*p.break_even) : Json(nullptr)}};
    }
    if (report.want) {
        out["choices"] = Json::array();
        for (const Choice& c : m.choices) {
            out["choices"].push_back({{"type", c.type},
                                      {"type_kv", quant::format_of(c.kv_type).name},
                                      {"needed_bytes", c.needed_bytes},
                                      {"tokens_per_s", c.tokens_per_s},
                                      {"meets", c.meets},
                                      {"wanted_bytes_per_s", c.wanted_bandwidth},
                                      {"perplexity_increase", c.loss}});
        }
    }
    return out;
}

}  // namespace

std::string plan_text(const PlanReport& report) {
    const backends::Settings& s = report.settings;
    std::string text = fmt::format("{}{}: {:.2f} B parameters, {} ({:.2f} bits each)\n", report.model,
                                   report.type.empty() ? "" : ", " + report.type, report.n_params / 1e9,
                                   gb(report.n_bytes), 8 * report.n_bytes / report.n_params);
    text += fmt::format("{} sequence{} of {} tokens, keys in {} and values in {}\n", s.n_seqs, s.n_seqs == 1 ? "" : "s",
                        s.n_ctx, quant::format_of(s.k_type).name, quant::format_of(s.v_type).name);
    for (const MachinePlan& m : report.machines) { text += machine_text(report, m); }
    return text;
}

std::string plan_json(const PlanReport& report) {
    Json out = Json::array();
    for (const MachinePlan& m : report.machines) { out.push_back(machine_json(report, m)); }
    return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string plan_csv(const PlanReport& report) {
    std::string text =
        "model,type,machine,n_ctx,n_seqs,fits,needed_bytes,memory_bytes,prompt_ts,decode_ts,decode_full_ts\n";
    for (const MachinePlan& m : report.machines) {
        const auto ts = [](const Result<planner::Estimate>& e, double n) {
            return e.ok() ? fmt::format("{:.4f}", n / e->seconds) : std::string();
        };
        std::string model;
        for (const char c : report.model) { model += c == '"' ? "\"\"" : std::string(1, c); }
        text += fmt::format("\"{}\",{},{},{},{},{},{},{:.0f},{},{},{}\n", model, report.type, m.id,
                            report.settings.n_ctx, report.settings.n_seqs, m.fits() ? 1 : 0, m.needed(), m.memory_bytes,
                            report.n_prompt == 0 ? "" : ts(m.prompt, report.n_prompt),
                            ts(m.decode, report.settings.n_seqs), ts(m.decode_full, report.settings.n_seqs));
    }
    return text;
}

}  // namespace wallaby::cli
