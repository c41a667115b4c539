// Writes SentencePiece's normaliser tables for tests: what src/text/charsmap.h reads.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace wallaby::testing {

class CharsmapBytes {
  public:
    explicit CharsmapBytes(const std::map<std::string, std::string>& replacements) {
        units_.assign(256, 0);
        taken_.insert(0);
        for (const auto& [from, to] : replacements) {
            values_[from] = uint32_t(strings_.size());
            strings_ += to + '\0';
        }
        place_children(0, "");
    }
    std::vector<uint8_t> build() const {
        std::vector<uint8_t> out;
        append(out, uint32_t(units_.size() * 4));
        for (const uint32_t unit : units_) { append(out, unit); }
        out.insert(out.end(), strings_.begin(), strings_.end());
        return out;
    }

  private:
    static void append(std::vector<uint8_t>& out, uint32_t value) {
        for (int shift = 0; shift < 32; shift += 8) { out.push_back(uint8_t(value >> shift)); }
    }
    // The bytes that may follow `prefix`, 0 where it is a key itself.
    std::set<uint8_t> labels_after(const std::string& prefix) const {
        std::set<uint8_t> out;
        for (const auto& [key, value] : values_) {
            if (!std::string_view(key).starts_with(prefix)) { continue; }
            out.insert(key.size() == prefix.size() ? 0 : uint8_t(key[prefix.size()]));
        }
        return out;
    }
    void place_children(uint32_t parent, const std::string& prefix) {
        const std::set<uint8_t> labels = labels_after(prefix);
        // A label does not say whose it is, so no two nodes share a base.
        const auto is_free = [&](uint32_t base) {
            if (bases_.contains(base)) { return false; }
            for (const uint8_t label : labels) {
                if (taken_.contains(base ^ label)) { return false; }
            }
            return true;
        };
        uint32_t base = 1;
        while (!is_free(base)) { base++; }
        bases_.insert(base);
        units_.resize(std::max<size_t>(units_.size(), (base | 0xFF) + 1));
        units_[parent] |= (parent ^ base) << 10 | uint32_t(labels.contains(0)) << 8;
        for (const uint8_t label : labels) { taken_.insert(base ^ label); }
        for (const uint8_t label : labels) {
            if (label == 0) {
                units_[base] = values_.at(prefix) | 0x80000000u;
                continue;
            }
            units_[base ^ label] = label;
            place_children(base ^ label, prefix + char(label));
        }
    }

    std::map<std::string, uint32_t> values_;
    std::string strings_;
    std::vector<uint32_t> units_;
    std::set<uint32_t> taken_;
    std::set<uint32_t> bases_;
};

}  // namespace wallaby::testing
