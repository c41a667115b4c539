// One number for many bytes: two runs that differ in a bit differ in it.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace wallaby::testing {

// FNV-1a of 64 bits (Fowler, Noll, Vo: http://www.isthe.com/chongo/tech/comp/fnv/).
class Digest {
  public:
    template <class T>
    Digest& add(const std::vector<T>& values) {
        static_assert(std::has_unique_object_representations_v<T> || std::is_floating_point_v<T>);
        const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
        for (size_t i = 0; i < values.size() * sizeof(T); i++) { hash_ = (hash_ ^ bytes[i]) * 0x100000001b3u; }
        return *this;
    }
    std::string text() const { return fmt::format("{:#018x}", hash_); }

  private:
    uint64_t hash_ = 0xcbf29ce484222325u;
};

}  // namespace wallaby::testing
