// Mamba-2 (Dao and Gu 2024, arXiv 2405.21060): no attention; a convolution over four tokens and a selective scan. Per
// layer, with n = rms_norm(x) and one matrix for z, xBC and the step sizes:
//   x += out(norm(silu(z(n)) * scan(silu(conv(xBC(n))), steps(n))))
// The last norm is over groups, each with gains of its own. A is stored as -exp(A_log).
#include "models/decoder.h"

namespace wallaby::models {

Result<ops::Model> build_mamba2(Builder& b) {
    Decoder d{};
    d.n_layers = b.u32("block_count", 1, 4096);
    d.n_embd = b.u32("embedding_length", 1, 1u << 20);
    d.eps = b.number("attention.layer_norm_rms_epsilon", 1e-30, 1);
    const uint32_t n_inner = b.u32("ssm.inner_size", 1, 1u << 20);
    const uint32_t taps = b.u32("ssm.conv_kernel", 1, 64);
    ops::Scan spec;
    spec.d_state = b.u32("ssm.state_size", 1, 1u << 14);
    spec.n_heads = b.u32("ssm.time_step_rank", 1, 1u << 14);
    spec.n_groups = b.u32("ssm.group_count", 1, 1u << 14);
    spec.head = n_inner / spec.n_heads;
    if (n_inner % spec.n_heads != 0 || spec.n_heads % spec.n_groups != 0) {
        b.problem(b.source().metadata().error(
            ErrorCode::model, b.key("ssm.time_step_rank"),
            fmt::format("is {} heads: they must divide the width {}, and the {} groups must divide them", spec.n_heads,
                        n_inner, spec.n_groups)));
    }
    if (b.failed()) { return b.finish(); }

    const uint32_t n_conv = n_inner + 2 * spec.n_groups * spec.d_state;
    const uint32_t n_rows = n_inner + n_conv + spec.n_heads;
    const ops::WeightId embedding = b.matrix("token_embd.weight", d.n_embd, b.model().n_vocab);
    ops::ValueId x = b.embed(embedding, ops::Embed::By::token);
    for (uint32_t il = 0; il < d.n_layers && !b.failed(); il++) {
        const std::string blk = fmt::format("blk.{}.", il);
        b.layer(il);
        const ops::ValueId n = b.rms_norm(x, b.vector(blk + "attn_norm.weight", d.n_embd), d.eps);
        const auto part = [&](uint32_t first, uint32_t n_part) {
            return b.matmul(n, b.linear_rows(blk + "ssm_in", d.n_embd, n_rows, first, n_part));
        };
        const ops::ValueId z = part(0, n_inner);
        const ops::ValueId mixed =
            b.silu(b.conv(part(n_inner, n_conv), b.vector(blk + "ssm_conv1d.weight", uint64_t(taps) * n_conv),
                          b.vector(blk + "ssm_conv1d.bias", n_conv), taps));
        const auto per_head = [&](const char* name) { return b.vector(blk + name, spec.n_heads); };
        const ops::ValueId scanned = b.scan(mixed, part(n_inner + n_conv, spec.n_heads),
                                            {per_head("ssm_a"), per_head("ssm_d"), per_head("ssm_dt.bias")}, spec);
        const ops::ValueId y =
            b.rms_norm(b.gate(z, scanned), b.vector(blk + "ssm_norm.weight", n_inner), d.eps, n_inner / spec.n_groups);
        ops::ValueId out = b.matmul(y, b.linear(blk + "ssm_out", n_inner, d.n_embd));
        keep_outputs(b, d, il, out, x);
        x = b.add(out, x);
    }
    b.logits(logits_of(b, d, embedding, x));
    return b.finish();
}

}  // namespace wallaby::models
