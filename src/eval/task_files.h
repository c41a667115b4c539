// Files of multiple-choice tasks. Formats of llama-perplexity (tools/perplexity/perplexity.cpp of llama.cpp):
//
//   HellaSwag        six lines a task: the context, the number (0 to 3) of the right ending, four endings. A context is
//                    continued by a space and an ending.
//   Winogrande       lines of comma-separated values: number, sentence with one "_", two choices that may stand there,
//                    1 or 2 for the right one. What stands after the "_" is predicted, after each choice.
//   multiple choice  binary, little-endian: u32 n_tasks; u32 offset [n_tasks] of each task in the file; the tasks, end
//   to
//                    end. A task is a string (the question) and two lists of answers, of which the first is used: the
//                    second may have several right ones. A string is u32 length and bytes; a list is u32 n (at most
//                    100), n strings, i32 label [n]: 1 for right answers, 0 for others. A question is continued by a
//                    space and an answer.
//
// And one of our own, lines of JSON: {"question": "Water is", "choices": ["wet", "dry"], "answer": 0}. Other keys are
// left alone. The question is continued by a space and a choice.
//
// Every error has the file's name, the task's line or the offset in bytes, and the field.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/choices.h"

namespace wallaby::eval {

// text: the file's content, `file` its name for messages. At least one task.
Result<std::vector<ChoiceTask>> read_hellaswag(std::string_view text, const std::string& file);
Result<std::vector<ChoiceTask>> read_winogrande(std::string_view text, const std::string& file);
// Binary where the fourth byte is 0, as it is in every such file with fewer than 2^24 tasks; lines of JSON otherwise.
Result<std::vector<ChoiceTask>> read_multiple_choice(std::string_view text, const std::string& file);

}  // namespace wallaby::eval
