// A LoRA adapter of one model, ready to run: shared by the sessions that use it, each at a scale of its own.
#pragma once
#include <memory>
#include <string>

#include "engine/model.h"
#include "gguf/adapter.h"

namespace wallaby::engine {

class Adapter {
  public:
    // Reads the file and makes it ready for the model's back end; it holds its factors in memory, and the model alive.
    // Errors: gguf::Adapter's; `unsupported`: it changes what the model does not use as a matrix; `capacity`: it does
    // not fit the memory.
    static Result<std::shared_ptr<const Adapter>> load(std::shared_ptr<const Model> model, const std::string& path);
    static Result<std::shared_ptr<const Adapter>> load(std::shared_ptr<const Model> model,
                                                       std::shared_ptr<const gguf::Adapter> file);

    const std::string& name() const { return name_; }  // its file
    bool is_of(const Model& model) const { return model_.get() == &model; }

  private:
    friend class Session;
    Adapter() = default;

    std::string name_;
    std::shared_ptr<const Model> model_;  // whose executable made what follows
    std::unique_ptr<const backends::Adapter> adapter_;
};

// An adapter and how much of it: 1 as it was trained, 0 nothing, below 0 its opposite.
struct Adapted {
    std::shared_ptr<const Adapter> adapter;
    float scale = 1;

    friend bool operator==(const Adapted&, const Adapted&) = default;
};

}  // namespace wallaby::engine
