#include "convert/json_file.h"

#include <nlohmann/json.hpp>
#include <span>

#include "base/bytes.h"

namespace wallaby::convert {
namespace {

constexpr size_t max_depth = 64;                // real ones reach 9
constexpr size_t max_values = size_t(1) << 19;  // outside the lists; real ones stay below 100,000

enum class List : uint8_t { none, vocabulary, merges };

// Builds the document from the parser's events. A handler that returns false ends the parsing.
class Reader final : public nlohmann::json_sax<Json> {
  public:
    Reader(const std::string& file, const ListPlaces& places, LongLists* lists)
        : file_(file), places_(places), lists_(lists) {}

    Json& document() { return document_; }
    std::optional<Error>& problem() { return problem_; }

    bool null() override { return value(Json(nullptr)); }
    bool boolean(bool v) override { return value(Json(v)); }
    bool number_integer(number_integer_t v) override { return value(Json(v)); }
    bool number_unsigned(number_unsigned_t v) override { return value(Json(v)); }
    bool number_float(number_float_t v, const string_t&) override { return value(Json(v)); }
    bool string(string_t& v) override { return value(Json(std::move(v))); }
    bool binary(binary_t&) override { return refuse("holds binary data"); }  // JSON has none
    bool start_object(std::size_t) override { return open(Json::object()); }
    bool start_array(std::size_t) override { return open(Json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override {
        keys_.back() = std::move(name);
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        problem_ = Error{ErrorCode::format, "is not JSON", {file_, "", position == 0 ? 0 : position - 1}, ""};
        return false;
    }

  private:
    bool refuse(std::string what, std::string field = "") {
        problem_ = Error{ErrorCode::format, std::move(what), {file_, std::move(field), {}}, ""};
        return false;
    }
    bool refuse_entry(std::string_view what) {
        const bool merges = list_ == List::merges;
        return refuse(fmt::format("{} {} {}", merges ? "merge" : "token",
                                  merges ? lists_->merges.size() : lists_->vocabulary.size(), what),
                      fmt::format("field '{}'", fmt::join(merges ? places_.merges : places_.vocabulary, ".")));
    }

    bool leads_to(const std::vector<std::string_view>& place) const {
        return std::equal(keys_.begin(), keys_.end(), place.begin(), place.end());
    }
    List list_here() const {
        if (lists_ == nullptr) { return List::none; }
        if (leads_to(places_.vocabulary)) { return List::vocabulary; }
        return !places_.merges.empty() && leads_to(places_.merges) ? List::merges : List::none;
    }

    bool open(Json empty) {
        if (keys_.size() == max_depth) { return refuse(fmt::format("nests deeper than {} levels", max_depth)); }
        const bool is_array = empty.is_array();
        if (list_ != List::none) {
            // A pair: of an array, never of an object's.
            if (!is_array || !list_is_array_ || keys_.size() != list_depth_) {
                return refuse_entry("is not of a known form");
            }
            pair_.clear();
            keys_.emplace_back();
            return true;
        }
        list_ = list_here();
        if (list_ == List::none) {
            Json* const place = put(std::move(empty));
            if (place == nullptr) { return false; }
            open_.push_back(place);
        } else {
            if (list_ == List::merges && !is_array) { return refuse_entry("does not stand in an array"); }
            list_is_array_ = is_array;
            if (list_ == List::vocabulary) { lists_->has_scores = is_array; }
        }
        keys_.emplace_back();
        if (list_ != List::none) { list_depth_ = keys_.size(); }
        return true;
    }
    bool close() {
        keys_.pop_back();
        if (list_ == List::none) {
            open_.pop_back();
            return true;
        }
        if (keys_.size() >= list_depth_) { return end_pair(); }
        list_ = List::none;
        return true;
    }

    bool value(Json v) {
        if (list_ == List::none) { return put(std::move(v)) != nullptr; }
        if (keys_.size() > list_depth_) {
            if (pair_.size() == 2) { return refuse_entry("has more than two parts"); }
            pair_.push_back(std::move(v));
            return true;
        }
        if (list_ == List::merges) {
            if (!v.is_string()) { return refuse_entry("is not a string"); }
            return add_merge(std::move(v.get_ref<std::string&>()));
        }
        if (list_is_array_) { return refuse_entry("is not a pair of text and score"); }
        if (!v.is_number_unsigned()) { return refuse_entry(fmt::format("has the id {:.40}", v.dump())); }
        return add_token({std::move(keys_.back()), v.get<uint64_t>(), 0});
    }
    bool end_pair() {
        if (pair_.size() != 2) { return refuse_entry("is not a pair"); }
        Json& first = pair_[0];
        Json& second = pair_[1];
        if (list_ == List::vocabulary) {
            if (!first.is_string() || !second.is_number()) { return refuse_entry("is not a pair of text and score"); }
            return add_token(
                {std::move(first.get_ref<std::string&>()), lists_->vocabulary.size(), second.get<double>()});
        }
        if (!first.is_string() || !second.is_string()) { return refuse_entry("is not a pair of strings"); }
        const auto& left = first.get_ref<const std::string&>();
        const auto& right = second.get_ref<const std::string&>();
        return add_merge(fmt::format("{} {}", left, right));
    }
    bool add_token(ListedToken token) {
        if (lists_->vocabulary.size() == max_list_entries) { return refuse_entry("is beyond what is read"); }
        lists_->vocabulary.push_back(std::move(token));
        return true;
    }
    bool add_merge(std::string merge) {
        if (lists_->merges.size() == max_list_entries) { return refuse_entry("is beyond what is read"); }
        const size_t space = merge.find(' ');
        if (space == std::string::npos || space == 0 || space + 1 == merge.size() || space != merge.rfind(' ')) {
            return refuse_entry("is not two pieces without spaces");
        }
        lists_->merges.push_back(std::move(merge));
        return true;
    }

    Json* put(Json v) {
        if (++n_values_ > max_values) {
            refuse(fmt::format("holds more than {} values", max_values));
            return nullptr;
        }
        if (open_.empty()) {
            document_ = std::move(v);
            return &document_;
        }
        Json& parent = *open_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(v));
            return &parent.back();
        }
        Json& place = parent[keys_.back()];
        place = std::move(v);
        return &place;
    }

    const std::string& file_;
    const ListPlaces& places_;
    LongLists* lists_;
    Json document_;
    std::optional<Error> problem_;
    std::vector<Json*> open_;        // the arrays and objects around the next value; none of them moves meanwhile
    std::vector<std::string> keys_;  // the key at each level; "" in arrays
    size_t n_values_ = 0;
    List list_ = List::none;
    bool list_is_array_ = false;
    size_t list_depth_ = 0;
    std::vector<Json> pair_;
};

Error wrong_type(const Json& value, std::string_view wanted, const std::string& file, std::string_view path,
                 std::string_view name) {
    return {ErrorCode::format,
            fmt::format("is of type {}, but {} is required", value.type_name(), wanted),
            {file, fmt::format("field '{}{}'", path, name), {}},
            ""};
}

}  // namespace

Result<std::string> read_text_file(const std::string& path, uint64_t max_bytes) {
    WALLABY_TRY(const auto file, base::open_file(path));
    if (file->size() > max_bytes) {
        return Error{ErrorCode::format,
                     fmt::format("has {} bytes, more than the {} that are read", file->size(), max_bytes),
                     {path, "", {}},
                     ""};
    }
    std::string text(file->size(), '\0');
    WALLABY_OK(file->read(0, std::span(reinterpret_cast<uint8_t*>(text.data()), text.size())));
    return text;
}

Result<Json> parse_json(std::string_view text, const std::string& file, const ListPlaces& places, LongLists* lists) {
    Reader reader(file, places, lists);
    if (!Json::sax_parse(text, &reader)) { return *std::move(reader.problem()); }
    const bool is_list = lists != nullptr && places.vocabulary.empty();
    if (!reader.document().is_object() && !(is_list && !lists->has_scores && reader.document().is_null())) {
        return Error{ErrorCode::format, "does not hold a JSON object", {file, "", {}}, ""};
    }
    return std::move(reader.document());
}

const Json* find_field(const Json& object, std::string_view name) {
    const auto at = object.find(name);
    return at == object.end() || at->is_null() ? nullptr : &*at;
}

Result<bool> boolean_field(const Json& object, std::string_view name, bool otherwise, const std::string& file,
                           std::string_view path) {
    const Json* value = find_field(object, name);
    if (value == nullptr) { return otherwise; }
    if (!value->is_boolean()) { return wrong_type(*value, "true or false", file, path, name); }
    return value->get<bool>();
}

Result<std::string> string_field(const Json& object, std::string_view name, std::string_view otherwise,
                                 const std::string& file, std::string_view path) {
    const Json* value = find_field(object, name);
    if (value == nullptr) { return std::string(otherwise); }
    if (!value->is_string()) { return wrong_type(*value, "a string", file, path, name); }
    return value->get<std::string>();
}

Result<std::vector<const Json*>> steps_of(const Json* field, std::string_view list, const std::string& file,
                                          std::string_view path) {
    std::vector<const Json*> steps;
    if (field == nullptr) { return steps; }
    if (const Json* const many = find_field(*field, list); many != nullptr && many->is_array()) {
        // A Sequence within a Sequence is known of no file.
        for (const Json& step : *many) { steps.push_back(&step); }
    } else {
        steps.push_back(field);
    }
    for (const Json* step : steps) {
        if (!step->is_object()) {
            return Error{ErrorCode::format,
                         fmt::format("holds a JSON {} where an object is required", step->type_name()),
                         {file, fmt::format("field '{}'", path), {}},
                         ""};
        }
    }
    return steps;
}

}  // namespace wallaby::convert
