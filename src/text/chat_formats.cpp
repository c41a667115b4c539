// Chat formats, one a family, and the templates known to give them. Each pair was compared over random conversations
// with the template itself, rendered by Jinja2. The templates are their vendors'; only their hashes are here.
#include "text/chat.h"

namespace wallaby::text {

namespace {

using Empty = ChatFormat::Empty;
using Fold = ChatFormat::Fold;
using Gather = ChatFormat::Gather;
using Thinking = ChatFormat::Thinking;
constexpr std::string_view kRefused = ChatFormat::kRefused;

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
constexpr ChatFormat kChatMl =
    generating("<|im_start|>assistant\n",
               turns("<|im_start|>system\n{content}<|im_end|>\n", "<|im_start|>user\n{content}<|im_end|>\n",
                     "<|im_start|>assistant\n{content}<|im_end|>\n"));
constexpr ChatFormat kChatMlBos = opening("{bos}", kChatMl);
constexpr ChatFormat kChatMlBareSystem = lead(
    "{content}", turns("", "<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n", "{content}<|im_end|>\n"));
constexpr ChatFormat kQwen15 = by_default("<|im_start|>system\nYou are a helpful assistant<|im_end|>\n", kChatMl);
constexpr ChatFormat kQwen2 = by_default("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", kChatMl);
constexpr ChatFormat kQwen25 = by_default(
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n", kChatMl);
constexpr ChatFormat kQwen3 = thinking(Thinking::current_turn, kChatMl);
constexpr ChatFormat kMiMo =
    by_default("<|im_start|>system\nYou are MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n", kChatMl);
constexpr ChatFormat kMiniCpm3 = empty(Empty::skip_lead, kChatMl);
constexpr ChatFormat kLfm2 = empty(Empty::skip_lead, kChatMlBos);
constexpr ChatFormat kLfm25 = thinking(Thinking::drop_before_last, kLfm2);
constexpr ChatFormat kAlphaMonarch = generating(
    "{bos}assistant\n",
    turns("{bos}system\n{content}{eos}\n", "{bos}user\n{content}{eos}\n", "{bos}assistant\n{content}{eos}\n"));

constexpr ChatFormat kKimi = generating(
    "<|im_assistant|>assistant<|im_middle|>",
    turns("<|im_system|>system<|im_middle|>{content}<|im_end|>", "<|im_user|>user<|im_middle|>{content}<|im_end|>",
          "<|im_assistant|>assistant<|im_middle|>{content}<|im_end|>"));
constexpr ChatFormat kKimiK2 =
    by_default("<|im_system|>system<|im_middle|>You are a helpful assistant<|im_end|>", kKimi);
constexpr ChatFormat kKimiK2Instruct = by_default(
    "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>\n", kKimi);
constexpr ChatFormat kKimiK2Thinking =
    by_default("<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>",
               generating("<|im_assistant|>assistant<|im_middle|>",
                          turns("<|im_system|>system<|im_middle|>{content}<|im_end|>",
                                "<|im_user|>user<|im_middle|>{content}<|im_end|>",
                                "<|im_assistant|>assistant<|im_middle|><think></think>{content}<|im_end|>")));

// Phi. The first ones know no system message and pass it over.
constexpr ChatFormat kPhi3Medium = turns("", "<|user|>\n{content}<|end|>\n<|assistant|>\n", "{content}<|end|>\n");
constexpr ChatFormat kPhi3Mini = opening("{bos}", kPhi3Medium);
constexpr ChatFormat kPhi3 = generating(
    "<|assistant|>\n",
    turns("<|system|>\n{content}<|end|>\n", "<|user|>\n{content}<|end|>\n", "<|assistant|>\n{content}<|end|>\n"));
constexpr ChatFormat kPhi3Small = opening("{bos}", ending("{eos}", kPhi3));
constexpr ChatFormat kPhi35 = empty(Empty::skip_system, ending("{eos}", kPhi3));
constexpr ChatFormat make_phi3_vision() {
    ChatFormat format = kPhi3;
    format.generates_after_assistant = false;
    return format;
}
constexpr ChatFormat kPhi3Vision = make_phi3_vision();
constexpr ChatFormat kPhi4 =
    turns("<|im_start|>system<|im_sep|>{content}<|im_end|>",
          "<|im_start|>user<|im_sep|>{content}<|im_end|><|im_start|>assistant<|im_sep|>", "{content}<|im_end|>");

// Llama.
constexpr ChatFormat kLlama2 =
    folding(Fold::first_user, "{bos}[INST] {trim}<<SYS>>\n{system}\n<</SYS>>\n\n{content}{/trim} [/INST]",
            alternating(turns("", "{bos}[INST] {trim}{content}{/trim} [/INST]", " {trim}{content}{/trim} {eos}")));
constexpr std::string_view kLlama3Answer = "<|start_header_id|>assistant<|end_header_id|>\n\n";
constexpr ChatFormat kLlama3Turns =
    turns("<|start_header_id|>system<|end_header_id|>\n\n{trim}{content}{/trim}<|eot_id|>",
          "<|start_header_id|>user<|end_header_id|>\n\n{trim}{content}{/trim}<|eot_id|>",
          "<|start_header_id|>assistant<|end_header_id|>\n\n{trim}{content}{/trim}<|eot_id|>");
constexpr ChatFormat kLlama3 = opening("{bos}", generating(kLlama3Answer, kLlama3Turns));
constexpr ChatFormat kLlama3Always = opening("{bos}", always_generating(kLlama3Answer, kLlama3Turns));
constexpr ChatFormat kLlama31 = opening(
    "{bos}<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n",
    by_default("<|eot_id|>", lead("{trim}{content}{/trim}<|eot_id|>", kLlama3)));
constexpr ChatFormat kFunctionary31 =
    opening("{bos}<|start_header_id|>system<|end_header_id|>\n\n\nCutting Knowledge Date: December 2023\n\n<|eot_id|>",
            generating(kLlama3Answer, turns("<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
                                            "<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
                                            "<|start_header_id|>assistant<|end_header_id|>\n\n{content}<|eot_id|>")));
constexpr ChatFormat kCodeLlama70 =
    opening("<s>", always_generating("Source: assistant\nDestination: user\n\n ",
                                     alternating(turns("Source: system\n\n {trim}{content}{/trim} <step> ",
                                                       "Source: user\n\n {trim}{content}{/trim} <step> ",
                                                       "Source: assistant\n\n {trim}{content}{/trim} <step> "))));

// Gemma. The first ones take no system message; out of place, one passes as a turn.
constexpr ChatFormat kGemma =
    generating("<start_of_turn>model\n",
               alternating(lead(kRefused, turns("<start_of_turn>system\n{trim}{content}{/trim}<end_of_turn>\n",
                                                "<start_of_turn>user\n{trim}{content}{/trim}<end_of_turn>\n",
                                                "<start_of_turn>model\n{trim}{content}{/trim}<end_of_turn>\n"))));
constexpr ChatFormat kGemma2 = opening("{bos}", kGemma);
constexpr ChatFormat kGemma3 =
    folding(Fold::first_user, "<start_of_turn>user\n{system}\n\n{trim}{content}{/trim}<end_of_turn>\n", kGemma2);

// Mistral.
constexpr ChatFormat kMistralV01 =
    opening("{bos}", alternating(turns(kRefused, "[INST] {content} [/INST]", "{content}{eos} ")));
constexpr ChatFormat kMistralV02 =
    opening("{bos}", alternating(turns(kRefused, "[INST] {content} [/INST]", "{content}{eos}")));
constexpr ChatFormat kMistralV03 = opening("{bos}", turns("", " [INST] {content} [/INST]", " {content} {eos}"));
constexpr ChatFormat kMistralV1 =
    folding(Fold::first_user, " [INST] {system}\n\n{content} [/INST]",
            opening("{bos}", alternating(turns(kRefused, " [INST] {content} [/INST]", " {content}{eos}"))));
constexpr ChatFormat kMistralV3 =
    folding(Fold::last_user, "[INST] {system}\n\n{content}[/INST]",
            opening("{bos}", alternating(turns(kRefused, "[INST] {content}[/INST]", " {trim}{content}{/trim}{eos}"))));
constexpr ChatFormat kMistralNemo =
    folding(Fold::last_user, "[INST]{system}\n\n{content}[/INST]",
            opening("{bos}", alternating(turns(kRefused, "[INST]{content}[/INST]", "{content}{eos}"))));
constexpr ChatFormat kMistralV7 =
    opening("{bos}", turns("[SYSTEM_PROMPT] {content}[/SYSTEM_PROMPT]", "[INST] {content}[/INST]", " {content}{eos}"));

// DeepSeek.
constexpr ChatFormat kDeepSeekLlm = opening(
    "{bos}", generating("Assistant:", turns("{content}\n\n", "User: {content}\n\n", "Assistant: {content}{eos}")));
#define WALLABY_DEEPSEEK_CODER                                                                              \
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek "       \
    "Company, and you only answer questions related to computer science. For politically sensitive "        \
    "questions, security and privacy issues, and other non-computer science questions, you will refuse to " \
    "answer"
constexpr ChatFormat kDeepSeekCoderTurns =
    turns("{content}", "### Instruction:\n{content}\n", "### Response:\n{content}\n<|EOT|>\n");
constexpr ChatFormat make_deepseek_coder() {
    ChatFormat format = opening("{bos}", generating("### Response:\n", kDeepSeekCoderTurns));
    format.no_system = WALLABY_DEEPSEEK_CODER "\n";
    format.default_unless_anywhere = true;
    return format;
}
constexpr ChatFormat kDeepSeekCoder = make_deepseek_coder();
constexpr ChatFormat kDeepSeekCoderAwq =
    opening(WALLABY_DEEPSEEK_CODER ".\n", always_generating("### Response:\n", kDeepSeekCoderTurns));
#undef WALLABY_DEEPSEEK_CODER
constexpr ChatFormat kDeepSeekR1Turns = opening(
    "{bos}{system}",
    thinking(Thinking::drop, turns("", "<｜User｜>{content}", "<｜Assistant｜>{content}<｜end▁of▁sentence｜>")));
constexpr ChatFormat kDeepSeekR1 = gathering(Gather::all, generating("<｜Assistant｜>", kDeepSeekR1Turns));
constexpr ChatFormat kDeepSeekR1Distill =
    gathering(Gather::last, generating("<｜Assistant｜><think>\n", kDeepSeekR1Turns));

// Granite.
constexpr ChatFormat kGranite =
    generating("<|start_of_role|>assistant<|end_of_role|>",
               turns("<|start_of_role|>system<|end_of_role|>{content}<|end_of_text|>\n",
                     "<|start_of_role|>user<|end_of_role|>{content}<|end_of_text|>\n",
                     "<|start_of_role|>assistant<|end_of_role|>{content}<|end_of_text|>\n"));
constexpr ChatFormat kGranite40 =
    empty(Empty::no_lead, by_default("<|start_of_role|>system<|end_of_role|>You are a helpful assistant. Please ensure "
                                     "responses are professional, accurate, and safe.<|end_of_text|>\n",
                                     kGranite));
constexpr ChatFormat kGranite41 = empty(Empty::skip_lead, kGranite);
constexpr ChatFormat kGraniteCode =
    generating("Answer:\n", turns("System:\n{content}\n\n", "Question:\n{content}\n\n", "Answer:\n{content}\n\n"));

// GLM.
constexpr ChatFormat kChatGlm3 = opening(
    "[gMASK]sop",
    generating("<|assistant|>", turns("<|system|>\n {content}", "<|user|>\n {content}", "<|assistant|>\n {content}")));
constexpr ChatFormat kGlmTurns = turns("<|system|>\n{content}", "<|user|>\n{content}", "<|assistant|>\n{content}");
constexpr ChatFormat kChatGlm4 = opening("[gMASK]<sop>", empty(Empty::skip, generating("<|assistant|>\n", kGlmTurns)));
constexpr ChatFormat kGlmEdge = always_generating("<|assistant|>", kGlmTurns);

// Others.
constexpr ChatFormat kZephyr =
    generating("<|assistant|>\n",
               turns("<|system|>\n{content}{eos}\n", "<|user|>\n{content}{eos}\n", "<|assistant|>\n{content}{eos}\n"));
constexpr ChatFormat kZephyrNoSystem =
    generating("<|assistant|>\n", turns("", "<|user|>\n{content}\n", "<|assistant|>\n{content}{eos}\n"));
constexpr ChatFormat kFalcon =
    generating("Falcon:\n", turns("System: {content}\n", "User: \n{content}\n", "Falcon:\n{content}\n"));
constexpr ChatFormat kFalcon180 =
    between("\n", generating("\nFalcon:", turns("System: {content}", "User: {content}", "Falcon: {content}")));
constexpr ChatFormat kSolar = empty(
    Empty::skip_system, generating("### Assistant:\n", turns("### System:\n{content}\n\n", "### User:\n{content}\n\n",
                                                             "### Assistant:\n{content}")));
constexpr ChatFormat kAlfred =
    generating("<start_assistant>",
               turns("<start_system>{trim}{content}{/trim}<end_message>",
                     "<start_user>{trim}{content}{/trim}<end_message>", "<start_assistant>{content}<end_message>"));
constexpr ChatFormat kOpenChat =
    opening("{bos}", generating("GPT4 Correct Assistant:", turns("GPT4 Correct System: {content}<|end_of_turn|>",
                                                                 "GPT4 Correct User: {content}<|end_of_turn|>",
                                                                 "GPT4 Correct Assistant: {content}<|end_of_turn|>")));
constexpr ChatFormat kCommandR = opening(
    "{bos}", generating("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
                        alternating(lead("<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{content}<|END_OF_TURN_TOKEN|>",
                                         turns("",
                                               "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{trim}{content}{/trim}"
                                               "<|END_OF_TURN_TOKEN|>",
                                               "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{trim}{content}{/trim}"
                                               "<|END_OF_TURN_TOKEN|>")))));
constexpr ChatFormat kVicuna =
    generating("ASSISTANT:", turns("{content}\n\n", "USER: {content}\n", "ASSISTANT: {content}</s>\n"));
constexpr ChatFormat kOrcaVicuna =
    generating("ASSISTANT:", turns("SYSTEM: {content}\n", "USER: {content}\n", "ASSISTANT: {content}</s>\n"));
constexpr ChatFormat kOrion = opening("{bos}", turns("", "Human: {content}\n\nAssistant: {eos}", "{content}{eos}"));
constexpr ChatFormat kMiniCpm =
    turns("{trim}{content}{/trim}", "<用户>{trim}{content}{/trim}<AI>", "{trim}{content}{/trim}");
constexpr ChatFormat kMegrez = by_default(
    "<|role_start|>system<|role_end|>你是Megrez-3B-Instruct，将针对用户的问题给出详细的、积极的回答。<|turn_end|>",
    generating("<|role_start|>assistant<|role_end|>",
               turns("<|role_start|>system<|role_end|>{content}<|turn_end|>",
                     "<|role_start|>user<|role_end|>{content}<|turn_end|>",
                     "<|role_start|>assistant<|role_end|>{content}<|turn_end|>")));
constexpr ChatFormat kLing =
    generating("<role>ASSISTANT</role>",
               turns("<role>SYSTEM</role>{content}", "<role>HUMAN</role>{content}", "<role>ASSISTANT</role>{content}"));
constexpr ChatFormat kDanube =
    generating("<|answer|>", turns("<|system|>{content}{eos}", "<|prompt|>{content}{eos}", "<|answer|>{content}{eos}"));
constexpr ChatFormat kDeciLm = generating(
    "### Assistant:\n", turns("### System:\n{content}\n", "### User:\n{content}\n", "### Assistant:\n{content}\n"));
#define WALLABY_CODING_ASSISTANT                                                                      \
    "{bos}You are an exceptionally intelligent coding assistant that consistently delivers accurate " \
    "and reliable responses to user instructions.\n\n"
constexpr ChatFormat kStarCoder2 = opening(
    WALLABY_CODING_ASSISTANT, always_generating("### Response\n", turns(kRefused, "### Instruction\n{content}\n\n",
                                                                        "### Response\n{content}{eos}\n\n")));
constexpr ChatFormat kMagicoder = opening(
    WALLABY_CODING_ASSISTANT, always_generating("@@ Response\n", turns(kRefused, "@@ Instruction\n{content}\n\n",
                                                                       "@@ Response\n{content}{eos}\n\n")));
#undef WALLABY_CODING_ASSISTANT
constexpr ChatFormat kConcatenation = turns("{content}{eos}", "{content}{eos}", "{content}{eos}");

constexpr KnownTemplate kKnown[] = {
    {"chatml", 199, 0xA41D6BAE9B9141BCu, &kChatMl},
    {"chatml (lines)", 196, 0x88BF4138D5C826F0u, &kChatMl},
    {"dolphin-2.5-mixtral-8x7b", 291, 0x773D13E188AFC917u, &kChatMl},
    {"chatml (roles)", 450, 0x3DBBDD28C4670E85u, &kChatMl},
    {"Qwen3-Coder", 6147, 0x21DC9ED0659009CBu, &kChatMl},
    {"chatml (BOS)", 209, 0x89BCBD75CE6A3D28u, &kChatMlBos},
    {"chatml (BOS, default)", 306, 0x6026A4EFC1063551u, &kChatMlBos},
    {"chatml (bare system)", 441, 0x420FCC29F31A339Eu, &kChatMlBareSystem},
    {"Qwen2-7B-Instruct", 328, 0x8A87094E0E1E24C5u, &kQwen2},
    {"Qwen1.5-7B-Chat", 327, 0xC867DA37C989D41Fu, &kQwen15},
    {"Qwen2.5-VL-7B-Instruct", 1017, 0x71242F76359E71E8u, &kQwen2},
    {"Qwen2.5-7B-Instruct", 2506, 0xE642CE246D7F2E3Du, &kQwen25},
    {"Qwen3-0.6B", 4116, 0x2BFDB7AA9754484Eu, &kQwen3},
    {"MiMo-VL", 2470, 0x807681B15AB177ADu, &kMiMo},
    {"LFM2-8B-A1B", 1349, 0x64C90FCEDE246B34u, &kLfm2},
    {"LFM2.5-Instruct", 1783, 0xD5A3BD005E5A88CAu, &kLfm25},
    {"MiniCPM3-4B", 7597, 0xA75A23E3F8E953ACu, &kMiniCpm3},
    {"Kimi-K2", 1834, 0x33021529AC66133Eu, &kKimiK2},
    {"Kimi-K2-Instruct", 2518, 0x03B73E6A09DD8ECBu, &kKimiK2Instruct},
    {"Kimi-K2-Thinking", 4129, 0xC45C611CC68F7FC0u, &kKimiK2Thinking},
    {"Kimi-K2-Thinking (2025-11)", 3448, 0x4ED6611F49215484u, &kKimiK2Thinking},
    {"phi-4", 377, 0xA0D463619FE96578u, &kPhi4},
    {"Phi-3-mini", 269, 0x4EBAE769B67B72F1u, &kPhi3Mini},
    {"Phi-3-medium", 254, 0x6057775AF4D6FEB9u, &kPhi3Medium},
    {"Phi-3-small", 218, 0x475FD3E16D05C1AFu, &kPhi3Small},
    {"Phi-3-vision", 220, 0x3878E3FA2ADE824Au, &kPhi3Vision},
    {"Phi-3.5-mini-instruct", 430, 0xCF278CDE387A54C8u, &kPhi35},
    {"Llama-2-chat", 815, 0xF344EECF1BD3A427u, &kLlama2},
    {"Llama-2-chat (trim)", 813, 0x54F74C2DB3C2B5B9u, &kLlama2},
    {"Llama-3 (always prompts)", 348, 0x74891E390E614AE2u, &kLlama3Always},
    {"Llama-3-Instruct", 389, 0x0E60067A5537498Eu, &kLlama3},
    {"Llama-3.1-8B-Instruct", 4613, 0xCC0368E1FFB6B958u, &kLlama31},
    {"functionary-medium-v3.1", 3252, 0x593CD15ACED82CB6u, &kFunctionary31},
    {"gemma-7b-it", 579, 0x690954969EC87269u, &kGemma},
    {"gemma-2-2b-it", 591, 0x5C10EE65212D93B3u, &kGemma2},
    {"gemma-3", 1531, 0xD19B6FF3A49DEEA5u, &kGemma3},
    {"Mistral-7B-Instruct-v0.1", 477, 0xC730ACC029CE6EE0u, &kMistralV01},
    {"Mistral-7B-Instruct-v0.2", 470, 0x8C734B90B4F8D84Du, &kMistralV02},
    {"Mistral-7B-Instruct-v0.2 (v1)", 1057, 0x46EAC0BF5C765C47u, &kMistralV1},
    {"Mistral-7B-Instruct-v0.3", 1888, 0x5356EEC7DDDA82E8u, &kMistralV03},
    {"Mistral-Large-Instruct-2407", 3958, 0x2487E6E79D6345CFu, &kMistralV3},
    {"Mistral-Nemo-Instruct-2407", 3944, 0x20783E9D94168233u, &kMistralNemo},
    {"Mistral-Nemo-Instruct-2407 (first)", 3777, 0xC134BF40D6F56D76u, &kMistralNemo},
    {"Mistral-Large-Instruct-2411", 423, 0xE4A9CC594604808Au, &kMistralV7},
    {"DeepSeek-V2", 459, 0x5111253F4AA4A502u, &kDeepSeekLlm},
    {"deepseek-coder-33b-instruct", 1041, 0x5DE747F765E2C199u, &kDeepSeekCoder},
    {"deepseek-coder-33B-instruct-AWQ", 885, 0xA4751D54A53ED566u, &kDeepSeekCoderAwq},
    {"DeepSeek-R1", 2756, 0xB9EB54D150716A7Du, &kDeepSeekR1},
    {"DeepSeek-R1-Distill-Llama-8B", 2478, 0x731E2D647D2BF911u, &kDeepSeekR1Distill},
    {"zephyr-7b-beta", 410, 0xCD8B49000DB02C2Cu, &kZephyr},
    {"zephyr (no system)", 306, 0x4CBED0D6A7C090ECu, &kZephyrNoSystem},
    {"granite-3.0-8b-instruct", 1185, 0x0F0E22051160BCB0u, &kGranite},
    {"granite-4.0", 6418, 0x8B59B8DB8DA061D0u, &kGranite40},
    {"granite-4.1", 6099, 0x0CABCC19A9F80029u, &kGranite41},
    {"granite-code", 376, 0x7772E88B761F8D6Eu, &kGraniteCode},
    {"falcon-instruct", 356, 0xAFFC62BE3917A266u, &kFalcon},
    {"falcon-180b-chat", 340, 0xB4790FEB9157BF2Bu, &kFalcon180},
    {"SOLAR-10.7B-Instruct", 409, 0xC0BB5DE69AEAA2A7u, &kSolar},
    {"alfred", 533, 0x713E06571472B032u, &kAlfred},
    {"openchat-3.5-0106", 222, 0x51C8C94545AC4017u, &kOpenChat},
    {"c4ai-command-r-plus", 1204, 0x0A6D1E7AE67AFA57u, &kCommandR},
    {"vicuna-13b-1.1", 361, 0x0B96EEDEF78124FAu, &kVicuna},
    {"Orca-Vicuna", 367, 0xF61250AF26B584E3u, &kOrcaVicuna},
    {"Orion-14B-Chat", 276, 0x6484082D835B75D6u, &kOrion},
    {"ChatGLM3", 247, 0xE44D93F27838891Bu, &kChatGlm3},
    {"ChatGLM4", 669, 0x1108F95E61CDA000u, &kChatGlm4},
    {"GLM-Edge", 263, 0x85F73D87563054A6u, &kGlmEdge},
    {"MiniCPM-3B", 178, 0x8AE35A95BB1326CCu, &kMiniCpm},
    {"Megrez-3B-Instruct", 425, 0xAEBA44BFA40BC36Eu, &kMegrez},
    {"Ling-lite", 293, 0x734AF42266CA217Du, &kLing},
    {"h2o-danube-1.8b-chat", 392, 0xB08B389F2CC8C8C9u, &kDanube},
    {"DeciLM-7B-instruct", 378, 0x92B01927DCAAE5A2u, &kDeciLm},
    {"CodeLlama-70b-Instruct", 531, 0x60F5EE6D45707BA7u, &kCodeLlama70},
    {"starcoder2-instruct", 574, 0x1451B8C7D5E75BE5u, &kStarCoder2},
    {"magicoder", 571, 0x673D924ABFF5E532u, &kMagicoder},
    {"AlphaMonarch-7B", 191, 0x73C389450E948306u, &kAlphaMonarch},
    {"gpt2 (concatenation)", 77, 0x008BE9440142E81Du, &kConcatenation},
};

}  // namespace

std::span<const KnownTemplate> known_templates() { return kKnown; }

}  // namespace wallaby::text
