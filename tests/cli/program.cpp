#include "cli/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>

namespace fenceline {

ScratchFolder::ScratchFolder() {
    static std::atomic<int> count{0};
    path = std::filesystem::temp_directory_path() /
           ("fenceline-test-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path);
}
ScratchFolder::~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
}

const char* program_path() { return FENCELINE_BINARY; }

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
void write_text(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

std::string real_data() {
    const char* named = std::getenv("FENCELINE_DATA");
    const std::filesystem::path folder =
        named != nullptr ? std::filesystem::path(named)
                         : std::filesystem::path(FENCELINE_SOURCE_DIR) / ".." / "shared" / "data";
    return std::filesystem::is_directory(folder) ? folder.string() : "";
}

Outcome fenceline_program(const std::vector<std::string>& arguments) {
    const ScratchFolder scratch;
    const std::string out = scratch / "out", err = scratch / "err";
    const pid_t child = fork();
    if (child == 0) {
        const auto redirect = [](const std::string& path, int to) {
            const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
            dup2(file, to);
        };
        redirect(out, STDOUT_FILENO);
        redirect(err, STDERR_FILENO);
        std::vector<char*> words{const_cast<char*>(FENCELINE_BINARY)};
        for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
        words.push_back(nullptr);
        execv(FENCELINE_BINARY, words.data());
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(out), read_text(err)};
}

}  // namespace fenceline
