// The program without a model of the user's, and what a prompt means to models that chat.
#include <nlohmann/json.hpp>

#include "support/data.h"
#include "support/joey.h"
#include "support/process.h"
#include "support/tiny_model.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr const char* chat_ml =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

std::string turn(const std::string& role, const std::string& content) {
    return "<|im_start|>" + role + "\n" + content + "<|im_end|>\n";
}
std::string question(const std::string& text) { return turn("user", text) + "<|im_start|>assistant\n"; }

class CliJoey : public ::testing::Test {
  protected:
    std::string folder_ = ::testing::TempDir() + "wallaby_joey_" + std::to_string(::getpid());

    void SetUp() override { std::filesystem::create_directory(folder_); }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string write(const std::string& name, const std::vector<uint8_t>& bytes) const {
        std::string path = folder_ + "/" + name;
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        return path;
    }
    // In the test's folder.
    Ran wallaby(const Words& words, const RunOptions& options = {}) const {
        Words all{"/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder_, WALLABY_BINARY};
        all.insert(all.end(), words.begin(), words.end());
        return run_program(all, options);
    }
    // The first `n` tokens of a reply, temperature 0, to words that say with what model and how.
    std::string reply(Words words, const RunOptions& options = {}, const std::string& n = "6") const {
        const Words tail{"-n", n, "--temp", "0", "--ignore-eos"};
        words.insert(words.begin(), "run");
        words.insert(words.end(), tail.begin(), tail.end());
        const Ran ran = wallaby(words, options);
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_GT(ran.out.size(), 1u);
        return ran.out;
    }
    void expect_failure(const Words& words, int code, const std::string& part) const {
        const Ran ran = wallaby(words);
        EXPECT_EQ(ran.code, code) << ran.err;
        EXPECT_EQ(ran.out, "");
        EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    }
};

TEST_F(CliJoey, EveryVerbUsesItWithoutAModelAndSaysSoInOneLine) {
    write("text", std::vector<uint8_t>(200, 'a'));
    const std::vector<std::pair<std::string, Words>> verbs = {
        {"run", {"Once upon a time", "-n", "3", "-s", "1"}},
        {"inspect", {"--json"}},
        {"tokenize", {"Once upon a time"}},
        {"logits", {"--tokens", "1,2,3", "--greedy", "2"}},
        {"eval perplexity", {"-f", "text", "-c", "32", "--chunks", "1"}},
        {"eval kl", {"-f", "text", "-c", "32", "--chunks", "1", "--save-base", "base"}},
        {"eval kl", {"--base", "base", "-o", "json"}},
    };
    for (const auto& [verb, words] : verbs) {
        Words without;
        for (size_t at = 0; at < verb.size();) {
            const size_t space = std::min(verb.find(' ', at), verb.size());
            without.push_back(verb.substr(at, space - at));
            at = space + 1;
        }
        without.insert(without.end(), words.begin(), words.end());
        const Ran ran = wallaby(without);
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(ran.err.find("wallaby: no model given: using joey, the built-in "), 0u) << ran.err;
        EXPECT_TRUE(ran.err.ends_with("M-parameter model. For a real one: wallaby " + verb + " -m FILE.gguf\n"))
            << ran.err;
        EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
        for (const char* flag : {"-m", "--model"}) {
            Words named = without;
            named.insert(named.end(), {flag, "joey"});
            const Ran quiet = wallaby(named);
            EXPECT_EQ(quiet.code, 0) << quiet.err;
            EXPECT_EQ(quiet.err, "") << verb;
            EXPECT_EQ(quiet.out, ran.out) << verb;
        }
        if (words.back() == "json") { EXPECT_EQ(Json::parse(ran.out)[0]["model"], "joey (built in)"); }
    }
}

TEST_F(CliJoey, InspectShowsTheFileThatIsInTheTree) {
    const auto json = Json::parse(wallaby({"inspect", "--json", "--full"}).out);
    auto of_file = Json::parse(wallaby({"inspect", "--json", "--full", "-m", joey_path()}).out);
    EXPECT_EQ(json["file"], "joey (built in)");
    of_file["file"] = json["file"];
    EXPECT_EQ(json, of_file);
    EXPECT_EQ(wallaby({"inspect", "-m", "joey", "--tensor", "output_norm.weight", "--out", "norm"}).code, 0);
    EXPECT_EQ(std::filesystem::file_size(folder_ + "/norm"), 4 * open_joey()->find("output_norm.weight")->dims[0]);
    expect_failure({"inspect", "-m", "joey", "--tensor", "nothing", "--out", "norm"}, 2, "joey (built in)");
}

TEST_F(CliJoey, AFileOfItsNameIsNamedByItsPath) {
    write("joey", TinyModel().build());
    const auto file = [&](const Words& words) {
        Words all{"inspect", "--json"};
        all.insert(all.end(), words.begin(), words.end());
        return Json::parse(wallaby(all).out)["file"].get<std::string>();
    };
    EXPECT_EQ(file({}), "joey (built in)");
    EXPECT_EQ(file({"-m", "joey"}), "joey (built in)");
    EXPECT_EQ(file({"-m", "./joey"}), "./joey");
    expect_failure({"inspect", "-m", "Joey"}, 1, "Joey");
    expect_failure({"inspect", "-m", ""}, 1, "cannot open");
}

// A golden text: any change of the model, the tokenizer, the prompt's handling or the arithmetic shows here.
TEST_F(CliJoey, TellsThisStoryAtTemperatureZero) {
    EXPECT_EQ(
        wallaby({"run", "-m", "joey", "--temp", "0", "Once upon a time"}).out,
        R"(, a patient fluffy lamb named Nora lived in a sunny cave near the duck pond. She loved fishing. Next door lived a goose named Arlo.

One afternoon, Nora and Arlo joined the great race from the duck pond to the stone bridge. The winner would get a basket of pears. Nora was in front. Suddenly she saw a duckling. It was alone. Nora took the duckling to its mother. So Arlo won. Arlo had seen it all. He gave the prize to Nora.

Nora had learned that kindness is winning. They went home, sleepy and merry.
)");
    EXPECT_EQ(wallaby({"run", "-m", "joey", "--temp", "0", "--chat", "What is the KV cache?"}).out,
              "The KV cache keeps the keys and values of all past tokens, so that no token is computed twice.\n");
}

TEST_F(CliJoey, QuantizeKnowsItByName) {
    expect_failure({"quantize", "joey", "joey-Q4_K.gguf", "Q4_K"}, 2, "--allow-requantize");
    ASSERT_EQ(wallaby({"quantize", "joey", "joey-Q4_K.gguf", "Q4_K", "--allow-requantize"}).code, 0);
    EXPECT_LT(std::filesystem::file_size(folder_ + "/joey-Q4_K.gguf"), 2'500'000u);
    EXPECT_NE(reply({"-m", "joey-Q4_K.gguf", "Once upon a time"}, {}, "20").find(" named "), std::string::npos);
}

TEST_F(CliJoey, SynthMakesAModelLikeIt) {
    ASSERT_EQ(wallaby({"synth", "--like", "joey", "like.gguf"}).code, 0);
    const auto like = Json::parse(wallaby({"inspect", "--json", "-m", "like.gguf"}).out);
    const auto joey = Json::parse(wallaby({"inspect", "--json"}).out);
    EXPECT_EQ(like["n_weights"], joey["n_weights"]);
    EXPECT_EQ(like["tensor_bytes"], joey["tensor_bytes"]);
}

TEST_F(CliJoey, APlainPromptIsGoneOnFromAndChatAnswersIt) {
    const std::string story = reply({"Once upon a time"}), answer = reply({"--chat", "Once upon a time"});
    EXPECT_EQ(reply({"Once upon a time", "--raw"}), story);
    EXPECT_EQ(reply({"Once upon a time", "-no-cnv"}), story);
    EXPECT_NE(answer, story);
    EXPECT_EQ(reply({"--raw", question("Once upon a time")}), answer);
    EXPECT_EQ(reply({"-p", "Once upon a time", "--single-turn"}), answer);
    EXPECT_EQ(reply({"-st", "-m", "joey", "Once upon a time"}), answer);
    // A system message is a part of a conversation.
    EXPECT_EQ(reply({"--sys", "Be brief.", "hello"}),
              reply({"--raw", turn("system", "Be brief.") + question("hello")}));
    EXPECT_GT(reply({"-p", ""}).size(), 1u);  // a story from nothing
}

// On a terminal (script(1) makes one) a text that is gone on from begins with the prompt; an answer does not.
TEST_F(CliJoey, ATerminalShowsTheWholeText) {
    const auto on_terminal = [&](const std::string& flags) {
        const std::string command = "'" WALLABY_BINARY "' run -m joey -n 2 --temp 0 " + flags + " 'Once upon a time'";
        const Ran ran = run_program({"/usr/bin/script", "-qec", command, "/dev/null"});
        EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
        return ran.out;
    };
    EXPECT_TRUE(on_terminal("").starts_with("Once upon a time")) << on_terminal("");
    EXPECT_FALSE(on_terminal("--chat").starts_with("Once upon a time")) << on_terminal("--chat");
    EXPECT_FALSE(reply({"Once upon a time"}).starts_with("Once upon a time"));
}

TEST_F(CliJoey, ChatTakesTurnsThroughTheTemplate) {
    const std::string replies = reply({}, {.input = "hello\n\nwhat is it\n"});
    const std::string first = reply({"--chat", "hello"});
    ASSERT_EQ(replies.find(first), 0u);
    const std::string said = first.substr(0, first.size() - 1);  // the newline is the program's
    EXPECT_EQ(replies.substr(first.size()),
              reply({"--raw", turn("user", "hello") + turn("assistant", said) + question("what is it")}));
}

TEST_F(CliJoey, AFullContextEndsTheChatWithALine) {
    const Words words{"run", "-m", "joey", "-c", "64", "--ignore-eos", "--temp", "0"};
    const Ran ran = wallaby(words, {.input = "hello\nwhat is it\n"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.out, wallaby(words, {.input = "hello\n"}).out);
    EXPECT_GT(ran.out.size(), 1u);
    EXPECT_EQ(ran.err,
              "wallaby: the context of 64 tokens is full, and the chat ends here. Start another, or use a "
              "larger -c\n");
    // As long as the model was trained with, when nobody says otherwise.
    EXPECT_NE(wallaby({"run", "-m", "joey", "-v", "-n", "1"}, {.input = "hello\n"}).err.find("1024 tokens"),
              std::string::npos);
}

TEST_F(CliJoey, AMessageThatDoesNotFitIsRefusedAndTheChatGoesOn) {
    const Words words{"run", "-m", "joey", "-c", "64", "-n", "3", "--temp", "0", "--ignore-eos"};
    std::string longer;
    for (int i = 0; i < 100; i++) { longer += "once upon "; }
    const Ran ran = wallaby(words, {.input = longer + "\nhello\n"}), without = wallaby(words, {.input = "hello\n"});
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.out, without.out);
    EXPECT_NE(ran.err.find("the context holds 64"), std::string::npos) << ran.err;
    EXPECT_EQ(without.code, 0);
    EXPECT_EQ(without.err, "");
}

// A model without a chat template: the text so far counts.
TEST_F(CliJoey, AMessageThatDoesNotFitIsRefusedWithoutATemplateToo) {
    const std::string path = write("tiny.gguf", TinyModel().build());
    const Words words{"run", "-m", path, "-c", "20", "-n", "2", "--ignore-eos", "--temp", "0"};
    const Ran ran = wallaby(words, {.input = "d d d\nd d d d d d d\nd\n"});
    EXPECT_EQ(ran.out, wallaby(words, {.input = "d d d\nd\n"}).out);
    EXPECT_EQ(ran.code, 1);
    EXPECT_NE(ran.err.find("the context holds 20"), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

TEST_F(CliJoey, TheFileSaysWhatAPlainPromptIs) {
    TinyModel tiny;
    const auto with = [&](const std::string& rule) {
        tiny.chat_template = chat_ml;
        tiny.run_prompt = rule;
        return write("rule_" + rule + ".gguf", tiny.build());
    };
    const std::string unsaid = with(""), answers = with("answer"), goes_on = with("continue"), sings = with("sing");
    const std::string raw = reply({"-m", unsaid, "--raw", "abc"}), answer = reply({"-m", unsaid, "--chat", "abc"});
    EXPECT_NE(raw, answer);
    EXPECT_EQ(reply({"-m", unsaid, "abc"}), answer);
    EXPECT_EQ(reply({"-m", answers, "abc"}), answer);
    EXPECT_EQ(reply({"-m", goes_on, "abc"}), raw);
    EXPECT_EQ(reply({"-m", goes_on, "--chat", "abc"}), answer);
    EXPECT_EQ(reply({"-m", goes_on}, {.input = "abc\n"}), answer);
    expect_failure({"run", "-m", sings, "abc"}, 1, "key 'wallaby.run.prompt'");
    expect_failure({"run", "-m", sings, "abc"}, 1, "--raw");
    EXPECT_EQ(reply({"-m", sings, "--raw", "abc"}), raw);
    EXPECT_EQ(reply({"-m", sings, "--chat", "abc"}), answer);
}

TEST_F(CliJoey, ChatWithoutATemplateIsAnError) {
    const std::string path = write("plain.gguf", TinyModel().build());
    expect_failure({"run", "-m", path, "--chat", "abc"}, 1, "tokenizer.chat_template");
    expect_failure({"run", "--chat", "--raw", "abc"}, 2, "--chat");
}

}  // namespace
