#pragma once

#include <memory>
#include <string>
#include <vector>

namespace fenceline {

class HeldFolder;

/// All of DIR or nothing. Files are written into a hidden folder beside DIR; commit() brings them
/// to the disk and gives the folder its name in one step. Without commit (an exception, Ctrl-C) the
/// folder is removed and DIR stays as it was; what a killed run has left beside DIR goes with the
/// next one.
class StagedOutput {
  public:
    /// Throws UsageError when DIR exists and overwrite is not set; when it is set but DIR is no
    /// folder, holds the working folder, or is neither fenceline's output nor at most 20
    /// plain files of 1 MiB together;
    /// and when the folder above DIR does not exist or cannot be written to.
    StagedOutput(const std::string& dir, bool overwrite);
    ~StagedOutput();
    StagedOutput(const StagedOutput&) = delete;
    StagedOutput& operator=(const StagedOutput&) = delete;

    /// The temporary folder to write into.
    const std::string& folder() const;
    /// folder()/name; folders on the way are made.
    std::string path(const std::string& name) const;
    /// fsync of every file and folder, then the rename. With overwrite the old content stays whole
    /// until the new one has taken its place. Throws DataError (disk full, DIR has appeared
    /// meanwhile); then DIR is as it was.
    void commit();

    /// What the constructor checks, without making anything (--dry-run, early checks).
    static void check(const std::string& dir, bool overwrite);
    /// Throws UsageError when one of these files or folders lies in DIR: replacing it would
    /// delete what is read. Empty names are passed over.
    static void keep_inputs(const std::string& dir, const std::vector<std::string>& inputs);

  private:
    std::string target_;
    bool overwrite_;
    std::unique_ptr<HeldFolder> staging_;
};

/// Writes bytes to a file. Throws DataError with the system's reason, also when the disk turns out
/// full on closing.
void write_file(const std::string& path, const std::string& bytes);

}  // namespace fenceline
