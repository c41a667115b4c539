// The bytes of files in assets/ as the assembler takes them: megabytes in an object of their own, which no compiler has
// to read. WALLABY_…_FILE are their paths; src/CMakeLists.txt makes this object depend on them. The sizes are data too,
// so that no pointers of what C++ takes for different objects are subtracted.
#include "assets/catalogue.h"
#include "assets/joey.h"

#define WALLABY_EMBED(name, path)                                                \
    asm(".pushsection .rodata\n"                                                 \
        ".balign 64\n"                                                           \
        ".globl wallaby_" #name                                                  \
        "_bytes\n"                                                               \
        ".hidden wallaby_" #name                                                 \
        "_bytes\n"                                                               \
        "wallaby_" #name                                                         \
        "_bytes:\n"                                                              \
        ".incbin \"" path                                                        \
        "\"\n"                                                                   \
        "1:\n"                                                                   \
        ".balign 8\n"                                                            \
        ".globl wallaby_" #name                                                  \
        "_size\n"                                                                \
        ".hidden wallaby_" #name                                                 \
        "_size\n"                                                                \
        "wallaby_" #name                                                         \
        "_size:\n"                                                               \
        ".quad 1b - wallaby_" #name                                              \
        "_bytes\n"                                                               \
        ".popsection\n");                                                        \
    extern "C" {                                                                 \
    [[gnu::visibility("hidden")]] extern const uint8_t wallaby_##name##_bytes[]; \
    [[gnu::visibility("hidden")]] extern const uint64_t wallaby_##name##_size;   \
    }

WALLABY_EMBED(joey, WALLABY_JOEY_FILE)
WALLABY_EMBED(machines, WALLABY_MACHINES_FILE)
WALLABY_EMBED(measurements, WALLABY_MEASUREMENTS_FILE)

namespace wallaby::assets {

std::span<const uint8_t> joey_bytes() { return {wallaby_joey_bytes, wallaby_joey_size}; }

std::string_view machines() { return {reinterpret_cast<const char*>(wallaby_machines_bytes), wallaby_machines_size}; }

std::string_view measurements() {
    return {reinterpret_cast<const char*>(wallaby_measurements_bytes), wallaby_measurements_size};
}

}  // namespace wallaby::assets
