#include "base/mapping.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

namespace wallaby::base {
namespace {

// What the handler looks through: no lock and no allocation. end is 0 while a slot is free or being filled.
struct Slot {
    std::atomic<uintptr_t> begin = 0, end = 0;
    std::atomic<bool> is_taken = false, is_damaged = false;
};
std::array<Slot, Mapping::max_mappings> slots;
struct sigaction before;  // the handler that was there
uintptr_t page_bytes = 4096;

// One page of zeros in the place of another; -1 where the system refuses. The system call itself: it may be made in a
// handler, and a thread sanitizer takes mmap() for a write that races with what other threads read of the page.
long put_zeros(uintptr_t page) {
    const long protection = PROT_READ, flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
    return ::syscall(SYS_mmap, page, page_bytes, protection, flags, -1L, 0L);
}

void on_bus_error(int number, siginfo_t* info, void* context) {
    const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
    for (Slot& slot : slots) {
        if (at < slot.begin || at >= slot.end) { continue; }
        slot.is_damaged = true;  // before the zeros: whoever reads them finds it set
        const int saved = errno;
        const long zeros = put_zeros(at & ~(page_bytes - 1));
        errno = saved;
        if (zeros != -1) { return; }
    }
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
        return before.sa_sigaction(number, info, context);
    }
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) { return before.sa_handler(number); }
    std::signal(number, SIG_DFL);  // the faulting instruction runs again, and the default ends the process
}

void install_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        page_bytes = uintptr_t(::sysconf(_SC_PAGESIZE));
        struct sigaction ours {};
        ours.sa_sigaction = on_bus_error;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&ours.sa_mask);
        ::sigaction(SIGBUS, &ours, &before);
    });
}

int take_slot() {
    for (int i = 0; i < Mapping::max_mappings; i++) {
        if (!slots[size_t(i)].is_taken.exchange(true)) { return i; }
    }
    return -1;
}

}  // namespace

Result<Mapping> Mapping::create(int fd, uint64_t size, const std::string& name) {
    const int slot = take_slot();
    if (slot < 0) {
        return Error{
            ErrorCode::capacity, fmt::format("more than {} files are mapped", max_mappings), {name, "", {}}, ""};
    }
    install_handler();
    void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        const int number = errno;
        slots[size_t(slot)].is_taken = false;
        return Error{ErrorCode::io, fmt::format("cannot map: {}", std::strerror(number)), {name, "", {}}, ""};
    }
    Slot& s = slots[size_t(slot)];
    s.is_damaged = false;
    s.begin = reinterpret_cast<uintptr_t>(data);
    s.end = s.begin + size;
    return Mapping(static_cast<const uint8_t*>(data), size, slot, name);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(other.data_), size_(other.size_), slot_(std::exchange(other.slot_, -1)), name_(std::move(other.name_)) {}

Mapping::~Mapping() {
    if (slot_ < 0) { return; }
    slots[size_t(slot_)].end = 0;
    ::munmap(const_cast<uint8_t*>(data_), size_);
    slots[size_t(slot_)].is_taken = false;
}

Result<void> Mapping::check() const {
    if (!slots[size_t(slot_)].is_damaged) { return {}; }
    return Error{ErrorCode::io,
                 "can no longer be read whole: it was cut short, or its disk failed, while it was in use",
                 {name_, "", {}},
                 "Restore the file and load it again"};
}

}  // namespace wallaby::base
