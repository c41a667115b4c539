#include "eval/task_files.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/bytes.h"

namespace wallaby::eval {
namespace {

using Json = nlohmann::json;

constexpr uint32_t max_choices = 100;  // llama-perplexity's

Error no_tasks(const std::string& file) { return Error{ErrorCode::format, "has no tasks", {file, "", {}}, ""}; }

// A text line by line.
class Lines {
  public:
    Lines(std::string_view text, const std::string& file) : text_(text), file_(file) {}

    bool done() const { return next_ >= text_.size(); }
    // The next one, without its end. There must be one.
    std::string_view take() {
        at_ = next_;
        const size_t end = std::min(text_.find('\n', at_), text_.size());
        next_ = end + 1;
        n_++;
        return text_.substr(at_, end - at_);
    }
    std::string place() const { return fmt::format("line {}", n_); }
    // About the line taken last; `in_line`: bytes from its beginning.
    Error error(std::string what, size_t in_line = 0, std::string remedy = "") const {
        return Error{ErrorCode::format, std::move(what), {file_, place(), at_ + in_line}, std::move(remedy)};
    }

  private:
    std::string_view text_;
    const std::string& file_;
    size_t at_ = 0, next_ = 0, n_ = 0;
};

Result<ChoiceTask> hellaswag_task(Lines& lines) {
    constexpr size_t n_endings = 4;
    ChoiceTask task;
    task.before = std::string(lines.take()) + " ";
    task.place = lines.place();
    if (task.before == " ") { return lines.error("is empty, but a task's context belongs there"); }
    if (lines.done()) { return lines.error("ends the file, but a task has six lines"); }
    const std::string_view right = lines.take();
    if (right.size() != 1 || right[0] < '0' || right[0] >= char('0' + n_endings)) {
        return lines.error(fmt::format("is '{}', but the number of the right ending belongs there: 0 to 3", right));
    }
    for (size_t i = 0; i < n_endings; i++) {
        if (lines.done()) { return lines.error("ends the file, but a task has six lines"); }
        const std::string_view ending = lines.take();
        if (ending.empty()) { return lines.error("is empty, but an ending belongs there"); }
        task.choices.push_back({std::string(ending), size_t(right[0] - '0') == i});
    }
    return task;
}

// The comma-separated values of a line; a value in quotes may have commas, and quotes doubled.
Result<std::vector<std::string>> values_of(const Lines& lines, std::string_view line) {
    std::vector<std::string> values(1);
    bool is_quoted = false;
    for (size_t i = 0; i < line.size(); i++) {
        const bool is_quote = line[i] == '"';
        if (is_quoted && is_quote && i + 1 < line.size() && line[i + 1] == '"') {
            values.back() += line[++i];
        } else if (is_quote && (is_quoted || values.back().empty())) {
            is_quoted = !is_quoted;
        } else if (line[i] == ',' && !is_quoted) {
            values.emplace_back();
        } else {
            values.back() += line[i];
        }
    }
    if (is_quoted) { return lines.error("has a quote without its end"); }
    return values;
}

Result<ChoiceTask> winogrande_task(Lines& lines) {
    std::string_view line = lines.take();
    if (line.ends_with('\r')) { line.remove_suffix(1); }
    WALLABY_TRY(const auto values, values_of(lines, line));
    if (values.size() != 5) {
        return lines.error(fmt::format("has {} values, not 5", values.size()), 0,
                           "A task is NUMBER,SENTENCE WITH _,CHOICE,CHOICE,1 or 2");
    }
    const std::string& sentence = values[1];
    const size_t gap = sentence.find('_');
    if (gap == std::string::npos) { return lines.error("has no _ in its sentence"); }
    if (values[4] != "1" && values[4] != "2") {
        return lines.error(fmt::format("has the answer '{}', which is neither 1 nor 2", values[4]));
    }
    ChoiceTask task{sentence.substr(0, gap), sentence.substr(gap + 1), {}, lines.place()};
    for (size_t i = 0; i < 2; i++) {
        if (values[2 + i].empty()) { return lines.error("has an empty choice"); }
        task.choices.push_back({values[2 + i], values[4] == (i == 0 ? "1" : "2")});
    }
    return task;
}

Result<ChoiceTask> json_task(Lines& lines) {
    const std::string_view line = lines.take();
    Json json;
    try {
        json = Json::parse(line);
    } catch (const Json::parse_error& error) {
        return lines.error("is not JSON", error.byte == 0 ? 0 : error.byte - 1);
    } catch (const Json::exception&) {  // a number beyond any double
        return lines.error("is not JSON that can be read");
    }
    constexpr std::string_view form = R"(A line is {"question": "…", "choices": ["…", "…"], "answer": 0})";
    const auto refuse = [&](std::string what) { return lines.error(std::move(what), 0, std::string(form)); };
    if (!json.is_object()) { return refuse("holds no JSON object"); }
    const Json question = json.value("question", Json()), choices = json.value("choices", Json()),
               answer = json.value("answer", Json());
    if (!question.is_string() || question.get_ref<const std::string&>().empty()) {
        return refuse("has no text 'question'");
    }
    if (!choices.is_array() || choices.empty() || choices.size() > max_choices) {
        return refuse(fmt::format("has no list 'choices' of 1 to {} texts", max_choices));
    }
    if (!answer.is_number_unsigned() || answer.get<uint64_t>() >= choices.size()) {
        return refuse(fmt::format("has no 'answer' from 0 to {}", choices.size() - 1));
    }
    ChoiceTask task{question.get<std::string>() + " ", "", {}, lines.place()};
    for (const Json& choice : choices) {
        if (!choice.is_string() || choice.get_ref<const std::string&>().empty()) {
            return refuse(fmt::format("has a choice {} that is no text", task.choices.size()));
        }
        task.choices.push_back({choice.get<std::string>(), task.choices.size() == answer.get<uint64_t>()});
    }
    return task;
}

Result<std::vector<ChoiceTask>> read_lines(std::string_view text, const std::string& file,
                                           Result<ChoiceTask> (*one)(Lines& lines)) {
    Lines lines(text, file);
    std::vector<ChoiceTask> tasks;
    while (!lines.done()) {
        WALLABY_TRY(ChoiceTask task, one(lines));
        tasks.push_back(std::move(task));
    }
    if (tasks.empty()) { return no_tasks(file); }
    return tasks;
}

// Numbers and strings of a binary file, in order.
class Binary {
  public:
    Binary(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

    size_t at() const { return at_; }
    size_t n_left() const { return bytes_.size() - at_; }
    Error error(std::string field, uint64_t offset, std::string what) const {
        return Error{ErrorCode::format, std::move(what), {file_, std::move(field), offset}, ""};
    }
    Result<uint32_t> number(const std::string& field) {
        WALLABY_TRY(const std::string_view bytes, take(field, 4));
        return base::load_le<uint32_t>(reinterpret_cast<const uint8_t*>(bytes.data()));
    }
    Result<std::string_view> text(const std::string& field) {
        WALLABY_TRY(const uint32_t n, number(field));
        return take(field, n);
    }

  private:
    Result<std::string_view> take(const std::string& field, size_t n) {
        if (n > n_left()) {
            return error(field, at_, fmt::format("has {} bytes, but the file ends after {}", n, n_left()));
        }
        at_ += n;
        return bytes_.substr(at_ - n, n);
    }

    std::string_view bytes_;
    const std::string& file_;
    size_t at_ = 0;
};

Result<std::vector<Choice>> read_answers(Binary& in, const std::string& field) {
    const size_t begin = in.at();
    WALLABY_TRY(const uint32_t n, in.number(field));
    if (n > max_choices) { return in.error(field, begin, fmt::format("are {}, the limit is {}", n, max_choices)); }
    std::vector<Choice> answers;
    for (uint32_t i = 0; i < n; i++) {
        const size_t at = in.at();
        WALLABY_TRY(const std::string_view text, in.text(field));
        if (text.empty()) { return in.error(field, at, fmt::format("number {} is empty", i)); }
        answers.push_back({std::string(text), false});
    }
    for (Choice& answer : answers) {
        const size_t at = in.at();
        WALLABY_TRY(const uint32_t label, in.number(field));
        if (label > 1) { return in.error(field, at, fmt::format("have the label {}, not 0 or 1", int32_t(label))); }
        answer.is_right = label == 1;
    }
    return answers;
}

Result<ChoiceTask> binary_task(Binary& in) {
    ChoiceTask task;
    task.place = fmt::format("task at byte {}", in.at());
    const size_t begin = in.at();
    WALLABY_TRY(const std::string_view question, in.text("question"));
    if (question.empty()) { return in.error("question", begin, "is empty"); }
    task.before = std::string(question) + " ";
    const size_t answers = in.at();
    WALLABY_TRY(task.choices, read_answers(in, "answers"));
    if (std::none_of(task.choices.begin(), task.choices.end(), [](const Choice& c) { return c.is_right; })) {
        return in.error("answers", answers, "are all wrong");
    }
    WALLABY_TRY([[maybe_unused]] const auto several, read_answers(in, "answers of which several are right"));
    return task;
}

Result<std::vector<ChoiceTask>> read_binary(std::string_view bytes, const std::string& file) {
    Binary in(bytes, file);
    WALLABY_TRY(const uint32_t n_tasks, in.number("n_tasks"));
    if (n_tasks == 0) { return no_tasks(file); }
    if (n_tasks > in.n_left() / 4) {
        return in.error("n_tasks", 0, fmt::format("is {}, but the file has {} bytes", n_tasks, bytes.size()));
    }
    std::vector<uint32_t> offsets(n_tasks);
    for (uint32_t& offset : offsets) { WALLABY_TRY(offset, in.number("offsets")); }
    std::vector<ChoiceTask> tasks;
    for (size_t i = 0; i < n_tasks; i++) {
        if (offsets[i] != in.at()) {
            return in.error("offsets", 4 + 4 * i,
                            fmt::format("task {} is said to begin at byte {}, not {}", i, offsets[i], in.at()));
        }
        WALLABY_TRY(ChoiceTask task, binary_task(in));
        tasks.push_back(std::move(task));
    }
    if (in.n_left() != 0) { return in.error("", in.at(), fmt::format("{} bytes follow the last task", in.n_left())); }
    return tasks;
}

}  // namespace

Result<std::vector<ChoiceTask>> read_hellaswag(std::string_view text, const std::string& file) {
    return read_lines(text, file, hellaswag_task);
}

Result<std::vector<ChoiceTask>> read_winogrande(std::string_view text, const std::string& file) {
    return read_lines(text, file, winogrande_task);
}

Result<std::vector<ChoiceTask>> read_multiple_choice(std::string_view text, const std::string& file) {
    if (text.size() >= 4 && text[3] == '\0') { return read_binary(text, file); }
    return read_lines(text, file, json_task);
}

}  // namespace wallaby::eval
