#include "planner/footprint.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "base/ascii.h"
#include "quant/format.h"

namespace wallaby::planner {
namespace {

constexpr uint64_t base_bytes = uint64_t(9) << 20, token_bytes = 90;
constexpr double tokenizer_share = 2.6;          // of the metadata's bytes
constexpr uint64_t usual_metadata_a_token = 50;  // 22 (Llama 2) to 61 (Llama 3), Qwen 39, Gemma 60
constexpr uint32_t least_context = 256;

}  // namespace

uint64_t process_bytes(const ops::Model& model, uint64_t metadata_bytes) {
    return base_bytes + token_bytes * model.n_vocab + metadata_bytes;
}

uint64_t run_bytes(const ops::Model& model, uint64_t metadata_bytes) {
    return process_bytes(model, metadata_bytes) + uint64_t(tokenizer_share * double(metadata_bytes));
}

uint64_t usual_metadata_bytes(const ops::Model& model) { return usual_metadata_a_token * model.n_vocab; }

uint32_t largest(uint32_t most, const std::function<bool(uint32_t)>& fits) {
    uint32_t low = 0, high = most;  // fits(low), and nothing above high does
    while (low < high) {
        const uint32_t middle = high - (high - low) / 2;
        if (fits(middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

std::vector<backends::Settings> settings_that_fit(const backends::Backend& backend, const ops::Model& model,
                                                  const backends::Settings& wanted, uint64_t n_bytes) {
    constexpr std::array smaller{quant::Type::q8_0, quant::Type::q4_0};
    const auto bits = [](quant::Type type) {
        const quant::Format& format = quant::format_of(type);
        return 8 * double(format.block_bytes) / format.block_len;
    };
    std::vector<backends::Settings> found;
    uint32_t longest = least_context - 1;
    const auto consider = [&](quant::Type k_type, quant::Type v_type) {
        backends::Settings s = wanted;
        s.k_type = k_type;
        s.v_type = v_type;
        s.n_ctx = largest(wanted.n_ctx, [&](uint32_t n_ctx) {
            backends::Settings other = s;
            other.n_ctx = n_ctx;
            const auto plan = backend.plan(model, other);
            return plan.ok() && plan->total() <= n_bytes;
        });
        if (s.n_ctx <= longest) { return; }
        longest = s.n_ctx;
        found.push_back(s);
    };
    consider(wanted.k_type, wanted.v_type);
    for (const quant::Type type : smaller) {
        const auto least = [&](quant::Type other) { return bits(type) < bits(other) ? type : other; };
        if (longest == wanted.n_ctx) { break; }
        consider(least(wanted.k_type), least(wanted.v_type));
    }
    return found;
}

std::string flags_of(const std::vector<backends::Settings>& settings, const backends::Settings& wanted) {
    std::string text;
    for (const backends::Settings& s : settings) {
        if (!text.empty()) { text += " or "; }
        text += fmt::format("-c {}", s.n_ctx);
        if (s.k_type != wanted.k_type) {
            text += fmt::format(" --ctk {}", base::lower(quant::format_of(s.k_type).name));
        }
        if (s.v_type != wanted.v_type) {
            text += fmt::format(" --ctv {}", base::lower(quant::format_of(s.v_type).name));
        }
    }
    return text;
}

}  // namespace wallaby::planner
