// Ctrl-C as a stop request: a thread waits for SIGINT, so that nothing happens inside a signal handler.
#pragma once
#include <mutex>
#include <stop_token>
#include <thread>

namespace wallaby::cli {

class Interrupt {
  public:
    // Blocks SIGINT for the calling thread and those it starts later: make it before any pool.
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    // A token that the next Ctrl-C stops. arm() forgets earlier ones.
    std::stop_token arm();
    // Readable once Ctrl-C came since arm(): for poll() beside an input.
    int readable() const { return pipe_[0]; }

  private:
    void wait();

    std::mutex mutex_;
    std::stop_source source_;  // guarded by mutex_
    int pipe_[2] = {-1, -1};
    bool closing_ = false;  // guarded by mutex_
    std::thread waiter_;
};

// Until then, or until a stop is asked for.
void wait_for(double seconds, const std::stop_token& stop);

}  // namespace wallaby::cli
