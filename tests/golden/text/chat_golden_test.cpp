// Real chat templates with the texts they are known to give: of the cases whose template this build knows, each must
// come out the same.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/data.h"
#include "text/chat.h"

namespace {

using namespace wallaby;
using nlohmann::json;

struct Case {
    std::string name;
    std::string source;  // the template
    json messages;
    std::string bos, eos;
    bool add_generation_prompt = false;
    std::string expected;
};

// Whether a conversation is of the kind that is rendered: three roles, contents that are texts, no tools.
bool is_plain(const json& context) {
    if (context.contains("tools") || context.contains("documents")) { return false; }
    for (const json& message : context["messages"]) {
        const std::string role = message.value("role", "");
        if (role != "system" && role != "user" && role != "assistant") { return false; }
        if (!message.contains("content") || !message["content"].is_string() || message.size() != 2) { return false; }
    }
    return true;
}

// The number of cases whose template is known.
int compare(const std::vector<Case>& cases) {
    int n = 0;
    for (const Case& one : cases) {
        const auto format = text::find_chat_format(one.source);
        if (!format.ok()) { continue; }
        n++;
        std::vector<text::ChatMessage> messages;
        for (const json& message : one.messages) { messages.push_back({message["role"], message["content"]}); }
        const auto text = text::render(*format, messages, {one.bos, one.eos}, one.add_generation_prompt);
        EXPECT_TRUE(text.ok()) << one.name << ": " << text.error().message();
        if (text.ok()) { EXPECT_EQ(*text, one.expected) << one.name; }
    }
    return n;
}

TEST(TextChatGolden, ModelTemplatesWithTheirExamples) {
    WALLABY_NEED_DATA(data);
    std::vector<Case> cases;
    const std::string file = wallaby::testing::read_file(data / "templates/vectors/hfjs_e2e_real_model_templates.json");
    for (const json& one : json::parse(file)) {
        const json& context = one["context"];
        if (!is_plain(context)) { continue; }
        cases.push_back({one["name"], one["template"], context["messages"], context.value("bos_token", ""),
                         context.value("eos_token", ""), context.value("add_generation_prompt", false),
                         one["expected"]});
    }
    EXPECT_GE(cases.size(), 20u);
    EXPECT_GE(compare(cases), 12);
}

// One conversation of six messages, with a system message. Where a template takes none, the expected text is what
// another program makes of it by a workaround: those cases (the plain template does not agree) are left out.
TEST(TextChatGolden, OneConversationInManyFormats) {
    WALLABY_NEED_DATA(data);
    const json file =
        json::parse(wallaby::testing::read_file(data / "templates/vectors/llamacpp_test_chat_template.json"));
    std::vector<Case> cases;
    for (const json& one : file["cases"]) {
        if (one.value("jinja2_3.1.6_agrees", json()) != true) { continue; }
        const std::string jinja = one["expected_jinja"];
        cases.push_back({one["name"], one["template"], file["conversation"], one["bos_token"], one["eos_token"],
                         file["add_generation_prompt"], jinja.empty() ? std::string(one["expected"]) : jinja});
    }
    EXPECT_GE(cases.size(), 25u);
    EXPECT_GE(compare(cases), 22);
}

// Templates from files, with the conversation of one system, one user and one assistant message: they are known, and
// the three contents appear in order.
TEST(TextChatGolden, KnownTemplatesAreFoundByTheirText) {
    WALLABY_NEED_DATA(data);
    int n_known = 0;
    for (const char* name :
         {"Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "google-gemma-2-2b-it", "meta-llama-Llama-3.1-8B-Instruct",
          "microsoft-Phi-3.5-mini-instruct", "mistralai-Mistral-Nemo-Instruct-2407", "moonshotai-Kimi-K2",
          "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "LFM2-8B-A1B"}) {
        const std::string source =
            wallaby::testing::read_file(data / "templates/llama.cpp-jinja" / (std::string(name) + ".jinja"));
        const auto format = text::find_chat_format(source);
        EXPECT_TRUE(format.ok()) << name;
        EXPECT_TRUE(text::find_chat_format(source + "\n").ok() || source.ends_with('\n')) << name;
        EXPECT_FALSE(text::find_chat_format(source + " ").ok()) << name;
        n_known += format.ok() ? 1 : 0;
    }
    EXPECT_EQ(n_known, 9);
}

}  // namespace
