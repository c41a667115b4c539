#include "planner/article.h"

#include <array>
#include <cstddef>

namespace wallaby::planner {
namespace {

constexpr double giga = 1e9;  // the article's GB

struct Format {
    std::string_view name;
    double bits = 0;
};
constexpr std::array<Format, 4> formats = {{{"float32", 32}, {"float16", 16}, {"int8", 8}, {"int4", 4}}};
constexpr const Format& float16 = formats[1];
constexpr const Format& int4 = formats[3];

// One size of LLaMA, and the article's two tables: a column for each of `formats`, read from their pictures
// (static/images/llama-memory-weights.png and llama-inference-times.png).
struct Model {
    std::string_view name;
    double n_params = 0;  // the article's round numbers
    double n_blocks = 0, d_model = 0;
    std::array<double, formats.size()> weights_gb;
    std::array<double, formats.size()> a100_ms;
};
constexpr std::array<Model, 4> models = {{
    {"7B", 7e9, 32, 4096, {28, 14, 7, 3.5}, {28.94, 14.47, 7.24, 3.62}},
    {"13B", 13e9, 40, 5120, {52, 26, 13, 6.5}, {53.75, 26.87, 13.44, 6.72}},
    {"32.5B", 32.5e9, 60, 6656, {130, 65, 32.5, 16.25}, {134.37, 67.18, 33.59, 16.80}},
    {"65.2B", 65.2e9, 80, 8192, {260.8, 130.4, 65.2, 32.6}, {269.56, 134.78, 67.39, 33.70}},
}};
constexpr const Model& smallest = models.front();
constexpr const Model& largest = models.back();
constexpr double n_context = 2048;  // tokens that LLaMA was trained for; the article names no context

struct Machine {
    std::string_view name;
    Roofline roofline;
};
constexpr Machine a100 = {"A100 80GB PCIe", {1935e9, 312e12}};  // FLOP/s in fp16, as of the M1
constexpr Machine m1 = {"M1", {68.25e9, 5.5e12}};
constexpr Machine m2_pro = {"M2 Pro", {200e9, 0}};
constexpr Machine m2_max = {"M2 Max", {400e9, 0}};
constexpr Machine raspberry_pi_4 = {"Raspberry Pi 4", {4e9, 13.5e9}};

// Tokens a second of one sequence with weights in int4.
struct Decode {
    const Machine* machine = nullptr;
    const Model* model = nullptr;
    std::optional<double> article;
    std::optional<double> published;
    std::string_view source;
    std::string_view note;
};
constexpr std::array<Decode, 8> decodes = {{
    {&a100, &smallest, 277, 136.24,
     "XiongjieDai/GPU-Benchmarks-on-LLM-Inference @ 00dd2bde, December 2023: Llama 2 7B Q4_0, A100 80GB", ""},
    {&a100, &largest, 30, 25.68,
     "XiongjieDai/GPU-Benchmarks-on-LLM-Inference @ 00dd2bde, December 2023: Llama 2 70B Q4_0, A100 80GB", ""},
    {&m1, &smallest, 10, 14.15, "llama.cpp discussion 4167: LLaMA 7B Q4_0, M1 with 8 GPU cores",
     "the published result is above the article's ceiling"},
    {&m1, &largest, 1, {}, "", ""},
    {&m2_pro, &largest, {}, {}, "", "the article names the bandwidth and no result"},
    {&m2_max, &largest, 6, {}, "", ""},
    {&m2_max, &smallest, std::nullopt, 65.95, "llama.cpp discussion 4167: LLaMA 7B Q4_0, M2 Max with 38 GPU cores",
     "the published result is above what the article's formula gives"},
    {&raspberry_pi_4, &smallest, 2, 0.1, "the article, March 2023: LLaMA 7B, Raspberry Pi 4 with 4 GB",
     "neither formula gives 2; corrected, 13.5 GFLOP/s bound it, and bytes alone would allow 1.14"},
}};

void add_weights(std::vector<Claim>& claims) {
    for (const Model& model : models) {
        for (size_t i = 0; i < formats.size(); i++) {
            const double gb = weight_bytes(model.n_params, formats[i].bits) / giga;
            claims.push_back({.quantity = "weights",
                              .unit = "GB",
                              .model = model.name,
                              .format = formats[i].name,
                              .article = model.weights_gb[i],
                              .formula = gb,
                              .corrected = gb});
        }
    }
}

void add_batch_threshold(std::vector<Claim>& claims) {
    const auto add = [&](const Format& format, std::optional<double> article, std::string_view note) {
        claims.push_back({.quantity = "batch threshold",
                          .unit = "tokens",
                          .machine = a100.name,
                          .format = format.name,
                          .article = article,
                          .formula = article_batch_threshold(a100.roofline, format.bits),
                          .corrected = corrected_batch_threshold(a100.roofline, format.bits),
                          .note = note});
    };
    add(float16, 161, "the article divides FLOP/s by bytes/s, which is right for 16-bit weights and not its formula");
    add(int4, {}, "products at the fp16 rate");
}

void add_kv(std::vector<Claim>& claims) {
    for (const Model& model : models) {
        const double gb = n_context * kv_bytes_per_token(model.n_blocks, model.d_model, int4.bits) / giga;
        claims.push_back({.quantity = "KV cache",
                          .unit = "GB",
                          .model = model.name,
                          .format = int4.name,
                          .formula = gb,
                          .corrected = gb,
                          .note = "2048 tokens"});
    }
    claims.back().article = 1.33;
    claims.back().note = "2048 tokens; the article names no model, no context, and 32.5B's 16.25 GB of weights beside";
}

void add_latency(std::vector<Claim>& claims) {
    for (const Model& model : models) {
        for (size_t i = 0; i < formats.size(); i++) {
            const double bits = formats[i].bits;
            claims.push_back({.quantity = "latency",
                              .unit = "ms/token",
                              .machine = a100.name,
                              .model = model.name,
                              .format = formats[i].name,
                              .article = model.a100_ms[i],
                              .formula = 1e3 * article_latency_seconds(a100.roofline, model.n_params, bits),
                              .corrected = 1e3 * corrected_latency_seconds(a100.roofline, model.n_params, bits)});
        }
    }
}

void add_decode(std::vector<Claim>& claims) {
    for (const Decode& decode : decodes) {
        const Roofline& roofline = decode.machine->roofline;
        const double n_params = decode.model->n_params;
        claims.push_back({.quantity = "decode",
                          .unit = "tokens/s",
                          .machine = decode.machine->name,
                          .model = decode.model->name,
                          .format = int4.name,
                          .article = decode.article,
                          .formula = 1 / article_latency_seconds(roofline, n_params, int4.bits),
                          .corrected = 1 / corrected_latency_seconds(roofline, n_params, int4.bits),
                          .published = decode.published,
                          .source = decode.source,
                          .note = decode.note});
    }
}

}  // namespace

std::vector<Claim> article_claims() {
    std::vector<Claim> claims;
    add_weights(claims);
    add_batch_threshold(claims);
    add_kv(claims);
    add_latency(claims);
    add_decode(claims);
    return claims;
}

}  // namespace wallaby::planner
