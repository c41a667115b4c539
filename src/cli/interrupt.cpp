#include "cli/interrupt.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>

namespace wallaby::cli {
namespace {

sigset_t interrupt_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);  // ends the waiting thread
    return set;
}

}  // namespace

Interrupt::Interrupt() {
    const sigset_t set = interrupt_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    (void)!::pipe2(pipe_, O_CLOEXEC | O_NONBLOCK);
    waiter_ = std::thread([this] { wait(); });
}

Interrupt::~Interrupt() {
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    ::pthread_kill(waiter_.native_handle(), SIGUSR1);
    waiter_.join();
    ::close(pipe_[0]);
    ::close(pipe_[1]);
}

std::stop_token Interrupt::arm() {
    char old[64];
    while (::read(pipe_[0], old, sizeof(old)) > 0) {}
    const std::lock_guard lock(mutex_);
    source_ = std::stop_source();
    return source_.get_token();
}

void Interrupt::wait() {
    const sigset_t set = interrupt_signals();
    while (true) {
        int signal = 0;
        ::sigwait(&set, &signal);
        const std::lock_guard lock(mutex_);
        if (closing_) { return; }
        if (signal != SIGINT) { continue; }
        source_.request_stop();
        (void)!::write(pipe_[1], "!", 1);
    }
}

void wait_for(double seconds, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, std::chrono::duration<double>(seconds), [] { return false; });
}

}  // namespace wallaby::cli
