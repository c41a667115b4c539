// quantize --target-size, --target-bpw, --max-kld: a type for each tensor, so that a file of a size loses least, or a
// file of a loss is smallest.
#pragma once
#include <string>
#include <vector>

#include "cli/app.h"
#include "convert/quantize_plan.h"

namespace wallaby::cli {

struct TargetFlags {
    std::string size;       // of the file, "4.2GB"
    double bits = 0;        // per weight
    double max_kld = 0;     // nats
    std::string text_file;  // on which the loss is measured
    uint32_t n_chunks = 4, chunk_size = 512;
    std::vector<std::string> types;  // that tensors may get

    bool is_set() const { return !size.empty() || bits != 0 || max_kld != 0; }
};

// TYPE is `type`, the option that none of these goes with.
void add_target(CLI::App& app, TargetFlags& flags, CLI::Option* type);

struct TargetPlan {
    convert::QuantizePlan plan;
    std::string remarks;  // lines for people on how it was found
};
// options: of the types, only whether they may be given again, and the importance. Measures, with a bar on a terminal.
Result<TargetPlan> plan_target(const gguf::WeightSource& source, const TargetFlags& flags,
                               const convert::QuantizeOptions& options, const std::string& out, threads::Pool& pool,
                               const std::stop_token& stop);

}  // namespace wallaby::cli
