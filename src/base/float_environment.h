// Rounding to nearest and kept denormals, whatever another library did to this thread's floating-point control word:
// flush-to-zero would change bits (docs/numerics.md). Entering code sets it, leaving restores what was there.
#pragma once
#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace wallaby::base {

class FloatEnvironment {
  public:
    FloatEnvironment() : before_(get()) { set(standard()); }
    ~FloatEnvironment() { set(before_); }
    FloatEnvironment(const FloatEnvironment&) = delete;
    FloatEnvironment& operator=(const FloatEnvironment&) = delete;

  private:
#if defined(__x86_64__)
    using Word = uint32_t;
    static Word standard() { return 0x1f80; }  // MXCSR: all exceptions masked, nearest, no FTZ, no DAZ
    static Word get() { return _mm_getcsr(); }
    static void set(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
    using Word = uint64_t;
    static Word standard() { return 0; }  // FPCR: nearest, no FZ
    static Word get() {
        Word word;
        asm volatile("mrs %0, fpcr" : "=r"(word));
        return word;
    }
    static void set(Word word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
    using Word = int;
    static Word standard() { return 0; }
    static Word get() { return 0; }
    static void set(Word) {}
#endif
    Word before_;
};

}  // namespace wallaby::base
