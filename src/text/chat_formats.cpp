// Chat formats, one a family, and the templates known to give them. Each pair was compared over random conversations
// with the template itself, rendered by Jinja2. The templates are their vendors'; only their hashes are here.
#include "text/chat.h"

namespace wallaby::text {

namespace {

using Empty = ChatFormat::Empty;
using Fold = ChatFormat::Fold;
using Gather = ChatFormat::Gather;
using Thinking = ChatFormat::Thinking;
constexpr std::string_view refused = ChatFormat::refused;

// What formats have in common, written once: each function gives a format one more property.
constexpr ChatFormat turns(std::string_view system, std::string_view user, std::string_view assistant) {
    ChatFormat format;
    format.lead_system = system;
    format.system = system;
    format.user = user;
    format.assistant = assistant;
    return format;
}
constexpr ChatFormat generating(std::string_view generation, ChatFormat format) {
    format.generation = generation;
    return format;
}
constexpr ChatFormat always_generating(std::string_view generation, ChatFormat format) {
    format.generation = generation;
    format.no_generation = generation;
    return format;
}
constexpr ChatFormat opening(std::string_view text, ChatFormat format) {
    format.opening = text;
    return format;
}
constexpr ChatFormat by_default(std::string_view no_system, ChatFormat format) {
    format.no_system = no_system;
    return format;
}
constexpr ChatFormat lead(std::string_view lead_system, ChatFormat format) {
    format.lead_system = lead_system;
    return format;
}
constexpr ChatFormat ending(std::string_view no_generation, ChatFormat format) {
    format.no_generation = no_generation;
    return format;
}
constexpr ChatFormat between(std::string_view text, ChatFormat format) {
    format.between = text;
    return format;
}
constexpr ChatFormat alternating(ChatFormat format) {
    format.alternates = true;
    return format;
}
constexpr ChatFormat folding(Fold fold, std::string_view user_with_system, ChatFormat format) {
    format.fold = fold;
    format.user_with_system = user_with_system;
    format.lead_system = "";
    return format;
}
constexpr ChatFormat gathering(Gather gather, ChatFormat format) {
    format.gather = gather;
    return format;
}
constexpr ChatFormat empty(Empty rule, ChatFormat format) {
    format.empty = rule;
    return format;
}
constexpr ChatFormat thinking(Thinking rule, ChatFormat format) {
    format.thinking = rule;
    return format;
}

// ChatML, and those that add to it.
constexpr ChatFormat chat_ml =
    generating("<|im_start|>assistant\n",
               turns("<|im_start|>system\n{content}<|im_end|>\n", "<|im_start|>user\n{content}<|im_end|>\n",
                     "<|im_start|>assistant\n{content}<|im_end|>\n"));
constexpr ChatFormat chat_ml_bos = opening("{bos}", chat_ml);
constexpr ChatFormat chat_ml_bare_system = lead(
    "{content}", turns("", "<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n", "{content}<|im_end|>\n"));
constexpr ChatFormat qwen15 = by_default("<|im_start|>system\nYou are a helpful assistant<|im_end|>\n", chat_ml);
constexpr ChatFormat qwen2 = by_default("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", chat_ml);
constexpr ChatFormat qwen25 = by_default(
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n", chat_ml);
constexpr ChatFormat qwen3 = thinking(Thinking::current_turn, chat_ml);
constexpr ChatFormat mi_mo =
    by_default("<|im_start|>system\nYou are MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n", chat_ml);
constexpr ChatFormat mini_cpm3 = empty(Empty::skip_lead, chat_ml);
constexpr ChatFormat lfm2 = empty(Empty::skip_lead, chat_ml_bos);
constexpr ChatFormat lfm25 = thinking(Thinking::drop_before_last, lfm2);
constexpr ChatFormat alpha_monarch = generating(
    "{bos}assistant\n",
    turns("{bos}system\n{content}{eos}\n", "{bos}user\n{content}{eos}\n", "{bos}assistant\n{content}{eos}\n"));

constexpr ChatFormat kimi = generating(
    "<|im_assistant|>assistant<|im_middle|>",
    turns("<|im_system|>system<|im_middle|>{content}<|im_end|>", "<|im_user|>user<|im_middle|>{content}<|im_end|>",
          "<|im_assistant|>assistant<|im_middle|>{content}<|im_end|>"));
constexpr ChatFormat kimi_k2 =
    by_default("<|im_system|>system<|im_middle|>You are a helpful assistant<|im_end|>", kimi);
constexpr ChatFormat kimi_k2_instruct = by_default(
    "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>\n", kimi);
constexpr ChatFormat kimi_k2_thinking =
    by_default("<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>",
               generating("<|im_assistant|>assistant<|im_middle|>",
                          turns("<|im_system|>system<|im_middle|>{content}<|im_end|>",
                                "<|im_user|>user<|im_middle|>{content}<|im_end|>",
                                "<|im_assistant|>assistant<|im_middle|><think></think>{content}<|im_end|>")));

// Phi. The first ones know no system message and pass it over.
constexpr ChatFormat phi3_medium = turns("", "<|user|>\n{content}<|end|>\n<|assistant|>\n", "{content}<|end|>\n");
constexpr ChatFormat phi3_mini = opening("{bos}", phi3_medium);
constexpr ChatFormat phi3 = generating(
    "<|assistant|>\n",
    turns("<|system|>\n{content}<|end|>\n", "<|user|>\n{content}<|end|>\n", "<|assistant|>\n{content}<|end|>\n"));
constexpr ChatFormat phi3_small = opening("{bos}", ending("{eos}", phi3));
constexpr ChatFormat phi35 = empty(Empty::skip_system, ending("{eos}", phi3));
constexpr ChatFormat make_phi3_vision() {
    ChatFormat format = phi3;
    format.generates_after_assistant = false;
    return format;
}
constexpr ChatFormat phi3_vision = make_phi3_vision();
constexpr ChatFormat phi4 =
    turns("<|im_start|>system<|im_sep|>{content}<|im_end|>",
          "<|im_start|>user<|im_sep|>{content}<|im_end|><|im_start|>assistant<|im_sep|>", "{content}<|im_end|>");

// Llama.
constexpr ChatFormat llama2 =
    folding(Fold::first_user, "{bos}[INST] {trim}<<SYS>>\n{system}\n<</SYS>>\n\n{content}{/trim} [/INST]",
            alternating(turns("", "{bos}[INST] {trim}{content}{/trim} [/INST]", " {trim}{content}{/trim} {eos}")));
constexpr std::string_view llama3_answer = "<|start_header_id|>assistant<|end_header_id|>\n\n";
constexpr ChatFormat llama3_turns =
    turns("<|start_header_id|>system<|end_header_id|>\n\n{trim}{content}{/trim}<|eot_id|>",
          "<|start_header_id|>user<|end_header_id|>\n\n{trim}{content}{/trim}<|eot_id|>",
          "<|start_header_id|>assistant<|end_header_id|>\n\n{trim}{content}{/trim}<|eot_id|>");
constexpr ChatFormat llama3 = opening("{bos}", generating(llama3_answer, llama3_turns));
constexpr ChatFormat llama3_always = opening("{bos}", always_generating(llama3_answer, llama3_turns));
constexpr ChatFormat llama31 = opening(
    "{bos}<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n",
    by_default("<|eot_id|>", lead("{trim}{content}{/trim}<|eot_id|>", llama3)));
constexpr ChatFormat functionary31 =
    opening("{bos}<|start_header_id|>system<|end_header_id|>\n\n\nCutting Knowledge Date: December 2023\n\n<|eot_id|>",
            generating(llama3_answer, turns("<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
                                            "<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
                                            "<|start_header_id|>assistant<|end_header_id|>\n\n{content}<|eot_id|>")));
constexpr ChatFormat code_llama70 =
    opening("<s>", always_generating("Source: assistant\nDestination: user\n\n ",
                                     alternating(turns("Source: system\n\n {trim}{content}{/trim} <step> ",
                                                       "Source: user\n\n {trim}{content}{/trim} <step> ",
                                                       "Source: assistant\n\n {trim}{content}{/trim} <step> "))));

// Gemma. The first ones take no system message; out of place, one passes as a turn.
constexpr ChatFormat gemma =
    generating("<start_of_turn>model\n",
               alternating(lead(refused, turns("<start_of_turn>system\n{trim}{content}{/trim}<end_of_turn>\n",
                                               "<start_of_turn>user\n{trim}{content}{/trim}<end_of_turn>\n",
                                               "<start_of_turn>model\n{trim}{content}{/trim}<end_of_turn>\n"))));
constexpr ChatFormat gemma2 = opening("{bos}", gemma);
constexpr ChatFormat gemma3 =
    folding(Fold::first_user, "<start_of_turn>user\n{system}\n\n{trim}{content}{/trim}<end_of_turn>\n", gemma2);

// Mistral.
constexpr ChatFormat mistral_v01 =
    opening("{bos}", alternating(turns(refused, "[INST] {content} [/INST]", "{content}{eos} ")));
constexpr ChatFormat mistral_v02 =
    opening("{bos}", alternating(turns(refused, "[INST] {content} [/INST]", "{content}{eos}")));
constexpr ChatFormat mistral_v03 = opening("{bos}", turns("", " [INST] {content} [/INST]", " {content} {eos}"));
constexpr ChatFormat mistral_v1 =
    folding(Fold::first_user, " [INST] {system}\n\n{content} [/INST]",
            opening("{bos}", alternating(turns(refused, " [INST] {content} [/INST]", " {content}{eos}"))));
constexpr ChatFormat mistral_v3 =
    folding(Fold::last_user, "[INST] {system}\n\n{content}[/INST]",
            opening("{bos}", alternating(turns(refused, "[INST] {content}[/INST]", " {trim}{content}{/trim}{eos}"))));
constexpr ChatFormat mistral_nemo =
    folding(Fold::last_user, "[INST]{system}\n\n{content}[/INST]",
            opening("{bos}", alternating(turns(refused, "[INST]{content}[/INST]", "{content}{eos}"))));
constexpr ChatFormat mistral_v7 =
    opening("{bos}", turns("[SYSTEM_PROMPT] {content}[/SYSTEM_PROMPT]", "[INST] {content}[/INST]", " {content}{eos}"));

// DeepSeek.
constexpr ChatFormat deep_seek_llm = opening(
    "{bos}", generating("Assistant:", turns("{content}\n\n", "User: {content}\n\n", "Assistant: {content}{eos}")));
#define WALLABY_DEEPSEEK_CODER                                                                              \
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek "       \
    "Company, and you only answer questions related to computer science. For politically sensitive "        \
    "questions, security and privacy issues, and other non-computer science questions, you will refuse to " \
    "answer"
constexpr ChatFormat deep_seek_coder_turns =
    turns("{content}", "### Instruction:\n{content}\n", "### Response:\n{content}\n<|EOT|>\n");
constexpr ChatFormat make_deepseek_coder() {
    ChatFormat format = opening("{bos}", generating("### Response:\n", deep_seek_coder_turns));
    format.no_system = WALLABY_DEEPSEEK_CODER "\n";
    format.default_unless_anywhere = true;
    return format;
}
constexpr ChatFormat deep_seek_coder = make_deepseek_coder();
constexpr ChatFormat deep_seek_coder_awq =
    opening(WALLABY_DEEPSEEK_CODER ".\n", always_generating("### Response:\n", deep_seek_coder_turns));
#undef WALLABY_DEEPSEEK_CODER
constexpr ChatFormat deep_seek_r1_turns = opening(
    "{bos}{system}",
    thinking(Thinking::drop, turns("", "<｜User｜>{content}", "<｜Assistant｜>{content}<｜end▁of▁sentence｜>")));
constexpr ChatFormat deep_seek_r1 = gathering(Gather::all, generating("<｜Assistant｜>", deep_seek_r1_turns));
constexpr ChatFormat deep_seek_r1_distill =
    gathering(Gather::last, generating("<｜Assistant｜><think>\n", deep_seek_r1_turns));

// Granite.
constexpr ChatFormat granite = generating("<|start_of_role|>assistant<|end_of_role|>",
                                          turns("<|start_of_role|>system<|end_of_role|>{content}<|end_of_text|>\n",
                                                "<|start_of_role|>user<|end_of_role|>{content}<|end_of_text|>\n",
                                                "<|start_of_role|>assistant<|end_of_role|>{content}<|end_of_text|>\n"));
constexpr ChatFormat granite40 =
    empty(Empty::no_lead, by_default("<|start_of_role|>system<|end_of_role|>You are a helpful assistant. Please ensure "
                                     "responses are professional, accurate, and safe.<|end_of_text|>\n",
                                     granite));
constexpr ChatFormat granite41 = empty(Empty::skip_lead, granite);
constexpr ChatFormat granite_code =
    generating("Answer:\n", turns("System:\n{content}\n\n", "Question:\n{content}\n\n", "Answer:\n{content}\n\n"));

// GLM.
constexpr ChatFormat chat_glm3 = opening(
    "[gMASK]sop",
    generating("<|assistant|>", turns("<|system|>\n {content}", "<|user|>\n {content}", "<|assistant|>\n {content}")));
constexpr ChatFormat glm_turns = turns("<|system|>\n{content}", "<|user|>\n{content}", "<|assistant|>\n{content}");
constexpr ChatFormat chat_glm4 = opening("[gMASK]<sop>", empty(Empty::skip, generating("<|assistant|>\n", glm_turns)));
constexpr ChatFormat glm_edge = always_generating("<|assistant|>", glm_turns);

// Others.
constexpr ChatFormat zephyr =
    generating("<|assistant|>\n",
               turns("<|system|>\n{content}{eos}\n", "<|user|>\n{content}{eos}\n", "<|assistant|>\n{content}{eos}\n"));
constexpr ChatFormat zephyr_no_system =
    generating("<|assistant|>\n", turns("", "<|user|>\n{content}\n", "<|assistant|>\n{content}{eos}\n"));
constexpr ChatFormat falcon =
    generating("Falcon:\n", turns("System: {content}\n", "User: \n{content}\n", "Falcon:\n{content}\n"));
constexpr ChatFormat falcon180 =
    between("\n", generating("\nFalcon:", turns("System: {content}", "User: {content}", "Falcon: {content}")));
constexpr ChatFormat solar = empty(
    Empty::skip_system, generating("### Assistant:\n", turns("### System:\n{content}\n\n", "### User:\n{content}\n\n",
                                                             "### Assistant:\n{content}")));
constexpr ChatFormat alfred = generating("<start_assistant>", turns("<start_system>{trim}{content}{/trim}<end_message>",
                                                                    "<start_user>{trim}{content}{/trim}<end_message>",
                                                                    "<start_assistant>{content}<end_message>"));
constexpr ChatFormat open_chat =
    opening("{bos}", generating("GPT4 Correct Assistant:", turns("GPT4 Correct System: {content}<|end_of_turn|>",
                                                                 "GPT4 Correct User: {content}<|end_of_turn|>",
                                                                 "GPT4 Correct Assistant: {content}<|end_of_turn|>")));
constexpr ChatFormat command_r = opening(
    "{bos}", generating("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
                        alternating(lead("<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{content}<|END_OF_TURN_TOKEN|>",
                                         turns("",
                                               "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{trim}{content}{/trim}"
                                               "<|END_OF_TURN_TOKEN|>",
                                               "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{trim}{content}{/trim}"
                                               "<|END_OF_TURN_TOKEN|>")))));
constexpr ChatFormat vicuna =
    generating("ASSISTANT:", turns("{content}\n\n", "USER: {content}\n", "ASSISTANT: {content}</s>\n"));
constexpr ChatFormat orca_vicuna =
    generating("ASSISTANT:", turns("SYSTEM: {content}\n", "USER: {content}\n", "ASSISTANT: {content}</s>\n"));
constexpr ChatFormat orion = opening("{bos}", turns("", "Human: {content}\n\nAssistant: {eos}", "{content}{eos}"));
constexpr ChatFormat mini_cpm =
    turns("{trim}{content}{/trim}", "<用户>{trim}{content}{/trim}<AI>", "{trim}{content}{/trim}");
constexpr ChatFormat megrez = by_default(
    "<|role_start|>system<|role_end|>你是Megrez-3B-Instruct，将针对用户的问题给出详细的、积极的回答。<|turn_end|>",
    generating("<|role_start|>assistant<|role_end|>",
               turns("<|role_start|>system<|role_end|>{content}<|turn_end|>",
                     "<|role_start|>user<|role_end|>{content}<|turn_end|>",
                     "<|role_start|>assistant<|role_end|>{content}<|turn_end|>")));
constexpr ChatFormat ling =
    generating("<role>ASSISTANT</role>",
               turns("<role>SYSTEM</role>{content}", "<role>HUMAN</role>{content}", "<role>ASSISTANT</role>{content}"));
constexpr ChatFormat danube =
    generating("<|answer|>", turns("<|system|>{content}{eos}", "<|prompt|>{content}{eos}", "<|answer|>{content}{eos}"));
constexpr ChatFormat deci_lm = generating(
    "### Assistant:\n", turns("### System:\n{content}\n", "### User:\n{content}\n", "### Assistant:\n{content}\n"));
#define WALLABY_CODING_ASSISTANT                                                                      \
    "{bos}You are an exceptionally intelligent coding assistant that consistently delivers accurate " \
    "and reliable responses to user instructions.\n\n"
constexpr ChatFormat star_coder2 = opening(
    WALLABY_CODING_ASSISTANT, always_generating("### Response\n", turns(refused, "### Instruction\n{content}\n\n",
                                                                        "### Response\n{content}{eos}\n\n")));
constexpr ChatFormat magicoder =
    opening(WALLABY_CODING_ASSISTANT, always_generating("@@ Response\n", turns(refused, "@@ Instruction\n{content}\n\n",
                                                                               "@@ Response\n{content}{eos}\n\n")));
#undef WALLABY_CODING_ASSISTANT
constexpr ChatFormat concatenation = turns("{content}{eos}", "{content}{eos}", "{content}{eos}");

constexpr KnownTemplate known[] = {
    {"chatml", 199, 0xA41D6BAE9B9141BCu, &chat_ml},
    {"chatml (lines)", 196, 0x88BF4138D5C826F0u, &chat_ml},
    {"dolphin-2.5-mixtral-8x7b", 291, 0x773D13E188AFC917u, &chat_ml},
    {"chatml (roles)", 450, 0x3DBBDD28C4670E85u, &chat_ml},
    {"Qwen3-Coder", 6147, 0x21DC9ED0659009CBu, &chat_ml},
    {"chatml (BOS)", 209, 0x89BCBD75CE6A3D28u, &chat_ml_bos},
    {"chatml (BOS, default)", 306, 0x6026A4EFC1063551u, &chat_ml_bos},
    {"chatml (bare system)", 441, 0x420FCC29F31A339Eu, &chat_ml_bare_system},
    {"Qwen2-7B-Instruct", 328, 0x8A87094E0E1E24C5u, &qwen2},
    {"Qwen1.5-7B-Chat", 327, 0xC867DA37C989D41Fu, &qwen15},
    {"Qwen2.5-VL-7B-Instruct", 1017, 0x71242F76359E71E8u, &qwen2},
    {"Qwen2.5-7B-Instruct", 2506, 0xE642CE246D7F2E3Du, &qwen25},
    {"Qwen3-0.6B", 4116, 0x2BFDB7AA9754484Eu, &qwen3},
    {"MiMo-VL", 2470, 0x807681B15AB177ADu, &mi_mo},
    {"LFM2-8B-A1B", 1349, 0x64C90FCEDE246B34u, &lfm2},
    {"LFM2.5-Instruct", 1783, 0xD5A3BD005E5A88CAu, &lfm25},
    {"MiniCPM3-4B", 7597, 0xA75A23E3F8E953ACu, &mini_cpm3},
    {"Kimi-K2", 1834, 0x33021529AC66133Eu, &kimi_k2},
    {"Kimi-K2-Instruct", 2518, 0x03B73E6A09DD8ECBu, &kimi_k2_instruct},
    {"Kimi-K2-Thinking", 4129, 0xC45C611CC68F7FC0u, &kimi_k2_thinking},
    {"Kimi-K2-Thinking (2025-11)", 3448, 0x4ED6611F49215484u, &kimi_k2_thinking},
    {"phi-4", 377, 0xA0D463619FE96578u, &phi4},
    {"Phi-3-mini", 269, 0x4EBAE769B67B72F1u, &phi3_mini},
    {"Phi-3-medium", 254, 0x6057775AF4D6FEB9u, &phi3_medium},
    {"Phi-3-small", 218, 0x475FD3E16D05C1AFu, &phi3_small},
    {"Phi-3-vision", 220, 0x3878E3FA2ADE824Au, &phi3_vision},
    {"Phi-3.5-mini-instruct", 430, 0xCF278CDE387A54C8u, &phi35},
    {"Llama-2-chat", 815, 0xF344EECF1BD3A427u, &llama2},
    {"Llama-2-chat (trim)", 813, 0x54F74C2DB3C2B5B9u, &llama2},
    {"Llama-3 (always prompts)", 348, 0x74891E390E614AE2u, &llama3_always},
    {"Llama-3-Instruct", 389, 0x0E60067A5537498Eu, &llama3},
    {"Llama-3.1-8B-Instruct", 4613, 0xCC0368E1FFB6B958u, &llama31},
    {"functionary-medium-v3.1", 3252, 0x593CD15ACED82CB6u, &functionary31},
    {"gemma-7b-it", 579, 0x690954969EC87269u, &gemma},
    {"gemma-2-2b-it", 591, 0x5C10EE65212D93B3u, &gemma2},
    {"gemma-3", 1531, 0xD19B6FF3A49DEEA5u, &gemma3},
    {"Mistral-7B-Instruct-v0.1", 477, 0xC730ACC029CE6EE0u, &mistral_v01},
    {"Mistral-7B-Instruct-v0.2", 470, 0x8C734B90B4F8D84Du, &mistral_v02},
    {"Mistral-7B-Instruct-v0.2 (v1)", 1057, 0x46EAC0BF5C765C47u, &mistral_v1},
    {"Mistral-7B-Instruct-v0.3", 1888, 0x5356EEC7DDDA82E8u, &mistral_v03},
    {"Mistral-Large-Instruct-2407", 3958, 0x2487E6E79D6345CFu, &mistral_v3},
    {"Mistral-Nemo-Instruct-2407", 3944, 0x20783E9D94168233u, &mistral_nemo},
    {"Mistral-Nemo-Instruct-2407 (first)", 3777, 0xC134BF40D6F56D76u, &mistral_nemo},
    {"Mistral-Large-Instruct-2411", 423, 0xE4A9CC594604808Au, &mistral_v7},
    {"DeepSeek-V2", 459, 0x5111253F4AA4A502u, &deep_seek_llm},
    {"deepseek-coder-33b-instruct", 1041, 0x5DE747F765E2C199u, &deep_seek_coder},
    {"deepseek-coder-33B-instruct-AWQ", 885, 0xA4751D54A53ED566u, &deep_seek_coder_awq},
    {"DeepSeek-R1", 2756, 0xB9EB54D150716A7Du, &deep_seek_r1},
    {"DeepSeek-R1-Distill-Llama-8B", 2478, 0x731E2D647D2BF911u, &deep_seek_r1_distill},
    {"zephyr-7b-beta", 410, 0xCD8B49000DB02C2Cu, &zephyr},
    {"zephyr (no system)", 306, 0x4CBED0D6A7C090ECu, &zephyr_no_system},
    {"granite-3.0-8b-instruct", 1185, 0x0F0E22051160BCB0u, &granite},
    {"granite-4.0", 6418, 0x8B59B8DB8DA061D0u, &granite40},
    {"granite-4.1", 6099, 0x0CABCC19A9F80029u, &granite41},
    {"granite-code", 376, 0x7772E88B761F8D6Eu, &granite_code},
    {"falcon-instruct", 356, 0xAFFC62BE3917A266u, &falcon},
    {"falcon-180b-chat", 340, 0xB4790FEB9157BF2Bu, &falcon180},
    {"SOLAR-10.7B-Instruct", 409, 0xC0BB5DE69AEAA2A7u, &solar},
    {"alfred", 533, 0x713E06571472B032u, &alfred},
    {"openchat-3.5-0106", 222, 0x51C8C94545AC4017u, &open_chat},
    {"c4ai-command-r-plus", 1204, 0x0A6D1E7AE67AFA57u, &command_r},
    {"vicuna-13b-1.1", 361, 0x0B96EEDEF78124FAu, &vicuna},
    {"Orca-Vicuna", 367, 0xF61250AF26B584E3u, &orca_vicuna},
    {"Orion-14B-Chat", 276, 0x6484082D835B75D6u, &orion},
    {"ChatGLM3", 247, 0xE44D93F27838891Bu, &chat_glm3},
    {"ChatGLM4", 669, 0x1108F95E61CDA000u, &chat_glm4},
    {"GLM-Edge", 263, 0x85F73D87563054A6u, &glm_edge},
    {"MiniCPM-3B", 178, 0x8AE35A95BB1326CCu, &mini_cpm},
    {"Megrez-3B-Instruct", 425, 0xAEBA44BFA40BC36Eu, &megrez},
    {"Ling-lite", 293, 0x734AF42266CA217Du, &ling},
    {"h2o-danube-1.8b-chat", 392, 0xB08B389F2CC8C8C9u, &danube},
    {"DeciLM-7B-instruct", 378, 0x92B01927DCAAE5A2u, &deci_lm},
    {"CodeLlama-70b-Instruct", 531, 0x60F5EE6D45707BA7u, &code_llama70},
    {"starcoder2-instruct", 574, 0x1451B8C7D5E75BE5u, &star_coder2},
    {"magicoder", 571, 0x673D924ABFF5E532u, &magicoder},
    {"AlphaMonarch-7B", 191, 0x73C389450E948306u, &alpha_monarch},
    {"gpt2 (concatenation)", 77, 0x008BE9440142E81Du, &concatenation},
};

}  // namespace

std::span<const KnownTemplate> known_templates() { return known; }

}  // namespace wallaby::text
