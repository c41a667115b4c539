// The model that is planned for: a file, its header alone, a config.json or a known name; in its own types or in
// others.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "convert/synthetic.h"
#include "gguf/weight_source.h"
#include "models/models.h"

namespace wallaby::cli {

class PlanModel {
  public:
    // name: "-" (a GGUF header on standard input), a known shape's name (convert/shapes.h), a config.json or the folder
    // it is in, or a GGUF file, which may end after its header. No weights are read.
    static Result<std::unique_ptr<PlanModel>> open(const std::string& name);

    const std::string& name() const { return name_; }
    // The type that is planned for where none is asked for: "" (the file's own) or "Q4_K_M".
    std::string_view usual_type() const { return source_ ? "" : "Q4_K_M"; }

    // Of a file.
    std::optional<uint64_t> metadata_bytes() const {
        return source_ ? std::optional(source_->metadata().n_bytes()) : std::nullopt;
    }

    struct Typed {
        ops::Model model;
        uint64_t n_bytes = 0, n_params = 0;  // of all tensors
        double bits() const { return 8 * double(n_bytes) / double(n_params); }
        std::unique_ptr<gguf::WeightSource> source;  // nullptr: the file's own
    };
    // In a type or mix of convert/mixes.h, or in the file's own types (""); for a context of n_ctx. Built once, and
    // there as long as this is.
    Result<const Typed*> typed(std::string_view type, uint32_t n_ctx);

  private:
    PlanModel() = default;
    std::string name_;
    std::unique_ptr<gguf::WeightSource> source_;  // of a file
    std::optional<convert::Shape> shape_;         // of anything else; of a file, once another type was asked for
    std::map<std::pair<std::string, uint32_t>, Typed> built_;
};

}  // namespace wallaby::cli
