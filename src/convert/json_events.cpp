#include "convert/json_events.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace wallaby::convert {
namespace {

using Json = nlohmann::json;
using Kind = JsonEvent::Kind;

class Sax final : public nlohmann::json_sax<Json> {
  public:
    Sax(const std::string& file, uint64_t offset, const TakeEvent& take) : file_(file), offset_(offset), take_(take) {}

    const std::optional<Error>& problem() const { return problem_; }

    bool null() override { return give(Kind::null); }
    bool boolean(bool) override { return give(Kind::boolean); }
    bool number_integer(number_integer_t n) override { return give(Kind::number, 0, double(n)); }  // a negative one
    bool number_unsigned(number_unsigned_t n) override { return give(Kind::natural, n, double(n)); }
    bool number_float(number_float_t n, const string_t&) override { return give(Kind::number, 0, n); }
    bool string(string_t& text) override { return give(Kind::text, 0, 0, text); }
    bool binary(binary_t&) override { return give(Kind::null); }  // no text has one
    bool start_object(size_t) override {
        if (!open(Kind::object)) { return false; }
        path_.emplace_back();
        return true;
    }
    bool key(string_t& text) override {
        path_.back() = std::move(text);
        return true;
    }
    bool end_object() override {
        path_.pop_back();
        depth_--;
        return give(Kind::end_object);
    }
    bool start_array(size_t) override { return open(Kind::array); }
    bool end_array() override {
        depth_--;
        return give(Kind::end_array);
    }
    bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
        refuse("is not JSON that can be read", offset_ + (position == 0 ? 0 : position - 1));
        return false;
    }

  private:
    void refuse(std::string what, std::optional<uint64_t> at) {
        if (!problem_) { problem_ = Error{ErrorCode::format, std::move(what), {file_, "", at}, ""}; }
    }
    bool open(Kind kind) {
        if (++depth_ > max_json_depth) {
            refuse(fmt::format("nests deeper than {} levels", max_json_depth), {});
            return false;
        }
        return give(kind);
    }
    bool give(Kind kind, uint64_t natural = 0, double value = 0, std::string_view text = {}) {
        if (auto taken = take_({kind, path_, natural, value, text}); !taken.ok()) {
            problem_ = std::move(taken).error();
        }
        return !problem_.has_value();
    }

    const std::string& file_;
    uint64_t offset_;
    const TakeEvent& take_;
    std::vector<std::string> path_;
    uint32_t depth_ = 0;
    std::optional<Error> problem_;
};

}  // namespace

Result<void> read_json(std::string_view text, const std::string& file, uint64_t offset, const TakeEvent& take) {
    Sax sax(file, offset, take);
    (void)Json::sax_parse(text, &sax);
    return sax.problem() ? Result<void>(*sax.problem()) : Result<void>();
}

}  // namespace wallaby::convert
