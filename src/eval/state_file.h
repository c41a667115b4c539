// What an evaluation has found so far, in a file, so that one that was interrupted goes on where it was and ends with
// the same bits. A format of our own, little-endian, version 1:
//
//     offset  0  8 bytes  "WLBSTATE"
//             8  u32      version, 1
//            12  u32      n_identity    bytes of the identity
//            16  u64      n_done        chunks or tasks that are in the sums
//            24  u64      n_words       of the sums
//            32  u8       identity [n_identity]: lines "NAME\tVALUE\n" of what the results depend on
//                u64      sums [n_words]: counts, doubles and pairs of floats as the evaluation's archive() lists them
//                u64      FNV-1a of all bytes before
//
// A file of another identity is refused by the first name that differs: it is never gone on from, nor written over.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace wallaby::eval {

// Goes over the numbers of sums in a fixed order: takes them down as words, or sets them from words.
class Archive {
  public:
    Archive() = default;
    explicit Archive(std::vector<uint64_t> words) : words_(std::move(words)), is_reading_(true) {}

    void operator()(uint64_t& n);
    void operator()(double& x);  // must be finite
    void operator()(std::vector<float>& values);
    // The length first, then `each` of the elements. n_words: what an element takes at least.
    template <class T, class Each>
    void list(std::vector<T>& values, size_t n_words, const Each& each) {
        uint64_t n = values.size();
        (*this)(n);
        if (is_reading_) {
            if (n > (words_.size() - at_) / n_words) {
                is_bad_ = true;
                return;
            }
            values.resize(n);
        }
        for (T& value : values) { each(value); }
    }

    const std::vector<uint64_t>& words() const& { return words_; }
    std::vector<uint64_t>&& words() && { return std::move(words_); }
    // After reading: each word was wanted, none was missing, and each double was finite.
    bool is_whole() const { return !is_bad_ && at_ == words_.size(); }

  private:
    std::vector<uint64_t> words_;
    size_t at_ = 0;
    bool is_reading_ = false, is_bad_ = false;
};

// What results depend on: names, and values without tabs and line breaks.
using Identity = std::vector<std::pair<std::string, std::string>>;

class StateFile {
  public:
    // Reads the file of that name where there is one. seconds: how long what is new may stay unwritten.
    static Result<StateFile> open(const std::string& path, const Identity& identity, double seconds = 1);

    const std::string& path() const { return path_; }
    uint64_t n_done() const { return n_done_; }
    // Sets sums from the file, unless it is new. `fits`: whether they can be those of n_done() chunks or tasks.
    template <class Sums>
    Result<void> take(Sums& sums, uint64_t n_units, const std::function<bool()>& fits) const {
        if (n_done_ == 0) { return {}; }
        Archive archive(words_);
        sums.archive(archive);
        if (n_done_ > n_units || !archive.is_whole() || !fits()) { return contradiction(); }
        return {};
    }
    // Sums after n_done chunks or tasks; written when it is time.
    Result<void> note(uint64_t n_done, Archive sums);
    // Writes what was noted last, if that is not in the file yet.
    Result<void> write();

  private:
    Error contradiction() const;

    std::string path_, identity_;
    double seconds_ = 0, written_ = 0;  // when it was written last
    uint64_t n_done_ = 0;
    std::vector<uint64_t> words_;
    bool is_written_ = true;
};

// Does units 0 … n_units − 1 of an evaluation, or those that a state does not have yet, and keeps it up to date; also
// when a unit fails or is stopped. state: nullptr where nothing is kept. fits(n): whether sums can be those of n units.
template <class Sums>
Result<void> run_units(size_t n_units, Sums& sums, StateFile* state, const std::function<bool(uint64_t n)>& fits,
                       const std::function<Result<void>(size_t unit)>& unit) {
    size_t i = 0;
    if (state != nullptr) {
        WALLABY_OK(state->take(sums, n_units, [&] { return fits(state->n_done()); }));
        i = size_t(state->n_done());
    }
    for (; i < n_units; i++) {
        Result<void> done = unit(i);
        if (!done.ok()) {
            if (state != nullptr) { WALLABY_OK(state->write()); }
            return done;
        }
        if (state == nullptr) { continue; }
        Archive archive;
        sums.archive(archive);
        WALLABY_OK(state->note(i + 1, std::move(archive)));
    }
    return state != nullptr ? state->write() : Result<void>();
}

}  // namespace wallaby::eval
