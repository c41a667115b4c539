#include "eval/task_files.h"

#include <gtest/gtest.h>

#include <cstring>

#include "eval/frontier.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::testing;
using eval::ChoiceTask;
using Read = Result<std::vector<ChoiceTask>>(std::string_view text, const std::string& file);

void expect_refused(Read* read, const std::string& text, const std::string& field, std::optional<uint64_t> offset,
                    const std::string& part) {
    const auto tasks = read(text, "tasks");
    ASSERT_FALSE(tasks.ok()) << text;
    EXPECT_EQ(tasks.error().where.file, "tasks");
    EXPECT_EQ(tasks.error().where.field, field) << tasks.error().message();
    EXPECT_EQ(tasks.error().where.offset, offset) << tasks.error().message();
    EXPECT_NE(tasks.error().what.find(part), std::string::npos) << tasks.error().what;
}

std::vector<std::string> choices_of(const ChoiceTask& task) {
    std::vector<std::string> out;
    for (const eval::Choice& c : task.choices) { out.push_back((c.is_right ? "+" : "-") + c.text); }
    return out;
}

using Words = std::vector<std::string>;
const std::string hellaswag = "A cat: It sat\n2\na.\nb.\nc.\nd.\nA dog: It ran\n0\ne.\nf.\ng.\nh.";

TEST(EvalTaskFiles, HellaSwagHasSixLinesATask) {
    for (const std::string& text : {hellaswag, hellaswag + "\n"}) {
        const auto tasks = must(eval::read_hellaswag(text, "tasks"));
        ASSERT_EQ(tasks.size(), 2u);
        EXPECT_EQ(tasks[0].before, "A cat: It sat ");
        EXPECT_EQ(tasks[0].after, "");
        EXPECT_EQ(tasks[0].place, "line 1");
        EXPECT_EQ(choices_of(tasks[0]), (Words{"-a.", "-b.", "+c.", "-d."}));
        EXPECT_EQ(tasks[1].place, "line 7");
        EXPECT_EQ(choices_of(tasks[1]), (Words{"+e.", "-f.", "-g.", "-h."}));
    }
}

TEST(EvalTaskFiles, AHellaSwagFileThatIsCutIsRefusedByLine) {
    size_t n_whole = 0;
    for (size_t n = 0; n < hellaswag.size(); n++) {
        const auto tasks = eval::read_hellaswag(hellaswag.substr(0, n), "tasks");
        // An ending may be cut, and the last task left out: no file can show that.
        const size_t first = hellaswag.find("A dog");
        const bool may_be = (n >= first - 2 && n <= first) || n == hellaswag.size() - 1;
        EXPECT_EQ(tasks.ok(), may_be) << n;
        n_whole += tasks.ok() ? 1 : 0;
    }
    EXPECT_EQ(n_whole, 4u);
    expect_refused(eval::read_hellaswag, "", "", {}, "no tasks");
    expect_refused(eval::read_hellaswag, "A\n0\nb\nc\nd", "line 5", 8, "six lines");
    expect_refused(eval::read_hellaswag, "A\n4\nb\nc\nd\ne", "line 2", 2, "is '4'");
    expect_refused(eval::read_hellaswag, "A\n-1\nb\nc\nd\ne", "line 2", 2, "is '-1'");
    expect_refused(eval::read_hellaswag, "A\n1 \nb\nc\nd\ne", "line 2", 2, "is '1 '");
    expect_refused(eval::read_hellaswag, "A\n1\nb\n\nd\ne", "line 4", 6, "empty");
    expect_refused(eval::read_hellaswag, "\n1\nb\nc\nd\ne", "line 1", 0, "empty");
}

TEST(EvalTaskFiles, WinograndeHasFiveValuesALine) {
    const auto tasks = must(eval::read_winogrande(
        "0,Sarah was better than Maria so _ got it.,Sarah,Maria,2\n1,\"He said \"\"no\"\", and _ left.\",he,she,1\r\n",
        "tasks"));
    ASSERT_EQ(tasks.size(), 2u);
    EXPECT_EQ(tasks[0].before, "Sarah was better than Maria so ");
    EXPECT_EQ(tasks[0].after, " got it.");
    EXPECT_EQ(choices_of(tasks[0]), (Words{"-Sarah", "+Maria"}));
    EXPECT_EQ(tasks[1].before, "He said \"no\", and ");
    EXPECT_EQ(choices_of(tasks[1]), (Words{"+he", "-she"}));
    EXPECT_EQ(tasks[1].place, "line 2");
    expect_refused(eval::read_winogrande, "", "", {}, "no tasks");
    expect_refused(eval::read_winogrande, "0,a _ b,c,d,1\n0,a _ b,c,d", "line 2", 14, "4 values");
    expect_refused(eval::read_winogrande, "0,a _, b,c,d,1", "line 1", 0, "6 values");
    expect_refused(eval::read_winogrande, "0,a b,c,d,1", "line 1", 0, "no _");
    expect_refused(eval::read_winogrande, "0,a _ b,c,d,3", "line 1", 0, "'3'");
    expect_refused(eval::read_winogrande, "0,a _ b,,d,1", "line 1", 0, "empty choice");
    expect_refused(eval::read_winogrande, "0,\"a _ b,c,d,1", "line 1", 0, "quote");
}

TEST(EvalTaskFiles, LinesOfJson) {
    const auto tasks = must(eval::read_multiple_choice(
        "{\"question\": \"Water is\", \"choices\": [\"wet\", \"dry\"], \"answer\": 1, \"from\": {\"x\": [1]}}\n"
        "{\"answer\": 0, \"choices\": [\"\\u00e9\"], \"question\": \"q\"}",
        "tasks"));
    ASSERT_EQ(tasks.size(), 2u);
    EXPECT_EQ(tasks[0].before, "Water is ");
    EXPECT_EQ(choices_of(tasks[0]), (Words{"-wet", "+dry"}));
    EXPECT_EQ(choices_of(tasks[1]), (Words{"+é"}));
    EXPECT_EQ(tasks[1].place, "line 2");
    const auto refused = [](const std::string& line, uint64_t offset, const std::string& part) {
        const std::string good = "{\"question\": \"q\", \"choices\": [\"a\"], \"answer\": 0}\n";
        expect_refused(eval::read_multiple_choice, good + line, "line 2", good.size() + offset, part);
    };
    refused("{\"question\": \"q\", \"choices\": [\"a\"], \"answer\": 0", 47, "is not JSON");
    refused("\n", 0, "is not JSON");
    refused("[1]", 0, "no JSON object");
    refused("{\"choices\": [\"a\"], \"answer\": 0}", 0, "'question'");
    refused("{\"question\": 7, \"choices\": [\"a\"], \"answer\": 0}", 0, "'question'");
    refused("{\"question\": \"q\", \"choices\": \"a\", \"answer\": 0}", 0, "'choices'");
    refused("{\"question\": \"q\", \"choices\": [], \"answer\": 0}", 0, "'choices'");
    refused("{\"question\": \"q\", \"choices\": [\"a\", 3], \"answer\": 0}", 0, "a choice 1");
    refused("{\"question\": \"q\", \"choices\": [\"\"], \"answer\": 0}", 0, "a choice 0");
    for (const char* answer : {"1", "-1", "0.0", "\"0\"", "1e999", "null"}) {
        const std::string line = std::string("{\"question\": \"q\", \"choices\": [\"a\"], \"answer\": ") + answer + "}";
        EXPECT_FALSE(eval::read_multiple_choice(line, "tasks").ok()) << line;
    }
    EXPECT_FALSE(eval::read_multiple_choice(std::string(1 << 20, '['), "tasks").ok());
    EXPECT_FALSE(eval::read_multiple_choice("{\"question\": \"\xff\"}", "tasks").ok());
}

// --- llama-perplexity's binary form

void put(std::string& bytes, uint32_t n) { bytes.append(reinterpret_cast<const char*>(&n), 4); }
void put(std::string& bytes, const std::string& text) {
    put(bytes, uint32_t(text.size()));
    bytes += text;
}

std::string binary_task(const std::string& question, const Words& answers, size_t right) {
    std::string bytes;
    put(bytes, question);
    for (const bool is_second : {false, true}) {
        put(bytes, uint32_t(is_second ? 0 : answers.size()));
        if (is_second) { break; }
        for (const std::string& answer : answers) { put(bytes, answer); }
        for (size_t i = 0; i < answers.size(); i++) { put(bytes, uint32_t(i == right ? 1 : 0)); }
    }
    return bytes;
}

std::string binary(const Words& tasks) {
    std::string bytes;
    put(bytes, uint32_t(tasks.size()));
    uint32_t offset = uint32_t(4 + 4 * tasks.size());
    for (const std::string& task : tasks) {
        put(bytes, offset);
        offset += uint32_t(task.size());
    }
    for (const std::string& task : tasks) { bytes += task; }
    return bytes;
}

const std::string first = binary_task("Water is", {"wet", "dry"}, 0), second = binary_task("q", {"a", "b", "c"}, 2);

TEST(EvalTaskFiles, BinaryMultipleChoice) {
    const auto tasks = must(eval::read_multiple_choice(binary({first, second}), "tasks"));
    ASSERT_EQ(tasks.size(), 2u);
    EXPECT_EQ(tasks[0].before, "Water is ");
    EXPECT_EQ(choices_of(tasks[0]), (Words{"+wet", "-dry"}));
    EXPECT_EQ(tasks[0].place, "task at byte 12");
    EXPECT_EQ(choices_of(tasks[1]), (Words{"-a", "-b", "+c"}));
    // 0x7b22 tasks: the first bytes are those of a line of JSON.
    const std::string many = binary(Words(0x227b, second));
    EXPECT_EQ(many.substr(0, 2), "{\"");
    EXPECT_EQ(must(eval::read_multiple_choice(many, "tasks")).size(), 0x227bu);
}

TEST(EvalTaskFiles, EveryPrefixOfABinaryFileAndALongerOneAreRefused) {
    const std::string bytes = binary({first, second});
    for (size_t n = 0; n < bytes.size(); n++) {
        const auto tasks = eval::read_multiple_choice(bytes.substr(0, n), "tasks");
        ASSERT_FALSE(tasks.ok()) << n;
        if (n >= 4) { EXPECT_TRUE(tasks.error().where.offset.has_value()) << n; }
    }
    expect_refused(eval::read_multiple_choice, bytes + '\0', "", bytes.size(), "1 bytes follow");
}

TEST(EvalTaskFiles, WrongNumbersOfABinaryFileAreRefusedByPlace) {
    const auto changed = [&](size_t offset, uint32_t value) {
        std::string bytes = binary({first, second});
        std::memcpy(bytes.data() + offset, &value, 4);
        return bytes;
    };
    constexpr auto read = eval::read_multiple_choice;
    expect_refused(read, changed(0, 0), "", {}, "no tasks");
    expect_refused(read, changed(0, 0x00ffffff), "n_tasks", 0, "is 16777215");
    expect_refused(read, changed(8, 12), "offsets", 8, "byte 12");
    expect_refused(read, changed(12, 0), "question", 12, "empty");
    expect_refused(read, changed(12, 0xffffffff), "question", 16, "4294967295 bytes");
    expect_refused(read, changed(24, 101), "answers", 24, "are 101");
    expect_refused(read, changed(24, 0), "answers", 24, "all wrong");
    expect_refused(read, changed(28, 0), "answers", 28, "empty");
    expect_refused(read, changed(42, 2), "answers", 42, "label 2");
    expect_refused(read, changed(42, 0), "answers", 24, "all wrong");
    expect_refused(read, changed(50, 0xffffffff), "answers of which several are right", 50, "are 4294967295");
}

// --- What is worth having

TEST(EvalFrontier, NoOtherIsSmallerAndLosesNoMore) {
    using Places = std::vector<size_t>;
    const std::vector<eval::SizeAndLoss> models{{4, 0.1}, {8, 0}, {5, 0.2}, {2, 0.5}, {4, 0.3}, {2, 0.5}, {9, 0}};
    EXPECT_EQ(eval::frontier(models), (Places{3, 0, 1}));
    EXPECT_EQ(eval::frontier({}), Places());
    // By the definition, on many points.
    std::vector<eval::SizeAndLoss> many;
    for (size_t i = 0; i < 200; i++) { many.push_back({double(i * 7919 % 83), double(i * 104729 % 97)}); }
    Places expected;
    for (size_t i = 0; i < many.size(); i++) {
        bool is_beaten = false;
        for (size_t k = 0; k < many.size(); k++) {
            const bool is_as_good = many[k].size <= many[i].size && many[k].loss <= many[i].loss;
            const bool is_equal = many[k].size == many[i].size && many[k].loss == many[i].loss;
            is_beaten = is_beaten || (is_as_good && (!is_equal || k < i));
        }
        if (!is_beaten) { expected.push_back(i); }
    }
    Places found = eval::frontier(many);
    EXPECT_TRUE(
        std::is_sorted(found.begin(), found.end(), [&](size_t a, size_t b) { return many[a].size < many[b].size; }));
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, expected);
}

}  // namespace
