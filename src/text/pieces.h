// Byte strings by number, and numbers by byte string: the two tables every vocabulary is made of.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wallaby::text {

// Byte strings end to end in one block. Piece i is the i-th one added.
class Pieces {
  public:
    size_t size() const { return ends_.size() - 1; }
    std::string_view operator[](size_t i) const {
        return std::string_view(bytes_).substr(ends_[i], ends_[i + 1] - ends_[i]);
    }
    void add(std::string_view piece) {
        bytes_.append(piece);
        ends_.push_back(bytes_.size());
    }
    void reserve(size_t n_pieces) { ends_.reserve(n_pieces + 1); }

  private:
    std::string bytes_;
    std::vector<size_t> ends_{0};
};

// Numbers of pieces by their bytes: a hash table that holds nothing but the numbers, 8 bytes a piece. It is built and
// asked with the same Pieces.
class PieceIndex {
  public:
    // Enters piece `id` unless a piece of the same bytes is there already.
    void insert(const Pieces& pieces, int32_t id);
    std::optional<int32_t> find(const Pieces& pieces, std::string_view piece) const;

  private:
    static constexpr int32_t free_slot = -1;
    size_t slot_of(const Pieces& pieces, std::string_view piece) const;
    void grow(const Pieces& pieces);

    std::vector<int32_t> slots_;  // a power of two long, at most half full
    size_t n_used_ = 0;
};

}  // namespace wallaby::text
