// How the program talks: help, configuration, faults, exit codes. Through the real binary.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/program.h"

namespace fenceline {
namespace {

const std::vector<std::string> kCommands{"run",      "compare",  "align", "verify",
                                         "simulate", "evaluate", "sites", "export"};

TEST(Manners, EveryCommandHasHelpAndAVersion) {
    const Outcome overview = fenceline_program({"--help"});
    EXPECT_EQ(overview.exit_code, 0);
    for (const auto& command : kCommands) {
        EXPECT_NE(overview.out.find("  " + command), std::string::npos);
        const Outcome help = fenceline_program({command, "--help"});
        EXPECT_EQ(help.exit_code, 0) << command;
        EXPECT_NE(help.out.find("Usage: fenceline " + command), std::string::npos) << help.out;
        EXPECT_EQ(help.err, "");
        EXPECT_EQ(fenceline_program({command, "--version"}).exit_code, 0) << command;
    }
}

TEST(Manners, DefaultIniIsTheBuiltInDefaults) {
    const Outcome printed = fenceline_program({"run", "--print-config"});
    ASSERT_EQ(printed.exit_code, 0) << printed.err;
    EXPECT_EQ(printed.out, read_text(FENCELINE_SOURCE_DIR "/configs/default.ini"))
        << "run: fenceline run --print-config > configs/default.ini";
}

TEST(Manners, AFlagTakesNoWordThatFollowsIt) {
    const Outcome listed = fenceline_program({"sites", "--quiet", "list"});
    EXPECT_EQ(listed.exit_code, 0) << listed.err;
    EXPECT_NE(listed.out.find("camp25"), std::string::npos);
    const Outcome missing =
        fenceline_program({"compare", "--dry-run", "a.tif", "b.tif", "--out", "c"});
    EXPECT_EQ(missing.exit_code, 2);
    EXPECT_NE(missing.err.find("BEFORE a.tif"), std::string::npos) << missing.err;
    EXPECT_NE(missing.err.find("AFTER b.tif"), std::string::npos) << missing.err;
}

TEST(Manners, PrintedConfigurationReadsBackAsItself) {
    const ScratchFolder scratch;
    for (const auto& command : kCommands) {
        const Outcome first = fenceline_program({command, "--print-config", "--jobs", "3"});
        ASSERT_EQ(first.exit_code, 0) << command << first.err;
        EXPECT_NE(first.out.find("jobs = 3\n"), std::string::npos) << first.out;
        write_text(scratch / "a.ini", first.out);
        const Outcome second =
            fenceline_program({command, "--print-config", "--config", scratch / "a.ini"});
        EXPECT_EQ(second.exit_code, 0) << second.err;
        EXPECT_EQ(second.out, first.out) << command;
    }
}

TEST(Manners, CommandLineWinsOverFileWinsOverDefault) {
    const ScratchFolder scratch;
    write_text(scratch / "c.ini", "jobs = 2\n[align]\nsearch_m = 50\nwindow_px = 64\n");
    const Outcome printed = fenceline_program(
        {"run", "--config", scratch / "c.ini", "--align.window_px=96", "--print-config"});
    ASSERT_EQ(printed.exit_code, 0) << printed.err;
    EXPECT_NE(printed.out.find("search_m = 50\n"), std::string::npos);
    EXPECT_NE(printed.out.find("window_px = 96\n"), std::string::npos);
    EXPECT_NE(printed.out.find("pass_px = 0.5\n"), std::string::npos);
    EXPECT_NE(printed.out.find("jobs = 2\n"), std::string::npos);
}

TEST(Manners, AFlagOfTheFileIsTakenBackOnTheCommandLine) {
    const ScratchFolder scratch;
    // A byte-order mark, a comment sign and blanks inside a value, as editors and people write
    // them.
    write_text(scratch / "c.ini",
               "\xEF\xBB\xBFjobs = 2\n[run]\nkeep-registered = true\nout = \" a #1 \"\n");
    const Outcome file =
        fenceline_program({"run", "--config", scratch / "c.ini", "--print-config"});
    EXPECT_EQ(file.exit_code, 0) << file.err;
    EXPECT_NE(file.out.find("keep-registered = true\n"), std::string::npos);
    EXPECT_NE(file.out.find("out = \" a #1 \"\n"), std::string::npos) << file.out;
    const Outcome line = fenceline_program(
        {"run", "--config", scratch / "c.ini", "--keep-registered=false", "--print-config"});
    EXPECT_NE(line.out.find("keep-registered = false\n"), std::string::npos) << line.err;
    write_text(scratch / "printed.ini", file.out);
    EXPECT_EQ(fenceline_program({"run", "--config", scratch / "printed.ini", "--print-config"}).out,
              file.out);
    write_text(scratch / "d.ini", "help = true\njobs = 1\njobs = 2\n");
    const Outcome bad = fenceline_program({"run", "--config", scratch / "d.ini", "--print-config"});
    EXPECT_EQ(bad.exit_code, 2);
    EXPECT_NE(bad.err.find("unknown key help"), std::string::npos) << bad.err;
    EXPECT_NE(bad.err.find("key jobs is given 2 times"), std::string::npos) << bad.err;
    EXPECT_EQ(
        fenceline_program({"run", "--config", scratch.path.string(), "--print-config"}).exit_code,
        2)
        << "a folder is no configuration";
}

TEST(Manners, WordsTooManyAndMissingFilesAreNamed) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"sites", "list", "surplus"}, {"sites", "show", "camp25", "surplus"}}) {
        const Outcome refused = fenceline_program(words);
        EXPECT_EQ(refused.exit_code, 2);
        EXPECT_NE(refused.err.find("'surplus'"), std::string::npos) << refused.err;
    }
    EXPECT_EQ(fenceline_program({"run", "-h"}).out, fenceline_program({"run", "--help"}).out);
    const Outcome run =
        fenceline_program({"run", "--site", "no-such-site", "--images", "no-folder", "--out",
                           "no-parent/out", "--dem", "no-dem", "--perimeter", "no-line"});
    EXPECT_EQ(run.exit_code, 2);
    for (const char* said : {"no-such-site", "no-folder", "no-parent", "no-dem", "no-line"})
        EXPECT_NE(run.err.find(said), std::string::npos) << said << " in:\n" << run.err;
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"compare", "no-a", "no-b", "--out", "o"},
             {"align", "no-a", "no-b", "--out", "o.tif"},
             {"verify", "--claims", "no-a", "--report", "no-b"},
             {"evaluate", "--truth", "no-a", "--report", "no-b"}}) {
        const Outcome refused = fenceline_program(words);
        EXPECT_EQ(refused.exit_code, 2) << words[0];
        for (const char* said : {"no-a", "no-b"})
            EXPECT_NE(refused.err.find(said), std::string::npos) << refused.err;
    }
    const Outcome folders = fenceline_program({"verify", "--claims", ".", "--report", "/"});
    EXPECT_EQ(folders.exit_code, 2);
    EXPECT_NE(folders.err.find("--claims .: is a folder"), std::string::npos) << folders.err;
    EXPECT_NE(folders.err.find("--report /: is a folder"), std::string::npos) << folders.err;
    for (const char* later : {"monitor", "batch"}) {
        const Outcome refused = fenceline_program({later, "--help"});
        EXPECT_EQ(refused.exit_code, 2);
        EXPECT_NE(refused.err.find("not in this version"), std::string::npos) << refused.err;
    }
}

TEST(Manners, ASummaryIsJsonWhateverTheNamesOfFiles) {
    const ScratchFolder scratch;
    const std::string odd = scratch / "caf\xE9.csv";  // Latin 1
    write_text(odd, "title,wikidata,lat,lon\nCamp 22,Q1,42.5,129.9\n");
    const Outcome dry = fenceline_program({"sites", "import", odd, "--json", "--dry-run"});
    EXPECT_EQ(dry.exit_code, 0) << dry.err;
    EXPECT_NE(dry.out.find("caf\xEF\xBF\xBD.csv"), std::string::npos) << dry.out;
}

TEST(Manners, AnImportedCatalogueReplacesAFileOnlyWhenTold) {
    const ScratchFolder scratch;
    const std::string list = scratch / "pins.csv", out = scratch / "sites.geojson";
    write_text(list, "title;wikidata;lat;lon\nCamp 22;Q1;42,5;129,9\n");
    write_text(out, "mine");
    const Outcome refused = fenceline_program({"sites", "import", list, "--out", out});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.err.find("--overwrite"), std::string::npos) << refused.err;
    const Outcome dry =
        fenceline_program({"sites", "import", list, "--out", out, "--overwrite", "--dry-run"});
    EXPECT_EQ(dry.exit_code, 0) << dry.err;
    EXPECT_EQ(dry.out, "read  " + list + "\nwrite " + out + "\n");
    EXPECT_EQ(read_text(out), "mine");
    EXPECT_EQ(fenceline_program({"sites", "import", list, "--out", out, "--overwrite"}).exit_code,
              0);
    EXPECT_NE(read_text(out).find("\"camp-22\""), std::string::npos) << read_text(out);
    EXPECT_EQ(fenceline_program({"sites", "import", out, "--out", scratch / "." + "/sites.geojson",
                                 "--overwrite"})
                  .exit_code,
              2)
        << "the file that is imported, by another name";
    EXPECT_EQ(fenceline_program({"sites", "list", "--out", scratch / "new.geojson"}).exit_code, 2)
        << "nothing would be written";
    const Outcome shown = fenceline_program({"sites", "show", "camp-22", "--sites", list});
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path), {}), 2);
}

TEST(Manners, AllFaultsAreListedAtOnce) {
    const ScratchFolder scratch;
    write_text(scratch / "c.ini",
               "[align]\nserch_m = 50\nwindow_px = 7\n[run]\nsiet = a\n[nonsense]\nx = 1\n");
    const Outcome refused = fenceline_program(
        {"run", "--config", scratch / "c.ini", "--jobs", "many", "--out", scratch / "o"});
    EXPECT_EQ(refused.exit_code, 2);
    for (const char* part :
         {"unknown key align.serch_m; did you mean align.search_m?",
          "unknown key run.siet; did you mean run.site?", "'7' is not allowed for align.window_px",
          "32 to 512", "unknown key nonsense.x", "'many' is not allowed for jobs", "--site",
          "--images"})
        EXPECT_NE(refused.err.find(part), std::string::npos) << part << " missing in:\n"
                                                             << refused.err;
    EXPECT_EQ(refused.out, "");
    EXPECT_FALSE(std::filesystem::exists(scratch / "o"));
}

TEST(Manners, UnknownWordsAreRefusedWithTheNearestKnownOne) {
    const Outcome command = fenceline_program({"rum"});
    EXPECT_EQ(command.exit_code, 2);
    EXPECT_NE(command.err.find("unknown command 'rum'"), std::string::npos);
    const Outcome option = fenceline_program({"run", "--sight", "x"});
    EXPECT_EQ(option.exit_code, 2);
    EXPECT_NE(option.err.find("--site"), std::string::npos) << option.err;
    EXPECT_EQ(fenceline_program({}).exit_code, 2);
    EXPECT_EQ(fenceline_program({"run", "--jobs", "1", "--jobs", "2", "--print-config"}).exit_code,
              2);
    EXPECT_EQ(fenceline_program(
                  {"run", "--quiet", "--verbose", "--site", "a", "--images", "b", "--out", "c"})
                  .exit_code,
              2);
}

TEST(Manners, NumbersDoNotDependOnTheLocale) {
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    const Outcome printed = fenceline_program({"run", "--print-config", "--align.pass_px", "0.25"});
    unsetenv("LC_ALL");
    EXPECT_EQ(printed.exit_code, 0) << printed.err;
    EXPECT_NE(printed.out.find("pass_px = 0.25\n"), std::string::npos);
}

}  // namespace
}  // namespace fenceline
