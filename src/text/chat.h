// Conversations as the text a model was trained on. A model file brings a Jinja template; this build knows the texts of
// some by length and hash, and formats plain conversations (system, user, assistant; no tools) for those exactly as the
// template does with the defaults of its variables. A template that is not known is refused, never guessed at.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wallaby::text {

struct ChatMessage {
    std::string role;  // "system", "user" or "assistant"
    std::string content;
};

// The texts of the model's BOS and EOS tokens; empty where it has none.
struct ChatTokens {
    std::string_view bos;
    std::string_view eos;
};

// A family's format. The pieces are patterns: {content}, {bos} and {eos} stand for those texts, {system} for the system
// message where it is no turn of its own, and what stands between {trim} and {/trim} loses the white space around it.
struct ChatFormat {
    static constexpr std::string_view refused = "{refused}";  // the template raises an exception for such a message

    std::string_view opening;      // of every conversation
    std::string_view no_system;    // instead of a system message at the beginning
    std::string_view lead_system;  // a system message at the beginning
    std::string_view system;       // a system message anywhere else
    std::string_view user;
    std::string_view user_with_system;  // the user message that takes in the system message (see fold)
    std::string_view assistant;
    std::string_view between;        // messages
    std::string_view generation;     // at the end, for the model to go on
    std::string_view no_generation;  // at the end otherwise

    // After a system message at the beginning, users speak on even places and only there, or the template refuses.
    bool alternates = false;
    bool generates_after_assistant = true;  // no: `generation` does not follow an assistant message
    bool default_unless_anywhere = false;   // `no_system` is for conversations without any system message

    enum class Fold : uint8_t { none, first_user, last_user } fold = Fold::none;
    // System messages from all places, for {system} in `opening`.
    enum class Gather : uint8_t { none, last, all } gather = Gather::none;
    // Messages without content: rendered like others; left out if they are the leading system message, any system
    // message, any message at all; or taken for a missing leading system message.
    enum class Empty : uint8_t { render, skip_lead, skip_system, skip, no_lead } empty = Empty::render;
    // Reasoning in assistant messages, up to "</think>": kept; dropped; dropped but from the last assistant message; or
    // shown in turns after the last user message only, where the last message always has a block of it (Qwen3).
    enum class Thinking : uint8_t { keep, drop, drop_before_last, current_turn } thinking = Thinking::keep;
};

// The format of a chat template, found by its exact text (a newline at its end aside, which Jinja drops). Not known:
// an error that says so and names --raw.
Result<ChatFormat> find_chat_format(std::string_view template_text);

// A known template, for lists and tests.
struct KnownTemplate {
    std::string_view name;  // a model that has it
    uint32_t n_bytes;       // of its text without a newline at the end
    uint64_t hash;          // template_hash() of that text
    const ChatFormat* format;
};
std::span<const KnownTemplate> known_templates();
uint64_t template_hash(std::string_view text);  // FNV-1a, 64 bits

// The text of a conversation. Where it begins with tokens.bos, encode it without adding special tokens. Errors: no
// messages, another role than the three, and conversations for which the template raises an exception.
Result<std::string> render(const ChatFormat& format, std::span<const ChatMessage> messages, const ChatTokens& tokens,
                           bool add_generation_prompt);

}  // namespace wallaby::text
