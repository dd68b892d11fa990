#pragma once

#include <atomic>
#include <string>

namespace fenceline {

/// Asks the run to stop at the next safe place. Async-signal-safe.
void request_cancel() noexcept;
bool cancel_requested() noexcept;
/// Throws Cancelled when request_cancel was called.
void throw_if_cancelled();

enum class Verbosity { quiet, normal, verbose };

/// Progress on standard error: one bar on a terminal, sparse lines elsewhere, nothing when quiet.
class Progress {
  public:
    explicit Progress(Verbosity verbosity = Verbosity::quiet);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    /// A new stage of `total` steps starts; the former one is done.
    void stage(const std::string& name, int total);
    void step(const std::string& what = "");
    /// A line for people; verbose only.
    void detail(const std::string& line);
    /// A line for people whatever happens (but not when quiet).
    void warn(const std::string& line);

  private:
    void draw(const std::string& what);
    void clear_bar();
    Verbosity verbosity_;
    bool terminal_;
    std::string name_;
    int total_ = 0, done_ = 0;
    bool bar_shown_ = false;
};

}  // namespace fenceline
