#include "probe/samples.h"

#include <algorithm>
#include <cmath>

namespace wallaby::probe {

SampleBuilder::SampleBuilder() {
    model_.family = "sample";
    model_.n_vocab = sample_width;
    shape_.metadata.set("general.architecture", "sample");
}

ops::WeightId SampleBuilder::weight(std::string name, quant::Type type, uint32_t n_in, uint32_t n_out) {
    std::vector<uint64_t> dims{n_in};
    if (n_out != 1) { dims.push_back(n_out); }
    shape_.tensors.push_back({name, std::move(dims), {}, type});
    model_.weights.push_back({std::move(name), type, n_in, n_out});
    return ops::WeightId(model_.weights.size() - 1);
}

// The names say how the weights are spread (convert/synthetic.cpp).
ops::WeightId SampleBuilder::matrix(quant::Type type, uint32_t n_in, uint32_t n_out) {
    return weight(fmt::format("matrix.{}.weight", model_.weights.size()), type, n_in, n_out);
}

ops::WeightId SampleBuilder::vector(std::string_view ending, uint32_t n) {
    return weight(fmt::format("vector.{}{}", model_.weights.size(), ending), quant::Type::f32, n, 1);
}

ops::WeightId SampleBuilder::gains(uint32_t width) { return vector("_norm.weight", width); }

ops::StateId SampleBuilder::kv_state(uint32_t n_heads, uint32_t head) {
    const auto id = ops::StateId(model_.states.size());
    model_.states.push_back({ops::State::Kind::kv, id, n_heads, head});
    return id;
}

ops::StateId SampleBuilder::recurrent_state(uint64_t n_elements) {
    const auto id = ops::StateId(model_.states.size());
    model_.states.push_back({.kind = ops::State::Kind::recurrent, .layer = id, .n_elements = n_elements});
    return id;
}

uint32_t SampleBuilder::rope_table(uint32_t n_dims) {
    ops::RopeTable table;
    for (uint32_t i = 0; i < n_dims / 2; i++) { table.frequency.push_back(1.0 / (1 + i)); }
    model_.rope_tables.push_back(std::move(table));
    return uint32_t(model_.rope_tables.size() - 1);
}

ops::ValueId SampleBuilder::begin(std::string name, uint32_t width) {
    model_.programs.emplace_back().name = std::move(name);
    return embed(width);
}

ops::ValueId SampleBuilder::embed(uint32_t width) {
    auto table = std::ranges::find(tables_, width, &std::pair<uint32_t, ops::WeightId>::first);
    if (table == tables_.end()) {
        const quant::Type type = width % 32 == 0 ? quant::Type::q8_0 : quant::Type::f32;
        table = tables_.insert(tables_.end(),
                               {width, weight(fmt::format("table.{}.weight", width), type, width, sample_width)});
    }
    ops::Op op{ops::Embed{}};
    op.weight[0] = table->second;
    return add(op, width);
}

ops::ValueId SampleBuilder::value(uint32_t width, bool is_i32) {
    program().values.push_back({ops::Rows::tokens, is_i32, width});
    return ops::ValueId(program().values.size() - 1);
}

void SampleBuilder::add_bare(const ops::Op& op) { program().ops.push_back(op); }

ops::ValueId SampleBuilder::add(ops::Op op, uint32_t width) {
    op.out[0] = value(width);
    add_bare(op);
    return ops::ValueId(program().values.size() - 1);
}

ops::ValueId SampleBuilder::matmul(ops::ValueId in, ops::WeightId weight) {
    ops::Op op{ops::Matmul{}};
    op.in[0] = in;
    op.weight[0] = weight;
    return add(op, model_.weights[weight].n_out);
}

uint32_t SampleBuilder::end(ops::ValueId last) {
    program().values.push_back({ops::Rows::outputs, false, sample_width});
    program().logits = ops::ValueId(program().values.size() - 1);
    ops::Op op{ops::Select{}};
    op.in[0] = last;
    op.out[0] = program().logits;
    add_bare(op);
    return uint32_t(model_.programs.size() - 1);
}

Result<SampleBuilder::Built> SampleBuilder::build() && {
    WALLABY_OK(ops::check(model_));
    WALLABY_TRY(auto source, convert::SyntheticSource::create(std::move(shape_), "", 1, "the probe's own model"));
    return Built{std::move(model_), std::move(source)};
}

}  // namespace wallaby::probe
