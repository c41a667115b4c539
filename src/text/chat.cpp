#include "text/chat.h"

#include <fmt/format.h>

#include <optional>

#include "base/hash.h"
#include "text/trim.h"

namespace wallaby::text {

namespace {

constexpr std::string_view think_begin = "<think>";
constexpr std::string_view think_end = "</think>";

struct Values {
    std::string_view content;
    std::string_view system;
    ChatTokens tokens;
};

void expand(std::string_view pattern, const Values& values, std::string& out) {
    size_t trim_from = 0;
    while (!pattern.empty()) {
        const size_t open = std::min(pattern.find('{'), pattern.size());
        out.append(pattern.substr(0, open));
        pattern.remove_prefix(open);
        const size_t close = pattern.find('}');
        if (close == std::string_view::npos) { break; }
        const std::string_view name = pattern.substr(1, close - 1);
        pattern.remove_prefix(close + 1);
        if (name == "content") {
            out.append(values.content);
        } else if (name == "system") {
            out.append(values.system);
        } else if (name == "bos") {
            out.append(values.tokens.bos);
        } else if (name == "eos") {
            out.append(values.tokens.eos);
        } else if (name == "trim") {
            trim_from = out.size();
        } else if (name == "/trim") {
            const std::string trimmed(trim(std::string_view(out).substr(trim_from)));
            out.replace(trim_from, out.size() - trim_from, trimmed);
        }
    }
}

std::string_view trim_newlines(std::string_view text, bool left = true, bool right = true) {
    while (left && text.starts_with('\n')) { text.remove_prefix(1); }
    while (right && text.ends_with('\n')) { text.remove_suffix(1); }
    return text;
}

std::string_view after_last(std::string_view text, std::string_view mark) {
    const size_t at = text.rfind(mark);
    return at == std::string_view::npos ? text : text.substr(at + mark.size());
}

// One conversation in one format.
class Conversation {
  public:
    Conversation(const ChatFormat& format, std::span<const ChatMessage> messages, const ChatTokens& tokens)
        : format_(format), messages_(messages), tokens_(tokens) {
        for (size_t i = 0; i < messages.size(); i++) {
            const ChatMessage& message = messages[i];
            if (message.role == "assistant") { last_assistant_ = i; }
            if (is_query(message)) { last_query_ = i; }
            if (message.role == "system") { gather(message.content); }
        }
        has_lead_ = messages[0].role == "system" &&
                    !(format.empty == ChatFormat::Empty::no_lead && messages[0].content.empty());
        n_lead_ = messages[0].role == "system" ? 1 : 0;
    }

    Result<std::string> render(bool add_generation_prompt) {
        expand(format_.opening, {{}, gathered_, tokens_}, out_);
        if (format_.default_unless_anywhere ? !any_system_ : !has_lead_) {
            expand(format_.no_system, {{}, {}, tokens_}, out_);
        }
        if (has_lead_) { WALLABY_OK(append_lead()); }
        for (size_t i = n_lead_; i < messages_.size(); i++) { WALLABY_OK(append_message(i)); }
        if (!add_generation_prompt) {
            expand(format_.no_generation, {{}, {}, tokens_}, out_);
        } else if (format_.generates_after_assistant || messages_.back().role != "assistant") {
            expand(format_.generation, {{}, {}, tokens_}, out_);
        }
        return std::move(out_);
    }

  private:
    // A user's own words: not what a tool has answered.
    static bool is_query(const ChatMessage& message) {
        return message.role == "user" &&
               !(message.content.starts_with("<tool_response>") && message.content.ends_with("</tool_response>"));
    }

    void gather(std::string_view content) {
        if (format_.gather == ChatFormat::Gather::last) { gathered_.clear(); }
        if (format_.gather == ChatFormat::Gather::all && any_system_) { gathered_ += "\n\n"; }
        if (format_.gather != ChatFormat::Gather::none) { gathered_ += content; }
        any_system_ = true;
    }

    Error refuse(size_t i, std::string what) const {
        return {ErrorCode::argument, std::move(what), {.file = "", .field = fmt::format("messages[{}]", i)}, ""};
    }

    Result<void> append_lead() {
        const std::string_view content = messages_[0].content;
        if (format_.lead_system == ChatFormat::refused) {
            return refuse(0, "the model's chat template takes no system message");
        }
        if (content.empty() && format_.empty != ChatFormat::Empty::render) { return {}; }
        expand(format_.lead_system, {content, {}, tokens_}, out_);
        return {};
    }

    Result<void> append_message(size_t i) {
        const ChatMessage& message = messages_[i];
        const size_t place = i - n_lead_;
        if (format_.alternates && (message.role == "user") != (place % 2 == 0)) {
            return refuse(i, "the model's chat template wants user and assistant messages to alternate");
        }
        const bool is_system = message.role == "system";
        if (message.content.empty() && (format_.empty == ChatFormat::Empty::skip ||
                                        (is_system && format_.empty == ChatFormat::Empty::skip_system))) {
            return {};
        }
        if (i > 0) { out_ += format_.between; }
        if (is_system) {
            if (format_.system == ChatFormat::refused) {
                return refuse(i, "the model's chat template takes a system message only at the beginning");
            }
            expand(format_.system, {message.content, {}, tokens_}, out_);
        } else if (message.role == "assistant") {
            expand(format_.assistant, {answer(i), {}, tokens_}, out_);
        } else {
            const bool folds =
                has_lead_ && ((format_.fold == ChatFormat::Fold::first_user && place == 0) ||
                              (format_.fold == ChatFormat::Fold::last_user && i + 1 == messages_.size()));
            const std::string_view pattern = folds ? format_.user_with_system : format_.user;
            expand(pattern, {message.content, messages_[0].content, tokens_}, out_);
        }
        return {};
    }

    // What is shown of an assistant message.
    std::string answer(size_t i) const {
        const std::string_view content = messages_[i].content;
        const size_t end = content.find(think_end);
        switch (format_.thinking) {
            case ChatFormat::Thinking::keep: break;
            case ChatFormat::Thinking::drop: return std::string(after_last(content, think_end));
            case ChatFormat::Thinking::drop_before_last:
                if (i == last_assistant_ || end == std::string_view::npos) { break; }
                return std::string(trim(after_last(content, think_end)));
            case ChatFormat::Thinking::current_turn: {
                std::string_view thought;
                std::string_view shown = content;
                if (end != std::string_view::npos) {
                    shown = trim_newlines(after_last(content, think_end), true, false);
                    thought =
                        trim_newlines(after_last(trim_newlines(content.substr(0, end), false, true), think_begin));
                }
                const bool is_last = i + 1 == messages_.size();
                const bool is_current = last_query_ ? i > *last_query_ : false;
                if (!is_current || (!is_last && thought.empty())) { return std::string(shown); }
                return fmt::format("{}\n{}\n{}\n\n{}", think_begin, thought, think_end,
                                   trim_newlines(shown, true, false));
            }
        }
        return std::string(content);
    }

    const ChatFormat& format_;
    std::span<const ChatMessage> messages_;
    const ChatTokens& tokens_;
    bool has_lead_ = false;
    size_t n_lead_ = 0;  // messages that are the leading system message: 0 or 1
    bool any_system_ = false;
    std::string gathered_;
    size_t last_assistant_ = 0;
    std::optional<size_t> last_query_;
    std::string out_;
};

}  // namespace

uint64_t template_hash(std::string_view text) { return base::fnv1a(text); }

Result<ChatFormat> find_chat_format(std::string_view template_text) {
    if (template_text.ends_with('\n')) { template_text.remove_suffix(1); }
    const uint64_t hash = template_hash(template_text);
    for (const KnownTemplate& known : known_templates()) {
        if (known.n_bytes == template_text.size() && known.hash == hash) { return *known.format; }
    }
    return Error{ErrorCode::unsupported,
                 fmt::format("this build does not know the model's chat template ({} bytes, {:016x})",
                             template_text.size(), hash),
                 {.file = "", .field = "key 'tokenizer.chat_template'"},
                 "Give the whole prompt as text with --raw."};
}

Result<std::string> render(const ChatFormat& format, std::span<const ChatMessage> messages, const ChatTokens& tokens,
                           bool add_generation_prompt) {
    if (messages.empty()) { return Error{ErrorCode::argument, "a conversation needs a message", {"", "messages"}, ""}; }
    for (size_t i = 0; i < messages.size(); i++) {
        const std::string_view role = messages[i].role;
        if (role != "system" && role != "user" && role != "assistant") {
            return Error{ErrorCode::argument,
                         fmt::format("the role '{}' is not one of system, user and assistant", role),
                         {.file = "", .field = fmt::format("messages[{}]", i)},
                         ""};
        }
    }
    return Conversation(format, messages, tokens).render(add_generation_prompt);
}

}  // namespace wallaby::text
