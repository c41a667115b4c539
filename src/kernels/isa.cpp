// Which kernels there are in this binary, which of them this CPU can run, and which are used.
#include <array>
#include <optional>

#include "kernels/kernels.h"

namespace wallaby::kernels {

extern const Table portable_table;
#if defined(__x86_64__)
extern const Table avx512vnni_table;
extern const NativeBf16 avx512bf16_table;
#endif

namespace {

struct Name {
    std::string_view name;
    std::optional<Isa> isa;  // none: this version has no kernels for it yet
    bool by_name_only = false;
};
// Best first.
constexpr std::array<Name, 8> names = {{{"avx512vnni", Isa::avx512vnni},
                                        {"avx512bf16", Isa::avx512bf16, true},
                                        {"avx512", std::nullopt},
                                        {"avx2", std::nullopt},
                                        {"i8mm", std::nullopt},
                                        {"dotprod", std::nullopt},
                                        {"neon", std::nullopt},
                                        {"portable", Isa::portable}}};

#if defined(__x86_64__)
// The first of its needs that this CPU lacks.
std::string_view lacking_avx512vnni(const base::CpuFeatures& cpu) {
    if (!cpu.avx512f) { return "AVX-512F"; }
    if (!cpu.avx512bw) { return "AVX-512BW"; }
    if (!cpu.avx512dq) { return "AVX-512DQ"; }
    if (!cpu.avx512vl) { return "AVX-512VL"; }
    if (!cpu.avx512vnni) { return "AVX-512 VNNI"; }
    if (!cpu.avx2 || !cpu.fma || !cpu.f16c) { return "AVX2, FMA and F16C"; }
    return {};
}

Matmul matmul_avx512bf16(quant::Type type) {
    return type == quant::Type::bf16 ? avx512bf16_table.matmul : avx512vnni_table.matmul(type);
}
Table make_avx512bf16() {
    Table t = avx512vnni_table;
    t.isa = Isa::avx512bf16;
    t.matmul = matmul_avx512bf16;
    t.probe.bf16 = avx512bf16_table.probe;
    t.probe.bf16_operations = avx512bf16_table.probe_operations;
    return t;
}
#endif

}  // namespace

std::string_view name_of(Isa isa) {
    for (const Name& n : names) {
        if (n.isa == isa) { return n.name; }
    }
    return {};
}

std::string lacking(Isa isa, const base::CpuFeatures& cpu) {
    if (isa == Isa::portable) { return {}; }
#if defined(__x86_64__)
    if (isa == Isa::avx512bf16 && !cpu.avx512bf16) { return "AVX-512 BF16"; }
    return std::string(lacking_avx512vnni(cpu));
#else
    (void)cpu;
    return "x86-64";
#endif
}

std::vector<Known> known(const base::CpuFeatures& cpu) {
    std::vector<Known> out;
    for (const Name& n : names) {
        Known k{n.name, n.isa, {}, n.by_name_only};
        if (!n.isa) {
            k.why_not = "its kernels are not written yet";
        } else if (const std::string lacks = lacking(*n.isa, cpu); !lacks.empty()) {
            k.why_not = fmt::format("this machine lacks {}", lacks);
        }
        out.push_back(std::move(k));
    }
    return out;
}

Result<Isa> choose(std::string_view name, const base::CpuFeatures& cpu) {
    const bool is_any = name.empty() || name == "auto";
    for (const Known& k : known(cpu)) {
        if (is_any && k.why_not.empty() && !k.by_name_only) { return *k.isa; }
        if (k.name != name) { continue; }
        if (k.why_not.empty()) { return *k.isa; }
        return Error{ErrorCode::unsupported,
                     fmt::format("{} cannot be used: {}", name, k.why_not),
                     {"", "--isa or WALLABY_ISA", {}},
                     "Use auto"};
    }
    return Error{ErrorCode::argument,
                 fmt::format("'{}' is not an instruction set", name),
                 {"", "--isa or WALLABY_ISA", {}},
                 "Use auto, portable, avx2, avx512, avx512vnni, avx512bf16, neon, dotprod or i8mm"};
}

const Table& table(Isa isa) {
#if defined(__x86_64__)
    static const Table avx512bf16 = make_avx512bf16();
    if (isa == Isa::avx512vnni) { return avx512vnni_table; }
    if (isa == Isa::avx512bf16) { return avx512bf16; }
#endif
    (void)isa;
    return portable_table;
}

}  // namespace wallaby::kernels
