#include "convert/mixes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using wallaby::testing::must;

struct Kind {
    uint32_t n_layers, n_experts, heads_per_kv;
    bool tied = false, fused = false, shared_expert = false;
    uint32_t width = 512, n_ff = 768;
};

// A LLaMA of any depth, with 8 heads.
std::vector<TensorShape> llama(const Kind& kind) {
    const uint64_t width = kind.width, n_kv = kind.width / kind.heads_per_kv;
    std::vector<TensorShape> out{{"token_embd.weight", {width, 512}}};
    for (uint32_t i = 0; i < kind.n_layers; i++) {
        const auto add = [&](const std::string& name, std::vector<uint64_t> dims) {
            out.push_back({"blk." + std::to_string(i) + "." + name + ".weight", std::move(dims)});
        };
        add("attn_norm", {width});
        if (kind.fused) {
            add("attn_qkv", {width, width + 2 * n_kv});
        } else {
            add("attn_q", {width, width});
            add("attn_k", {width, n_kv});
            add("attn_v", {width, n_kv});
        }
        add("attn_output", {width, width});
        add("ffn_norm", {width});
        if (kind.n_experts != 0) { add("ffn_gate_inp", {width, kind.n_experts}); }
        for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
            const bool down = std::string(name) == "ffn_down";
            std::vector<uint64_t> dims{down ? kind.n_ff : width, down ? width : kind.n_ff};
            if (kind.shared_expert) { add(std::string(name) + "_shexp", dims); }
            if (kind.n_experts != 0) { dims.push_back(kind.n_experts); }
            add(std::string(name) + (kind.n_experts != 0 ? "_exps" : ""), dims);
        }
    }
    out.push_back({"output_norm.weight", {width}});
    if (!kind.tied) { out.push_back({"output.weight", {width, 512}}); }
    return out;
}

std::vector<TensorShape> llama(uint32_t n_layers, uint32_t n_experts, uint32_t heads_per_kv) {
    return llama({n_layers, n_experts, heads_per_kv});
}

using Counts = std::map<std::string, size_t>;

Counts counts_of(const Types& types) {
    Counts counts;
    for (const quant::Type type : types.of) { counts[std::string(quant::format_of(type).name)]++; }
    return counts;
}

std::string type_of(const Types& types, const std::vector<TensorShape>& tensors, std::string_view name) {
    for (size_t i = 0; i < tensors.size(); i++) {
        if (tensors[i].name == name) { return std::string(quant::format_of(types.of[i]).name); }
    }
    return "";
}

// What llama.cpp's own quantiser (v0.5.0, llama_model_quantize) chose for F16 files of these forms; the lists were
// compared tensor by tensor, here their counts stand.
TEST(ConvertMixes, AsLlamaCppChooses) {
    struct Case {
        uint32_t n_layers, n_experts, heads_per_kv;
        const char* mix;
        Counts counts;
    };
    const Case cases[] = {
        {20, 0, 4, "Q3_K_S", {{"F32", 41}, {"Q3_K", 141}, {"Q6_K", 1}}},
        {20, 0, 4, "Q3_K_M", {{"F32", 41}, {"Q3_K", 81}, {"Q4_K", 57}, {"Q5_K", 3}, {"Q6_K", 1}}},
        {20, 0, 4, "Q3_K_L", {{"F32", 41}, {"Q3_K", 81}, {"Q5_K", 60}, {"Q6_K", 1}}},
        {20, 0, 4, "Q4_K_S", {{"F32", 41}, {"Q4_K", 135}, {"Q5_K", 6}, {"Q6_K", 1}}},
        {20, 0, 4, "Q4_K_M", {{"F32", 41}, {"Q4_K", 121}, {"Q6_K", 21}}},
        {20, 0, 4, "Q5_K_S", {{"F32", 41}, {"Q5_K", 141}, {"Q6_K", 1}}},
        {20, 0, 4, "Q5_K_M", {{"F32", 41}, {"Q5_K", 121}, {"Q6_K", 21}}},
        {33, 0, 1, "Q3_K_M", {{"F32", 67}, {"Q3_K", 133}, {"Q4_K", 95}, {"Q5_K", 4}, {"Q6_K", 1}}},
        {33, 0, 1, "Q4_K_S", {{"F32", 67}, {"Q4_K", 224}, {"Q5_K", 8}, {"Q6_K", 1}}},
        {33, 0, 1, "Q4_K_M", {{"F32", 67}, {"Q4_K", 198}, {"Q6_K", 35}}},
        {9, 8, 4, "Q3_K_S", {{"F32", 28}, {"Q3_K", 37}, {"Q5_K", 9}, {"Q6_K", 1}, {"Q8_0", 18}}},
        {9, 8, 4, "Q3_K_L", {{"F32", 28}, {"Q3_K", 37}, {"Q5_K", 9}, {"Q6_K", 1}, {"Q8_0", 18}}},
        {9, 8, 4, "Q4_K_M", {{"F32", 28}, {"Q4_K", 32}, {"Q5_K", 9}, {"Q6_K", 6}, {"Q8_0", 18}}},
        {16, 8, 2, "Q3_K_M", {{"F32", 49}, {"Q3_K", 49}, {"Q4_K", 15}, {"Q5_K", 17}, {"Q6_K", 1}, {"Q8_0", 32}}},
        {16, 8, 2, "Q5_K_S", {{"F32", 49}, {"Q5_K", 81}, {"Q6_K", 1}, {"Q8_0", 32}}},
        {10, 4, 4, "Q4_K_S", {{"F32", 31}, {"Q4_K", 66}, {"Q5_K", 5}, {"Q6_K", 1}}},
        {10, 4, 4, "Q4_K_M", {{"F32", 31}, {"Q4_K", 61}, {"Q6_K", 11}}},
    };
    for (const Case& c : cases) {
        const Types types = must(choose_types(c.mix, llama(c.n_layers, c.n_experts, c.heads_per_kv)));
        EXPECT_EQ(counts_of(types), c.counts) << c.mix << " of " << c.n_layers << " layers, " << c.n_experts;
        EXPECT_EQ(types.n_replaced, 0u);
    }
}

// The same for every name of llama.cpp's and more kinds of models, as a number each: FNV-1a of 32 bits over the lines
// "NAME TYPE" of all matrices, ascending, without an importance matrix and then with one. llama.cpp v0.5.0 said them in
// a dry run (llama_model_quantize_params::dry_run). 0: it refuses rows of 544 as Q1_0.
constexpr size_t n_kinds = 11;
const Kind kinds[n_kinds] = {
    {20, 0, 4},
    {33, 0, 1},
    {16, 8, 4},
    {9, 8, 1},
    {10, 4, 2},
    {.n_layers = 24, .n_experts = 64, .heads_per_kv = 1, .n_ff = 256},
    {.n_layers = 12, .n_experts = 0, .heads_per_kv = 4, .tied = true},
    {.n_layers = 32, .n_experts = 0, .heads_per_kv = 4, .fused = true},
    {80, 0, 8},
    {.n_layers = 12, .n_experts = 0, .heads_per_kv = 2, .width = 544, .n_ff = 896},
    {.n_layers = 24, .n_experts = 16, .heads_per_kv = 1, .shared_expert = true, .n_ff = 256},
};
struct Chosen {
    const char* mix;
    uint32_t digests[n_kinds];
};
// clang-format off
constexpr Chosen chosen[] = {
    {"Q4_0", {0x9a3c8ba5, 0x5e18b7e1, 0x617a430f, 0xb91ecde8, 0x41af22d2, 0x8aa16548, 0xe1ed13c8, 0x04bb3bb9, 0x93a64329, 0xdebb1078, 0xaa478813}},
    {"Q4_1", {0x508dec95, 0xbd227a7d, 0xd201bc5d, 0x6cade00d, 0xe4bbd3e9, 0xac28c3fd, 0x32dc430f, 0x1a776055, 0x589c42bd, 0xe745cd39, 0xb5c0b9cd}},
    {"Q8_0", {0xc993450d, 0xf2b2081f, 0x98514555, 0x5c26df77, 0x9856d049, 0x316318a5, 0x85df29d5, 0x5196bc25, 0x6670010d, 0xdf1ee355, 0x78f35cfd}},
    {"Q5_0", {0xdacf21a9, 0x94a7d3d5, 0xf645ca07, 0xfd50ada8, 0xa5b2f9d2, 0x560b6988, 0x616e7d9c, 0x28b9b3f1, 0xc6052815, 0x1bce8a8c, 0xa4255cff}},
    {"Q5_1", {0xc010f711, 0x4200137d, 0xa5f03789, 0x135e39a5, 0xea2bc53d, 0x8262f871, 0x6853ab63, 0x328c5769, 0x67aa2ab5, 0xf538901d, 0x6d575809}},
    {"Q2_K", {0xf91a82d1, 0x9aed7f2f, 0xe7dd20f9, 0x316d7cb9, 0x96db7945, 0xb37a3fdd, 0xf51d579b, 0xe0323881, 0x8c629609, 0x3e0d60ed, 0x99fc3ebd}},
    {"Q3_K_S", {0xea8849e1, 0xa7e7047d, 0xa9a781d9, 0xba996c05, 0xed468e9d, 0xf8cbf9f1, 0x2eeaa503, 0x2761aa19, 0xf5394edd, 0x3e0d60ed, 0xbe0b7351}},
    {"Q3_K_M", {0x24e6b411, 0x7d639f77, 0x554b58e5, 0xcfa50d3b, 0x746ea911, 0x8dd6aeb9, 0x1a91d243, 0xe5d613d5, 0x27f7ae19, 0xb081d505, 0x02fb5c0d}},
    {"Q3_K_L", {0x599bc999, 0x84f26f29, 0x3375f339, 0xde3e3bc5, 0xf0cfd8d1, 0x46494e49, 0x329b1a7f, 0xa9a4e1a1, 0xf482a635, 0x9092fc0d, 0x6d5b7599}},
    {"Q4_K_S", {0xb6127af9, 0xc3256d5d, 0x3ca6ef09, 0x864482cd, 0xa8962079, 0xdf197d8d, 0x9b7a26cd, 0x949b37e1, 0x8cf3e261, 0x9454b1b5, 0xd72120cd}},
    {"Q4_K_M", {0x425d81b1, 0x7af4f365, 0x5b096055, 0x2fdfa5fb, 0xf49f8815, 0x76cfd47d, 0x0d9c379b, 0xa2d28b49, 0x2b51bded, 0xce1dbac1, 0xd36b0375}},
    {"Q5_K_S", {0xf98dc185, 0x93a9873d, 0x0b215245, 0x89ef1545, 0x3ac7a871, 0xe0314675, 0xec618c6f, 0x437090c5, 0xa59a5ddd, 0xf538901d, 0xfce87a15}},
    {"Q5_K_M", {0xfb0ffc45, 0x05ae5005, 0x774b7805, 0x51c2f10b, 0xdda5a851, 0x6b49811d, 0x9236f93f, 0xa458c005, 0x8c4747a5, 0xadf497bd, 0x8129634d}},
    {"Q6_K", {0x2c64164d, 0xc14c7c0d, 0x13577565, 0x96e25d7d, 0xa609b0d1, 0xb2e7abf5, 0xa33faed7, 0x688802ed, 0x934143ed, 0xdf1ee355, 0x65217685}},
    {"IQ2_XXS", {0x71d1658d, 0xa0186c1f, 0xf050cdc5, 0xb9ddbd51, 0xa74b38c5, 0x35e0713f, 0xd3409bb1, 0xfc2721c5, 0xe8e0bc85, 0x759cc165, 0xa56f2e43}},
    {"IQ2_XS", {0x9ac65395, 0x3542f927, 0xabf24f5d, 0x9a1292bf, 0x44bf865d, 0xa5771915, 0x44c5324f, 0xb23c5fad, 0x0165ceed, 0x759cc165, 0xc851bc8d}},
    {"Q2_K_S", {0x64337211, 0xb7e027c5, 0x13ceaa19, 0x1962d431, 0xdf86a915, 0x347f1bed, 0xe9f08673, 0xc464ec29, 0x7c7352f1, 0x754870e5, 0x185cc441}},
    {"IQ3_XS", {0xb2eabee7, 0x091ba8fd, 0x4947741b, 0xbec83db9, 0x08c09765, 0x35e0a87b, 0xe486d573, 0x5ce6deff, 0x98bb0507, 0x309a351d, 0xcc6af43f}},
    {"IQ3_XXS", {0xe40c8a3b, 0xa3446af2, 0x954122d1, 0x2abb77e1, 0x949ece28, 0xa9f7df2a, 0x038113c4, 0x4262e339, 0x9e4365d3, 0x5634cf4e, 0x7cfd13a7}},
    {"IQ1_S", {0xbf61486d, 0x13259d25, 0xf0cb1fd5, 0x0a4c3ad5, 0xb8d7e333, 0xf1b9b255, 0x5f66e9b9, 0xd112638d, 0xd41c57a5, 0x759cc165, 0x43fdaa3d}},
    {"IQ4_NL", {0x34d48345, 0x29939579, 0xb678b397, 0x054182fe, 0x2747c758, 0xb7631e7a, 0x21004f04, 0x465579c5, 0xd9666fe9, 0xf2510ba8, 0x465204ab}},
    {"IQ3_S", {0x41be9ca7, 0x0ed8147d, 0x3b4524bb, 0x4d13a131, 0xe205ec75, 0x63e6334b, 0x248c4863, 0x3b46542f, 0xdbd4cbc7, 0x309a351d, 0xbc66e2bf}},
    {"IQ3_M", {0xdaee3093, 0x1f8ccd45, 0xbf7296ab, 0xc792c887, 0x653100c5, 0x0f26e49d, 0x3ec6fb05, 0xdef98197, 0xf5a60bdb, 0x8edd8691, 0xc86da81b}},
    {"IQ2_S", {0x5a86a7c5, 0x4d598cc5, 0xb8063d45, 0x62394daf, 0x3d03e4e5, 0x6d86750d, 0x3455860d, 0x99b17a51, 0x740a29a5, 0x309a351d, 0xc24d4451}},
    {"IQ2_M", {0x69acebd1, 0xa3936a5d, 0x49594215, 0x4d84b3e9, 0xbb3c66e9, 0x62936993, 0x809280ff, 0x495b0211, 0x57a2c7c5, 0x309a351d, 0x64c446ff}},
    {"IQ4_XS", {0x6ba8adf5, 0xf8b70a21, 0xcb938579, 0xa3c87117, 0x7e9f1623, 0x4c58384f, 0x6af7f81d, 0x371cc0f1, 0x493fb51d, 0xf2510ba8, 0xd66b17d5}},
    {"IQ1_M", {0xa6c12a8d, 0x4c4e09c5, 0xc23c6e45, 0x400c2a75, 0x28310a6f, 0xe8f9127d, 0x547383ed, 0xc8e6badd, 0x4711177d, 0x759cc165, 0x65738f45}},
    {"TQ1_0", {0xe24ca0a9, 0x5a0b4285, 0x284ea31d, 0x672df155, 0xdbe3bca5, 0x99a9f8f5, 0x8c5bb9fb, 0xe0b24661, 0x67603f0d, 0x6603b1e5, 0xd9054629}},
    {"TQ2_0", {0x84b1a721, 0xfe18026d, 0x32100d65, 0xabe6cb9d, 0x6a4404c5, 0xcd062115, 0x77c49fdb, 0x892a42c9, 0x262cdc35, 0x6603b1e5, 0xe4305cf1}},
    {"MXFP4_MOE", {0xc993450d, 0xf2b2081f, 0x3a0c4679, 0x8e1dd705, 0x54a0cc19, 0x7c6926a9, 0x85df29d5, 0x5196bc25, 0x6670010d, 0xdf1ee355, 0xd0bbc395}},
    {"Q1_0", {0xce801b1d, 0xe34ee40d, 0xf10f1af5, 0xd8057fcd, 0xcebda271, 0x1ef21df5, 0xe105fa47, 0x2f195675, 0xa0ca07cd, 0, 0x509c27fd}},
    {"Q2_0", {0x7d4851cd, 0x5b961dfb, 0xe2accda5, 0xcfd0623f, 0xce363fcd, 0x6d98daed, 0xdd4d94c7, 0x4a8f4a6d, 0x89717e99, 0xf292b045, 0x0a142249}},
};
// clang-format on

std::string lines_of(const Types& types, const std::vector<TensorShape>& tensors) {
    std::vector<std::string> lines;
    for (size_t i = 0; i < tensors.size(); i++) {
        if (types.is_matrix[i]) {
            lines.push_back(fmt::format("{} {}", tensors[i].name, quant::format_of(types.of[i]).name));
        }
    }
    std::ranges::sort(lines);
    return fmt::format("{}\n", fmt::join(lines, "\n"));
}

TEST(ConvertMixes, AsLlamaCppChoosesForEveryName) {
    for (size_t k = 0; k < n_kinds; k++) {
        const auto tensors = llama(kinds[k]);
        for (const Chosen& c : chosen) {
            if (c.digests[k] == 0) { continue; }
            const std::string lines = lines_of(must(choose_types(c.mix, tensors)), tensors) +
                                      lines_of(must(choose_types(c.mix, tensors, {.has_importance = true})), tensors);
            uint32_t digest = 0x811c9dc5;
            for (const char byte : lines) { digest = (digest ^ uint8_t(byte)) * 0x01000193; }
            EXPECT_EQ(digest, c.digests[k]) << c.mix << " of kind " << k << ":\n" << lines;
        }
    }
}

TEST(ConvertMixes, OtherNamesOfTheSame) {
    const auto tensors = llama(20, 0, 4);
    for (const auto& [other, name] :
         {std::pair("Q3_K", "Q3_K_M"), std::pair("q4_k", "Q4_K_M"), std::pair("Q5_K", "Q5_K_M")}) {
        const Types a = must(choose_types(other, tensors)), b = must(choose_types(name, tensors));
        EXPECT_EQ(a.of, b.of) << other;
        EXPECT_EQ(a.file_type, b.file_type) << other;
    }
}

TEST(ConvertMixes, TypesThatAreAskedFor) {
    const auto tensors = llama(4, 0, 1);
    for (const bool pure : {false, true}) {
        std::vector<std::optional<quant::Type>> asked(tensors.size());
        for (const size_t i : {0, 1, 2}) { asked[i] = quant::Type::q5_1; }
        const Types types = must(choose_types("Q4_0", tensors, {.pure = pure, .asked = asked}));
        EXPECT_EQ(type_of(types, tensors, "token_embd.weight"), "Q5_1");
        EXPECT_EQ(type_of(types, tensors, "blk.0.attn_norm.weight"), "F32");  // no matrix
        EXPECT_EQ(type_of(types, tensors, "blk.0.attn_q.weight"), "Q5_1");
        EXPECT_EQ(type_of(types, tensors, "blk.1.attn_q.weight"), "Q4_0");
        EXPECT_EQ(type_of(types, tensors, "output.weight"), pure ? "Q4_0" : "Q6_K");
    }
}

TEST(ConvertMixes, PlacesOfQ4KM) {
    const auto tensors = llama(20, 0, 4);  // more bits: layers 0, 1, then every third from 4, then 17 and after
    const Types types = must(choose_types("q4_k_m", tensors));
    EXPECT_EQ(types.file_type, 15u);
    for (uint32_t il = 0; il < 20; il++) {
        const bool more = il < 2 || il >= 17 || (il - 2) % 3 == 2;
        for (const char* name : {".attn_v.weight", ".ffn_down.weight"}) {
            EXPECT_EQ(type_of(types, tensors, "blk." + std::to_string(il) + name), more ? "Q6_K" : "Q4_K") << il;
        }
        EXPECT_EQ(type_of(types, tensors, "blk." + std::to_string(il) + ".attn_k.weight"), "Q4_K");
        EXPECT_EQ(type_of(types, tensors, "blk." + std::to_string(il) + ".ffn_norm.weight"), "F32");
    }
    EXPECT_EQ(type_of(types, tensors, "token_embd.weight"), "Q4_K");
    EXPECT_EQ(type_of(types, tensors, "output.weight"), "Q6_K");
}

TEST(ConvertMixes, ATiedEmbeddingIsAnOutputToo) {
    auto tensors = llama(2, 0, 1);
    tensors.pop_back();
    EXPECT_EQ(type_of(must(choose_types("Q4_K_M", tensors)), tensors, "token_embd.weight"), "Q6_K");
}

TEST(ConvertMixes, PureIsForEveryMatrix) {
    const auto tensors = llama(2, 4, 1);
    for (const std::string_view name : type_names()) {
        const quant::Format* const format = quant::find_format(name);
        Counts expected{{"F32", 7}};
        expected[std::string(format != nullptr ? name : quant::format_of(*main_type(name)).name)] += 16;
        const Types types = must(choose_types(name, tensors, {.pure = true}));
        EXPECT_EQ(counts_of(types), expected) << name;
        if (name != "MXFP4") { EXPECT_EQ(file_type_name(types.file_type).substr(0, 4), name.substr(0, 4)); }
    }
    EXPECT_EQ(counts_of(must(choose_types("MXFP4", tensors))), (Counts{{"F32", 7}, {"MXFP4", 16}}));
}

// qwen2.5-0.5b's rows of 896, as llama.cpp's quantiser handles them: 144 of its file's matrices, and the tied
// embedding that Q4_K_M gives Q8_0 at once.
TEST(ConvertMixes, RowsThatAreNoWholeBlocksGetAnotherFormat) {
    const auto replaced = [](std::string_view name, uint64_t row) {
        const Types types = must(choose_types(name, std::vector<TensorShape>{{"blk.0.attn_q.weight", {row, 64}}}));
        EXPECT_EQ(types.n_replaced, 1u);
        return quant::format_of(types.of[0]).name;
    };
    EXPECT_EQ(replaced("Q4_K", 896), "Q5_0");
    EXPECT_EQ(replaced("Q5_K", 896), "Q5_1");
    EXPECT_EQ(replaced("Q6_K", 896), "Q8_0");
    EXPECT_EQ(replaced("Q3_K", 896), "Q4_0");
    EXPECT_EQ(replaced("IQ2_XS", 896), "IQ4_NL");
    EXPECT_EQ(replaced("TQ2_0", 896), "Q4_0");
    EXPECT_EQ(replaced("Q8_0", 100), "F16");
    const Shape qwen = must(named_shape("qwen2.5-0.5b"));
    EXPECT_EQ(must(choose_types("Q4_K_M", qwen.tensors)).n_replaced, 144u);
}

TEST(ConvertMixes, UnknownTypesAreRefusedNamingTheKnown) {
    for (const char* name : {"", "Q4", "Q4_K_XL", "I8", "Q9_0"}) {
        const auto refused = choose_types(name, llama(1, 0, 1));
        ASSERT_FALSE(refused.ok()) << name;
        EXPECT_EQ(refused.error().code, ErrorCode::argument);
        EXPECT_NE(refused.error().remedy.find("IQ4_XS"), std::string::npos);
    }
}

TEST(ConvertMixes, FileTypesHaveNames) {
    EXPECT_EQ(convert::file_type_name(15), "Q4_K_M");
    EXPECT_EQ(convert::file_type_name(2), "Q4_0");
    EXPECT_EQ(convert::file_type_name(0), "F32");
    EXPECT_EQ(convert::file_type_name(5), "");
    EXPECT_EQ(convert::file_type_name(~0u), "");
}

}  // namespace
