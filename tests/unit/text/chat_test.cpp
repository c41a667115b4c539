#include "text/chat.h"

#include <gtest/gtest.h>

#include <set>

#include "text/trim.h"

namespace {

using namespace wallaby;
using namespace wallaby::text;
using Messages = std::vector<ChatMessage>;

const ChatFormat& format_of(std::string_view name) {
    for (const KnownTemplate& known : known_templates()) {
        if (known.name == name) { return *known.format; }
    }
    ADD_FAILURE() << name;
    return *known_templates()[0].format;
}

// The rendered text, or "error: " and what is wrong.
std::string chat(std::string_view name, const Messages& messages, bool add_generation_prompt = true) {
    const auto text = render(format_of(name), messages, {"<BOS>", "<EOS>"}, add_generation_prompt);
    return text.ok() ? *text : "error: " + text.error().message();
}

const Messages talk = {{"system", " S "}, {"user", " U "}, {"assistant", " A "}, {"user", "V"}};

TEST(TextChat, ChatMl) {
    EXPECT_EQ(
        chat("chatml", talk),
        "<|im_start|>system\n S <|im_end|>\n<|im_start|>user\n U <|im_end|>\n<|im_start|>assistant\n A <|im_end|>\n"
        "<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n");
    EXPECT_EQ(chat("chatml", {{"user", ""}}, false), "<|im_start|>user\n<|im_end|>\n");
    EXPECT_EQ(chat("Qwen2.5-7B-Instruct", {{"user", "U"}}, false),
              "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
              "<|im_start|>user\nU<|im_end|>\n");
}

TEST(TextChat, SystemMessagesFoldIntoUserMessages) {
    EXPECT_EQ(chat("Llama-2-chat", talk),
              "<BOS>[INST] <<SYS>>\n S \n<</SYS>>\n\n U [/INST] A <EOS><BOS>[INST] V [/INST]");
    EXPECT_EQ(chat("Llama-2-chat", {{"system", "S"}, {"user", " "}}), "<BOS>[INST] <<SYS>>\nS\n<</SYS>> [/INST]");
    EXPECT_EQ(chat("Mistral-Nemo-Instruct-2407", talk), "<BOS>[INST] U [/INST] A <EOS>[INST] S \n\nV[/INST]");
    EXPECT_EQ(chat("gemma-3", {{"system", "S"}, {"user", " U "}}),
              "<BOS><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\n");
}

TEST(TextChat, WhatTheTemplateRefusesIsAnErrorThatNamesTheMessage) {
    EXPECT_NE(chat("gemma-2-2b-it", talk).find("error: messages[0]: "), std::string::npos);
    EXPECT_NE(chat("Mistral-7B-Instruct-v0.2", {{"user", "a"}, {"user", "b"}}).find("error: messages[1]: "),
              std::string::npos);
    EXPECT_NE(chat("Mistral-Nemo-Instruct-2407", {{"user", "a"}, {"system", "b"}}).find("error: messages[1]: "),
              std::string::npos);
    EXPECT_NE(chat("chatml", {}).find("error: messages: "), std::string::npos);
    EXPECT_NE(chat("chatml", {{"user", "U"}, {"tool", "T"}}).find("'tool'"), std::string::npos);
}

TEST(TextChat, Reasoning) {
    const std::string thought = "<think>\nwhy\n</think>\n\nbecause";
    EXPECT_EQ(chat("DeepSeek-R1", {{"user", "U"}, {"assistant", thought}}, false),
              "<BOS><｜User｜>U<｜Assistant｜>\n\nbecause<｜end▁of▁sentence｜>");
    EXPECT_EQ(chat("DeepSeek-R1", {{"assistant", "a</think>b</think>c"}}, false),
              "<BOS><｜Assistant｜>c<｜end▁of▁sentence｜>");
    const std::string turn = "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n";
    EXPECT_EQ(chat("Qwen3-0.6B", {{"user", "U"}, {"assistant", thought}}, false), turn + thought + "<|im_end|>\n");
    EXPECT_EQ(chat("Qwen3-0.6B", {{"user", "U"}, {"assistant", thought}, {"user", "U"}}, false),
              turn + "because<|im_end|>\n<|im_start|>user\nU<|im_end|>\n");
    EXPECT_EQ(chat("Qwen3-0.6B", {{"user", "U"}, {"assistant", "A"}}, false),
              turn + "<think>\n\n</think>\n\nA<|im_end|>\n");
}

TEST(TextChat, DefaultSystemMessages) {
    EXPECT_EQ(chat("deepseek-coder-33b-instruct", {{"user", "U"}, {"system", "S"}}, false),
              "<BOS>### Instruction:\nU\nS")
        << "a system message anywhere replaces the default";
    EXPECT_EQ(chat("Qwen2-7B-Instruct", {{"user", "U"}, {"system", "S"}}, false),
              "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
              "<|im_start|>system\nS<|im_end|>\n");
    EXPECT_EQ(chat("granite-4.0", {{"system", ""}, {"user", "U"}}, false), chat("granite-4.0", {{"user", "U"}}, false));
}

// Contents are text, never patterns.
TEST(TextChat, ContentsAreNotExpanded) {
    EXPECT_EQ(chat("deepseek-coder-33b-instruct", {{"system", "{content}{bos}"}, {"user", "{/trim}{eos}{"}}, false),
              "<BOS>{content}{bos}### Instruction:\n{/trim}{eos}{\n");
    EXPECT_EQ(chat("Llama-3-Instruct", {{"user", " {trim} {content} "}}, false),
              "<BOS><|start_header_id|>user<|end_header_id|>\n\n{trim} {content}<|eot_id|>");
}

TEST(TextChat, UnknownTemplatesAreRefusedWithARemedy) {
    std::vector<std::string> texts = {"", "{{ messages }}", "chatml"};
    for (const KnownTemplate& known : known_templates()) { texts.emplace_back(known.n_bytes, 'x'); }
    for (const std::string& text : texts) {
        const auto found = find_chat_format(text);
        ASSERT_FALSE(found.ok());
        EXPECT_EQ(found.error().code, ErrorCode::unsupported);
        EXPECT_NE(found.error().message().find("--raw"), std::string::npos);
        EXPECT_NE(found.error().message().find("tokenizer.chat_template"), std::string::npos);
    }
}

TEST(TextChat, HashIsFnv1a) {
    EXPECT_EQ(template_hash(""), 0xCBF29CE484222325u);
    EXPECT_EQ(template_hash("a"), 0xAF63DC4C8601EC8Cu);
    EXPECT_EQ(template_hash("foobar"), 0x85944171F73967E8u);
}

TEST(TextChat, TheTableIsSound) {
    std::set<std::pair<uint32_t, uint64_t>> texts;
    std::set<std::string_view> names;
    for (const KnownTemplate& known : known_templates()) {
        EXPECT_TRUE(texts.emplace(known.n_bytes, known.hash).second) << known.name;
        EXPECT_TRUE(names.insert(known.name).second) << known.name;
        // A misspelt placeholder would vanish: all braces of the patterns belong to a known one.
        const ChatFormat& f = *known.format;
        for (const std::string_view pattern :
             {f.opening, f.no_system, f.lead_system, f.system, f.user, f.user_with_system, f.assistant, f.between,
              f.generation, f.no_generation}) {
            for (size_t at = pattern.find('{'); at != std::string_view::npos; at = pattern.find('{', at + 1)) {
                const std::string_view name = pattern.substr(at, pattern.find('}', at) + 1 - at);
                EXPECT_TRUE(name == "{content}" || name == "{system}" || name == "{bos}" || name == "{eos}" ||
                            name == "{trim}" || name == "{/trim}" || (name == pattern && name == ChatFormat::refused))
                    << known.name << ": " << pattern;
            }
        }
        EXPECT_NE(f.user.find("{content}"), std::string_view::npos) << known.name;
        EXPECT_NE(f.assistant.find("{content}"), std::string_view::npos) << known.name;
        EXPECT_EQ(f.fold != ChatFormat::Fold::none, !f.user_with_system.empty()) << known.name;
    }
    EXPECT_GE(texts.size(), 70u);
}

TEST(TextTrim, TakesPythonsWhiteSpace) {
    EXPECT_EQ(
        trim(" \t\r\n\v\f\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000x\u3000\u2005 "),
        "x");
    EXPECT_EQ(trim("\u200bx\u180e"), "\u200bx\u180e");
    EXPECT_EQ(trim("\u2003"), "");
    EXPECT_EQ(trim("x\x85"), "x\x85");  // a byte that is no character
    EXPECT_EQ(trim(""), "");
}

}  // namespace
