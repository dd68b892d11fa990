#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fenceline {

class HeldFolder;

/// Why a result file cannot be written there (exists and overwrite is not set, its folder is
/// missing), in words with the remedy; empty when it can.
std::string output_file_fault(const std::string& path, bool overwrite);

/// Result files whole, and all of them or none: each is written into a hidden folder beside it;
/// commit() brings them to the disk and puts them in place. Without commit (an exception, Ctrl-C)
/// nothing of them is left, and what a killed run has left goes with the next one.
class WholeFiles {
  public:
    WholeFiles();
    ~WholeFiles();
    WholeFiles(const WholeFiles&) = delete;
    WholeFiles& operator=(const WholeFiles&) = delete;
    /// Calls write(temporary path) at once; what it throws is passed on.
    void add(const std::string& path, const std::function<void(const std::string&)>& write);
    void commit();  ///< throws DataError

  private:
    struct File {
        std::unique_ptr<HeldFolder> folder;
        std::string partial, path;
    };
    std::vector<File> files_;
};

}  // namespace fenceline
