#include "core/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "core/error.h"

namespace fenceline {
namespace {
std::atomic<bool> cancel_flag{false};
}

void request_cancel() noexcept { cancel_flag.store(true, std::memory_order_relaxed); }
bool cancel_requested() noexcept { return cancel_flag.load(std::memory_order_relaxed); }
void throw_if_cancelled() {
    if (cancel_requested()) throw Cancelled{};
}

Progress::Progress(Verbosity verbosity)
    : verbosity_(verbosity), terminal_(isatty(STDERR_FILENO) != 0) {}
Progress::~Progress() { clear_bar(); }

void Progress::clear_bar() {
    if (bar_shown_) fmt::print(stderr, "\r\033[K");
    bar_shown_ = false;
}

void Progress::draw(const std::string& what) {
    if (verbosity_ == Verbosity::quiet || !terminal_) return;
    constexpr int kWidth = 24;
    const int filled = total_ > 0 ? kWidth * done_ / total_ : 0;
    std::string bar;
    for (int i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "·";
    fmt::print(stderr, "\r\033[K{:<12} {} {}/{} {}", name_, bar, done_, total_, what);
    std::fflush(stderr);
    bar_shown_ = true;
}

void Progress::stage(const std::string& name, int total) {
    throw_if_cancelled();
    name_ = name;
    total_ = total;
    done_ = 0;
    if (verbosity_ == Verbosity::quiet) return;
    if (terminal_)
        draw("");
    else
        fmt::print(stderr, "fenceline: {} ({})\n", name, total);
}

void Progress::step(const std::string& what) {
    throw_if_cancelled();
    ++done_;
    draw(what);
    if (verbosity_ == Verbosity::verbose && !terminal_)
        fmt::print(stderr, "fenceline: {} {}/{} {}\n", name_, done_, total_, what);
}

void Progress::detail(const std::string& line) {
    if (verbosity_ != Verbosity::verbose) return;
    clear_bar();
    fmt::print(stderr, "fenceline: {}\n", line);
}

void Progress::warn(const std::string& line) {
    if (verbosity_ == Verbosity::quiet) return;
    clear_bar();
    fmt::print(stderr, "fenceline: warning: {}\n", line);
}

}  // namespace fenceline
