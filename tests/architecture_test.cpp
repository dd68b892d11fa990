// HOUSE rules that a program can check.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace fenceline {
namespace {
namespace fs = std::filesystem;

const fs::path kRoot = FENCELINE_SOURCE_DIR;

std::vector<fs::path> sources_of(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".cpp" || entry.path().extension() == ".h")
            files.push_back(entry.path());
    return files;
}

std::string text_of(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The room that a file or an include path belongs to; empty for foreign headers.
std::string room_of(const std::string& path) {
    for (const char* room : {"kernels", "core", "input", "output", "stages", "simulate", "evaluate",
                             "verify", "commands"})
        if (path.rfind(std::string(room) + "/", 0) == 0) return room;
    for (const char* line :
         {"run_site", "compare_pair", "compare_large", "align_pair", "pair_grid", "pair_order",
          "pair_overview", "pair_buildings", "site_report", "report_parts"})
        if (path.rfind(line, 0) == 0) return "run_site";
    return {};
}

TEST(Architecture, IncludesGoDownOnly) {
    const std::map<std::string, int> floor{{"kernels", 0},  {"core", 1},   {"input", 2},
                                           {"simulate", 2}, {"stages", 4}, {"evaluate", 2},
                                           {"verify", 2},   {"output", 3}, {"run_site", 5},
                                           {"commands", 6}, {"main", 7}};
    // The doors write and read the values of the rooms beside them, so a few sideways headers are
    // allowed; a stage includes no door, and no door includes a stage but for the value it writes.
    const std::regex include("#include \"([^\"]+)\"");
    for (const char* top : {"kernels", "pipeline"})
        for (const auto& file : sources_of(kRoot / top)) {
            const std::string relative =
                fs::relative(file, top == std::string("pipeline") ? kRoot / top : kRoot).string();
            const std::string room = relative == "main.cpp" ? "main" : room_of(relative);
            ASSERT_FALSE(room.empty()) << file << " is in no room";
            const std::string text = text_of(file);
            for (std::sregex_iterator it(text.begin(), text.end(), include), end; it != end; ++it) {
                const std::string target = room_of((*it)[1]);
                if (target.empty()) continue;
                if (room == "output" && target == "stages") continue;  // values such as ChangeMap
                if (room == "stages") {
                    EXPECT_TRUE(target == "stages" || target == "core" || target == "kernels")
                        << relative << " includes " << (*it)[1];
                }
                EXPECT_LE(floor.at(target), floor.at(room)) << relative << " includes " << (*it)[1];
            }
        }
}

TEST(Architecture, OnlyTheDoorsIncludeGdal) {
    const std::regex gdal("#include <(gdal|ogr|cpl|vrt)[a-z_]*\\.h>");
    for (const auto& file : sources_of(kRoot / "pipeline")) {
        const std::string room = room_of(fs::relative(file, kRoot / "pipeline").string());
        if (room == "input" || room == "output") continue;
        EXPECT_FALSE(std::regex_search(text_of(file), gdal)) << file;
    }
}

TEST(Architecture, KernelHeadersKnowNoImageLibrary) {
    const std::regex foreign("#include <(gdal|ogr|cpl|opencv|tbb|hwy|fstream)");
    for (const auto& file : sources_of(kRoot / "kernels"))
        if (file.extension() == ".h") {
            EXPECT_FALSE(std::regex_search(text_of(file), foreign)) << file;
        }
}

TEST(Architecture, AStageNeverTouchesFilesNorPrints) {
    const std::regex doors(
        "#include <(fstream|filesystem|iostream)>|std::fopen|fmt::print|std::cout|std::cerr");
    for (const char* room : {"stages", "simulate", "evaluate", "verify"})
        if (fs::exists(kRoot / "pipeline" / room)) {
            for (const auto& file : sources_of(kRoot / "pipeline" / room))
                EXPECT_FALSE(std::regex_search(text_of(file), doors)) << file;
        }
}

TEST(Architecture, NoIntrinsics) {
    const std::regex intrinsics("immintrin\\.h|arm_neon\\.h|_mm[0-9]*_");
    for (const char* top : {"kernels", "pipeline"})
        for (const auto& file : sources_of(kRoot / top))
            EXPECT_FALSE(std::regex_search(text_of(file), intrinsics)) << file;
}

TEST(Architecture, NoDrawerNames) {
    const std::regex drawer("(utils?|helpers?|common|manager|misc)\\.(h|cpp)$");
    for (const char* top : {"kernels", "pipeline", "tests"})
        for (const auto& file : sources_of(kRoot / top))
            EXPECT_FALSE(std::regex_search(file.string(), drawer)) << file;
}

TEST(Architecture, EverySourceIsListedOnceAndInOrder) {
    std::ifstream lists(kRoot / "CMakeLists.txt");
    std::vector<std::string> listed;
    std::string list, previous, line;
    const std::regex begin("set\\(([a-z_]+_sources)"), entry("    ([a-z_/]+\\.cpp)");
    std::smatch match;
    while (std::getline(lists, line)) {
        if (std::regex_match(line, match, begin)) {
            list = match[1];
            previous.clear();
        } else if (line == ")") {
            list.clear();
        } else if (!list.empty()) {
            ASSERT_TRUE(std::regex_match(line, match, entry))
                << list << " holds \"" << line << "\"";
            const std::string file = match[1];
            EXPECT_LT(previous, file) << "the list " << list << " is not sorted";
            EXPECT_TRUE(fs::exists(kRoot / file)) << file << " is listed but not there";
            listed.push_back(file);
            previous = file;
        }
    }
    ASSERT_GT(listed.size(), 50U) << "the lists were not found";
    listed.emplace_back("pipeline/main.cpp");
    std::sort(listed.begin(), listed.end());
    EXPECT_EQ(std::adjacent_find(listed.begin(), listed.end()), listed.end()) << "listed twice";
    for (const char* top : {"kernels", "pipeline", "tests", "benchmarks"})
        for (const auto& file : sources_of(kRoot / top))
            if (file.extension() == ".cpp") {
                const std::string relative = fs::relative(file, kRoot).string();
                EXPECT_TRUE(std::binary_search(listed.begin(), listed.end(), relative))
                    << relative << " is not listed in CMakeLists.txt: nobody would build it";
            }
}

}  // namespace
}  // namespace fenceline
