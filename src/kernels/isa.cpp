// Which kernels there are in this binary, which of them this CPU can run, and which are used. The list of units is
// written by CMake from the files in isa/.
#include <algorithm>

#include "kernels/kernels.h"

// WALLABY_UNITS(X): X(name) of each; WALLABY_OTHER_UNITS(X): of those for other processors.
#include <kernels_units.h>

namespace wallaby::kernels {

#define WALLABY_DECLARE(name) extern const IsaUnit name##_unit;
WALLABY_UNITS(WALLABY_DECLARE)
#undef WALLABY_DECLARE

namespace {

std::vector<Table> make_tables() {
    std::vector<Table> out;
    const auto add = [&](const IsaUnit& unit) {
        Table table = unit.over != nullptr ? unit.over->table : unit.table;
        if (unit.change != nullptr) { unit.change(table); }
        table.isa = unit.isa;
        out.push_back(table);
    };
#define WALLABY_ADD(name) add(name##_unit);
    WALLABY_UNITS(WALLABY_ADD)
#undef WALLABY_ADD
    std::ranges::sort(out, std::greater<>(), [](const Table& t) { return t.isa.rank; });
    return out;
}

std::string names() {
    std::string out = "auto";
    for (const Table& t : tables()) { out += fmt::format(", {}", t.isa.name); }
    return out;
}

}  // namespace

std::span<const Table> tables() {
    static const std::vector<Table> all = make_tables();
    return all;
}

const Table& portable() { return tables().back(); }

const Table* find_table(std::string_view isa) {
    const auto found = std::ranges::find(tables(), isa, [](const Table& t) { return t.isa.name; });
    return found == tables().end() ? nullptr : &*found;
}

std::string lacking(const Isa& isa, const base::CpuFeatures& cpu) {
    std::vector<std::string_view> missing;
    for (int i = 0; i < base::n_cpu_features; i++) {
        const auto f = base::CpuFeature(i);
        if (isa.needs.has(f) && !cpu.has(f)) { missing.push_back(base::name_of(f)); }
    }
    return fmt::format("{}", fmt::join(missing, ", "));
}

std::vector<Known> known(const base::CpuFeatures& cpu) {
    std::vector<Known> out;
    for (const Table& t : tables()) {
        Known k{t.isa.name, &t, {}, t.isa.by_name_only};
        if (const std::string lacks = lacking(t.isa, cpu); !lacks.empty()) {
            k.why_not = fmt::format("this machine lacks {}", lacks);
        }
        out.push_back(std::move(k));
    }
#define WALLABY_ADD(name) out.push_back({#name, nullptr, "it is of another kind of processor", false});
    WALLABY_OTHER_UNITS(WALLABY_ADD)
#undef WALLABY_ADD
    return out;
}

Result<const Table*> choose(std::string_view name, const base::CpuFeatures& cpu) {
    const bool is_any = name.empty() || name == "auto";
    for (const Known& k : known(cpu)) {
        if (is_any && k.why_not.empty() && !k.by_name_only) { return k.table; }
        if (k.name != name) { continue; }
        if (k.why_not.empty()) { return k.table; }
        return Error{ErrorCode::unsupported,
                     fmt::format("{} cannot be used: {}", name, k.why_not),
                     {"", "--isa or WALLABY_ISA", {}},
                     "Use auto"};
    }
    return Error{ErrorCode::argument,
                 fmt::format("'{}' is not an instruction set", name),
                 {"", "--isa or WALLABY_ISA", {}},
                 fmt::format("Use {}", names())};
}

}  // namespace wallaby::kernels
