// Runs a program and keeps what it printed.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace wallaby::testing {

struct Ran {
    int code = -1;   // the exit code
    int signal = 0;  // or the signal that ended it
    std::string out, err;
};

struct RunOptions {
    std::string input = {};
    int interrupt_after_ms = 0;                     // SIGINT once, after the first output and this long
    bool interrupt_after_error_output = false;      // the first output on standard error starts that time too
    std::function<void(pid_t pid)> meanwhile = {};  // on a thread of its own while the program runs
};

inline Ran run_program(const std::vector<std::string>& words, const RunOptions& options = {}) {
    int in[2], out[2], err[2];
    // What a program keeps between runs is no business of the user's own.
    ::setenv("XDG_CACHE_HOME", (::testing::TempDir() + "wallaby_test_cache").c_str(), 1);
    if (::pipe(in) != 0 || ::pipe(out) != 0 || ::pipe(err) != 0) { return {}; }
    std::vector<char*> argv;
    for (const std::string& word : words) { argv.push_back(const_cast<char*>(word.c_str())); }
    argv.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::dup2(in[0], 0);
        ::dup2(out[1], 1);
        ::dup2(err[1], 2);
        for (const int fd : {in[0], in[1], out[0], out[1], err[0], err[1]}) { ::close(fd); }
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    for (const int fd : {in[0], out[1], err[1]}) { ::close(fd); }
    std::thread writer([&] {
        ::signal(SIGPIPE, SIG_IGN);
        size_t done = 0;
        while (done < options.input.size()) {
            const ssize_t n = ::write(in[1], options.input.data() + done, options.input.size() - done);
            if (n <= 0) { break; }
            done += size_t(n);
        }
        ::close(in[1]);
    });
    std::thread companion;
    if (options.meanwhile) { companion = std::thread(options.meanwhile, pid); }
    Ran ran;
    std::thread interrupter;
    pollfd watched[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
    for (int n_open = 2; n_open > 0;) {
        if (::poll(watched, 2, -1) < 0) { continue; }
        for (int i = 0; i < 2; i++) {
            if (watched[i].revents == 0) { continue; }
            char piece[65536];
            const ssize_t n = ::read(watched[i].fd, piece, sizeof(piece));
            if (n <= 0) {
                watched[i].fd = -1;
                n_open--;
                continue;
            }
            (i == 0 ? ran.out : ran.err).append(piece, size_t(n));
            const bool counts = i == 0 || options.interrupt_after_error_output;
            if (counts && options.interrupt_after_ms != 0 && !interrupter.joinable()) {
                interrupter = std::thread([&] {
                    std::this_thread::sleep_for(std::chrono::milliseconds(options.interrupt_after_ms));
                    ::kill(pid, SIGINT);
                });
            }
        }
    }
    writer.join();
    if (companion.joinable()) { companion.join(); }  // before the pid is free for another
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (interrupter.joinable()) { interrupter.join(); }
    ::close(out[0]);
    ::close(err[0]);
    if (WIFEXITED(status)) { ran.code = WEXITSTATUS(status); }
    if (WIFSIGNALED(status)) { ran.signal = WTERMSIG(status); }
    return ran;
}

}  // namespace wallaby::testing
