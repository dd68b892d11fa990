#pragma once

#include <filesystem>
#include <string>

namespace fenceline {

/// A hidden folder beside a result while that is being written: .NAME.fenceline-XXXXXX, locked as
/// long as this lives, removed with it (when it has been renamed meanwhile, nothing is). Folders of
/// the same name that no run holds, as a killed one leaves them, are removed first; a run that is
/// at work keeps its own.
class HeldFolder {
  public:
    /// For a result of this absolute path. Throws DataError when no folder can be made beside it.
    explicit HeldFolder(const std::filesystem::path& result);
    ~HeldFolder();
    HeldFolder(const HeldFolder&) = delete;
    HeldFolder& operator=(const HeldFolder&) = delete;

    const std::string& path() const { return path_; }

  private:
    std::string path_;
    int lock_ = -1;  ///< where the file system knows no locks, nothing is ever taken for abandoned
};

}  // namespace fenceline
