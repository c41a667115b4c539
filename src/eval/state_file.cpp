#include "eval/state_file.h"

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/hash.h"
#include "base/system.h"

namespace wallaby::eval {
namespace {

constexpr std::string_view magic = "WLBSTATE";
constexpr uint32_t version = 1;
constexpr uint64_t header_bytes = 32;
constexpr uint64_t max_bytes = uint64_t(1) << 30;  // 8 bytes a scored token: a text of 100 million tokens

Error malformed(const std::string& path, std::string field, std::optional<uint64_t> offset, std::string what) {
    return Error{ErrorCode::format,
                 std::move(what),
                 {path, std::move(field), offset},
                 "Remove it to begin anew, or name another file"};
}

std::string text_of(const Identity& identity) {
    std::string text;
    for (const auto& [name, value] : identity) { text += fmt::format("{}\t{}\n", name, value); }
    return text;
}

// The next line of `text`, taken off it, as name and value.
std::pair<std::string_view, std::string_view> take_line(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t tab = std::min(line.find('\t'), line.size());
    return {line.substr(0, tab), line.substr(std::min(tab + 1, line.size()))};
}

Result<void> check_identity(const std::string& path, std::string_view theirs, std::string_view ours) {
    while (!theirs.empty() || !ours.empty()) {
        const auto [name, value] = take_line(ours);
        const auto [their_name, their_value] = take_line(theirs);
        if (name == their_name && value == their_value) { continue; }
        const std::string found =
            name == their_name ? fmt::format("is {} in it", their_value) : std::string("is not in it");
        return Error{ErrorCode::model,
                     fmt::format("{}, but {} here: it is the state of another evaluation", found, value),
                     {path, std::string(name), {}},
                     "Name another file, or remove it to begin anew"};
    }
    return {};
}

std::string_view chars(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view chars(const auto& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])};
}

}  // namespace

void Archive::operator()(uint64_t& n) {
    if (!is_reading_) {
        words_.push_back(n);
    } else if (at_ == words_.size()) {
        is_bad_ = true;
    } else {
        n = words_[at_++];
    }
}

void Archive::operator()(double& x) {
    auto word = std::bit_cast<uint64_t>(x);
    (*this)(word);
    x = std::bit_cast<double>(word);
    is_bad_ = is_bad_ || !std::isfinite(x);
}

void Archive::operator()(std::vector<float>& values) {
    uint64_t n = values.size();
    (*this)(n);
    if (!is_reading_) {
        for (size_t i = 0; i < values.size(); i += 2) {
            const std::array pair{values[i], i + 1 < values.size() ? values[i + 1] : 0.0f};
            words_.push_back(std::bit_cast<uint64_t>(pair));
        }
        return;
    }
    const uint64_t n_left = 2 * uint64_t(words_.size() - at_);
    if (is_bad_ || n > n_left) {
        is_bad_ = true;
        return;
    }
    values.resize(n);
    for (size_t i = 0; i < n; i++) {
        values[i] = std::bit_cast<std::array<float, 2>>(words_[at_ + i / 2])[i % 2];
        is_bad_ = is_bad_ || !std::isfinite(values[i]);
    }
    at_ += size_t(n / 2 + n % 2);
}

Result<StateFile> StateFile::open(const std::string& path, const Identity& identity, double seconds) {
    StateFile state;
    state.path_ = path;
    state.identity_ = text_of(identity);
    state.seconds_ = seconds;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
        // A place where nothing can be written shall show before the work is done.
        WALLABY_TRY([[maybe_unused]] const base::AtomicFile probe, base::AtomicFile::create(path));
        return state;
    }
    WALLABY_TRY(const auto source, base::open_file(path));
    if (source->size() < header_bytes + 8) { return malformed(path, "", {}, "is no state of an evaluation"); }
    if (source->size() > max_bytes) {
        return malformed(path, "", {}, fmt::format("has {} bytes, the limit is {}", source->size(), max_bytes));
    }
    std::vector<uint8_t> bytes(source->size());
    WALLABY_OK(source->read(0, bytes));
    if (std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) {
        return malformed(path, "", 0, "is no state of an evaluation");
    }
    const auto n_version = base::load_le<uint32_t>(bytes.data() + 8), n_identity = base::load_le<uint32_t>(&bytes[12]);
    if (n_version != version) {
        return malformed(path, "version", 8, fmt::format("is {}, but this build reads version {}", n_version, version));
    }
    const auto n_words = base::load_le<uint64_t>(bytes.data() + 24);
    const uint64_t n_rest = bytes.size() - header_bytes - 8;
    if (n_identity > n_rest || n_words != (n_rest - n_identity) / 8 || (n_rest - n_identity) % 8 != 0) {
        return malformed(path, "n_words", 24,
                         fmt::format("is {} after an identity of {} bytes, but the file has {} bytes", n_words,
                                     n_identity, bytes.size()));
    }
    const std::span<const uint8_t> all(bytes);
    if (base::load_le<uint64_t>(bytes.data() + bytes.size() - 8) != base::fnv1a(chars(all.first(all.size() - 8)))) {
        return malformed(path, "checksum", bytes.size() - 8, "is not that of the file: it is damaged");
    }
    WALLABY_OK(check_identity(path, chars(all.subspan(header_bytes, n_identity)), state.identity_));
    state.n_done_ = base::load_le<uint64_t>(bytes.data() + 16);
    state.words_.resize(n_words);
    if (n_words != 0) { std::memcpy(state.words_.data(), &bytes[header_bytes + n_identity], 8 * n_words); }
    state.written_ = base::monotonic_seconds();
    return state;
}

Error StateFile::contradiction() const {
    return malformed(path_, "sums", header_bytes + identity_.size(),
                     fmt::format("are not those of {} chunks or tasks of this evaluation", n_done_));
}

Result<void> StateFile::note(uint64_t n_done, Archive sums) {
    n_done_ = n_done;
    words_ = std::move(sums).words();
    is_written_ = false;
    return base::monotonic_seconds() - written_ < seconds_ ? Result<void>() : write();
}

Result<void> StateFile::write() {
    if (is_written_) { return {}; }
    const std::array<uint32_t, 2> numbers{version, uint32_t(identity_.size())};
    const std::array<uint64_t, 2> counts{n_done_, words_.size()};
    std::string bytes(magic);
    for (const std::string_view part : {chars(numbers), chars(counts), std::string_view(identity_), chars(words_)}) {
        bytes += part;
    }
    const std::array sum{base::fnv1a(bytes)};
    bytes += chars(sum);
    WALLABY_TRY(base::AtomicFile file, base::AtomicFile::create(path_));
    WALLABY_OK(file.write({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
    WALLABY_OK(file.commit());
    is_written_ = true;
    written_ = base::monotonic_seconds();
    return {};
}

}  // namespace wallaby::eval
