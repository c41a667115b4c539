// What the unit of one instruction set exports: the last thing that its translation unit includes.
#pragma once
#include "kernels/text/append.h"
#include "kernels/text/attention.h"
#include "kernels/text/elementwise.h"
#include "kernels/text/matmul.h"
#include "kernels/text/needs.h"
#include "kernels/text/probe.h"

namespace wallaby::kernels {
namespace {

consteval IsaUnit make_unit(Isa isa) {
    isa.needs = needs_of_options();
    Table t = {.isa = isa,
               .columns_at_once = columns_at_once,
               .wide_tiles = wide_tiles,
               .activation_bytes = activation_bytes,
               .write_activations = write_activations,
               .matmul = matmul,
               .norm = norm,
               .rope = rope,
               .gate = gate,
               .add = add_rows,
               .scale = scale_row,
               .silu = silu_row,
               .gelu_tanh = gelu_tanh_row,
               .softcap = softcap_row,
               .exp = exp_row,
               .combine = combine,
               .append = append,
               .attend = attend,
               .merge = merge,
               .finish = finish,
               .probe = make_probe()};
    return {.isa = isa, .table = t};
}

}  // namespace
}  // namespace wallaby::kernels
