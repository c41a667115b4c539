// The merging at the heart of both BPE kinds: a text starts as single characters, and the best pair of neighbours joins
// until no pair can. n characters cost O(n log n) whatever they are, and about O(n) where they repeat.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <unordered_map>
#include <vector>

namespace wallaby::text {

inline constexpr uint32_t no_merge = std::numeric_limits<uint32_t>::max();

struct Symbol {
    uint32_t begin;  // bytes from the start of the text
    uint32_t n_bytes;
    int32_t id;  // of its piece; the merging only hands it on
};

// Pairs that wait to be merged: by rank, then by place. What is pushed twice comes out twice.
//
// A heap of all pairs of a long word misses the cache at every step. But pairs of one rank mostly come in the order of
// their places, so each rank has a stream of them, and the heap holds only the head of each stream and the stragglers.
class PairQueue {
  public:
    // Empties the queue. Streams pay off when `n_symbols` are many.
    void reset(size_t n_symbols) {
        heap_.clear();
        streams_.clear();
        stream_of_.clear();
        has_streams_ = n_symbols > few_symbols;
    }
    bool empty() const { return heap_.empty(); }
    void push(uint32_t rank, uint32_t left) {
        if (!has_streams_) {
            push_heap(key_of(rank, left));
            return;
        }
        const auto [at, is_new] = stream_of_.try_emplace(rank, uint32_t(streams_.size()));
        if (is_new) { streams_.emplace_back(); }
        Stream& stream = streams_[at->second];
        if (stream.is_empty()) {
            stream.lefts.assign(1, left);
            stream.head = 0;
            push_heap(key_of(rank, left));
        } else if (left > stream.lefts.back()) {
            stream.lefts.push_back(left);
        } else {
            push_heap(key_of(rank, left));
        }
    }
    // Of a queue that is not empty: rank << 32 | left, the smallest.
    uint64_t pop() {
        std::ranges::pop_heap(heap_, std::greater{});
        const uint64_t key = heap_.back();
        heap_.pop_back();
        if (!has_streams_) { return key; }
        Stream& stream = streams_[stream_of_.find(uint32_t(key >> 32))->second];
        if (!stream.is_empty() && stream.lefts[stream.head] == uint32_t(key)) {
            stream.head++;
            if (!stream.is_empty()) { push_heap(key_of(uint32_t(key >> 32), stream.lefts[stream.head])); }
        }
        return key;
    }

  private:
    static constexpr size_t few_symbols = 512;
    struct Stream {
        std::vector<uint32_t> lefts;  // ascending
        size_t head = 0;
        bool is_empty() const { return head == lefts.size(); }
    };
    static uint64_t key_of(uint32_t rank, uint32_t left) { return uint64_t(rank) << 32 | left; }
    void push_heap(uint64_t key) {
        heap_.push_back(key);
        std::ranges::push_heap(heap_, std::greater{});
    }

    std::vector<uint64_t> heap_;
    std::vector<Stream> streams_;
    std::unordered_map<uint32_t, uint32_t> stream_of_;  // by rank
    bool has_streams_ = false;
};

// Reused from word to word: its memory is that of the longest, 16 bytes a character and as much again for the pairs.
class Merger {
  public:
    // Starts a word of at most `max_symbols` characters, fewer than 2^31.
    void start(size_t max_symbols) {
        cells_.clear();
        cells_.reserve(max_symbols + 1);
    }
    void add(uint32_t begin, int32_t id) { cells_.push_back({begin, id, no_merge, 1}); }

    // Merges a word that ends at `n_bytes`. Of two neighbours, `rank(left, right)` says how early they merge: low ranks
    // first, of equal ranks the leftmost, no_merge never. `piece(left, right, rank)` is the id of what they become.
    template <class Rank, class Piece>
    void run(uint32_t n_bytes, const Rank& rank, const Piece& piece) {
        end_ = uint32_t(cells_.size());
        cells_.push_back({n_bytes, -1, no_merge, 1});
        waiting_.reset(end_);
        for (uint32_t i = 0; i < end_; i++) { update(i, rank); }
        while (!waiting_.empty()) {
            const uint64_t key = waiting_.pop();
            const auto left = uint32_t(key);
            // A symbol that has changed since has another pair, which waits by itself.
            if (cells_[left].rank != uint32_t(key >> 32)) { continue; }
            const uint32_t right = left + cells_[left].span;
            cells_[left].id = piece(symbol(left), symbol(right), cells_[left].rank);
            cells_[right].rank = no_merge;
            const uint32_t span = cells_[left].span + cells_[right].span;
            cells_[left].span = span;
            cells_[left + span - 1].span = span;
            if (left > 0) { update(left - cells_[left - 1].span, rank); }
            update(left, rank);
        }
    }

    // Calls `visit(symbol)` for what is left, in order.
    template <class Visit>
    void for_each(const Visit& visit) const {
        for (uint32_t i = 0; i < end_; i += cells_[i].span) { visit(symbol(i)); }
    }

  private:
    // One character of the word. A symbol is a run of cells: its first cell speaks for it, and its last cell knows the
    // length too, for the way back.
    struct Cell {
        uint32_t begin;
        int32_t id;
        uint32_t rank;  // of the symbol and its right neighbour; no_merge inside a symbol
        uint32_t span;  // cells
    };

    Symbol symbol(uint32_t i) const {
        const Cell& cell = cells_[i];
        return {cell.begin, cells_[i + cell.span].begin - cell.begin, cell.id};
    }

    template <class Rank>
    void update(uint32_t left, const Rank& rank) {
        const uint32_t right = left + cells_[left].span;
        cells_[left].rank = right == end_ ? no_merge : rank(symbol(left), symbol(right));
        if (cells_[left].rank != no_merge) { waiting_.push(cells_[left].rank, left); }
    }

    std::vector<Cell> cells_;  // and one past the end
    uint32_t end_ = 0;
    PairQueue waiting_;
};

}  // namespace wallaby::text
