// The bytes of assets/joey.gguf as the assembler takes them from the file: megabytes in an object of their own, which
// no compiler has to read. WALLABY_JOEY_FILE is its path; src/CMakeLists.txt makes this object depend on it. The size
// is data too, so that no pointers of what C++ takes for different objects are subtracted.
#include "assets/joey.h"

asm(".pushsection .rodata\n"
    ".balign 64\n"
    ".globl wallaby_joey_bytes\n"
    ".hidden wallaby_joey_bytes\n"
    "wallaby_joey_bytes:\n"
    ".incbin \"" WALLABY_JOEY_FILE
    "\"\n"
    "1:\n"
    ".balign 8\n"
    ".globl wallaby_joey_size\n"
    ".hidden wallaby_joey_size\n"
    "wallaby_joey_size:\n"
    ".quad 1b - wallaby_joey_bytes\n"
    ".popsection\n");

extern "C" {
[[gnu::visibility("hidden")]] extern const uint8_t wallaby_joey_bytes[];
[[gnu::visibility("hidden")]] extern const uint64_t wallaby_joey_size;
}

namespace wallaby::assets {

std::span<const uint8_t> joey_bytes() { return {wallaby_joey_bytes, wallaby_joey_size}; }

}  // namespace wallaby::assets
