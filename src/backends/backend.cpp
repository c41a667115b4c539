#include "backends/backend.h"

#include <fmt/format.h>

namespace wallaby::backends {

Result<std::unique_ptr<Backend>> make(const Choice& choice, threads::Pool& pool) {
    if (choice.name == "cpu") { return make_cpu(pool, choice.isa, choice.weights_in); }
    if (choice.name != "reference") {
        return Error{
            ErrorCode::argument, fmt::format("'{}' is no back end", choice.name), {}, "There are cpu and reference"};
    }
    if (choice.weights_in == WeightsIn::memory) { return make_reference(pool); }
    return Error{ErrorCode::unsupported, "the reference back end holds its weights in memory", {}, "Leave out --mmap"};
}

Result<std::string> instruction_set(const Choice& choice) {
    return choice.name == "cpu" ? instruction_set(choice.isa) : instruction_set("portable");
}

}  // namespace wallaby::backends
