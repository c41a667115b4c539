// JSON files of a checkpoint, read with bounded memory: documents of any content, whose longest lists are taken out
// while they are read. A tokenizer.json of 30 MB is two lists and little else.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wallaby::convert {

using Json = nlohmann::json;

inline constexpr uint64_t max_json_bytes = uint64_t(1) << 26;  // real ones stay below 40 MB

// An entry of a vocabulary. It is an object of ids by text, or (Unigram) an array of pairs of text and score, whose ids
// are their places.
struct ListedToken {
    std::string text;
    uint64_t id = 0;
    double score = 0;
};

// Where in a document the lists stand: the keys that lead there; none: the document itself.
struct ListPlaces {
    std::vector<std::string_view> vocabulary;
    std::vector<std::string_view> merges;  // an array of "a b", or of ["a", "b"]
};

struct LongLists {
    std::vector<ListedToken> vocabulary;
    bool has_scores = false;          // the vocabulary was an array
    std::vector<std::string> merges;  // "a b"
};
inline constexpr size_t max_list_entries = size_t(1) << 21;  // of each list; real ones stay below 600,000

// All of a file, of at most `max_bytes`.
Result<std::string> read_text_file(const std::string& path, uint64_t max_bytes);

// The document without its lists; with them in `lists`, where that is not nullptr. Errors name `file`: not JSON (with
// the place), not an object, nested too deep, over the budgets of values and list entries; entries of another form.
Result<Json> parse_json(std::string_view text, const std::string& file, const ListPlaces& places = {},
                        LongLists* lists = nullptr);

// Fields of a document, for errors that name them. A field that is null counts as absent.
const Json* find_field(const Json& object, std::string_view name);
// An absent one has the value `otherwise`; one of another type is an error.
Result<bool> boolean_field(const Json& object, std::string_view name, bool otherwise, const std::string& file,
                           std::string_view path);
Result<std::string> string_field(const Json& object, std::string_view name, std::string_view otherwise,
                                 const std::string& file, std::string_view path);
// The steps of a field that holds one (an object) or a Sequence of them under `list`; an absent field (nullptr) has
// none.
Result<std::vector<const Json*>> steps_of(const Json* field, std::string_view list, const std::string& file,
                                          std::string_view path);

}  // namespace wallaby::convert
