#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "align_pair.h"
#include "commands/command.h"
#include "commands/heights.h"
#include "core/error.h"
#include "input/single_image.h"
#include "input/transform_file.h"
#include "output/geopackage.h"
#include "output/raster_writer.h"
#include "output/single_file.h"
#include "output/staged_output.h"
#include "output/tie_points_csv.h"
#include "report_parts.h"

namespace fenceline {
namespace {

struct AlignArguments {
    std::string reference, target, out, ties, save_transform, apply_transform;
    bool overwrite = false;
    AlignPairOptions options;
};

bool ends_with(const std::string& text, std::string_view ending) {
    return text.size() >= ending.size() &&
           text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

std::vector<std::string> named(std::initializer_list<std::string> paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths)
        if (!path.empty()) files.push_back(path);
    return files;
}
std::vector<std::string> read_by(const AlignArguments& a, const Common& common) {
    return named(
        {a.reference, a.target, a.apply_transform, a.options.georef.dem_path, common.config});
}
std::vector<std::string> written_by(const AlignArguments& a) {
    return named({a.out, a.ties, a.save_transform});
}

/// Everything that is wrong with the arguments and can be known before an image is opened.
std::vector<std::string> faults_of(const AlignArguments& a) {
    std::vector<std::string> faults;
    for (const std::string& path : {a.out, a.ties, a.save_transform})
        if (!path.empty())
            if (std::string fault = output_file_fault(path, a.overwrite); !fault.empty())
                faults.push_back(fault);
    if (!ends_with(lower(a.out), ".tif") && !ends_with(lower(a.out), ".tiff"))
        faults.push_back("--out " + a.out +
                         ": a GeoTIFF is written; allowed are names that end in .tif or .tiff");
    if (!a.ties.empty() && !ends_with(a.ties, ".gpkg") && !ends_with(a.ties, ".csv"))
        faults.push_back("--ties " + a.ties + ": allowed are names that end in .gpkg or .csv");
    if (!a.apply_transform.empty())
        for (const auto& [option, value] :
             {std::pair{"--ties", a.ties}, {"--save-transform", a.save_transform}})
            if (!value.empty())
                faults.push_back(std::string(option) +
                                 " does not go with --apply-transform: nothing is matched");
    const auto written = written_by(a);
    for (auto i = written.begin(); i != written.end(); ++i) {
        std::error_code failed;
        if (std::find(written.begin(), i, *i) != i)
            faults.push_back(*i + ": two results cannot have the same name");
        for (const std::string& image : {a.reference, a.target, a.apply_transform})
            if (!image.empty() && std::filesystem::equivalent(*i, image, failed))
                faults.push_back(*i + ": is read; an image is never written over");
    }
    return faults;
}

/// In the samples' own type, strip by strip where the image is large.
void write_registered(WholeFiles& files, const std::string& path, const AlignOutcome& done,
                      const Common& common) {
    constexpr double kStripSamples = 8e6, kHeldSamples = 64e6;
    GridReader& image = *done.registered;
    const Grid& grid = done.grid;
    const int bands = image.band_count();
    const double per_row = static_cast<double>(grid.width) * std::max(1, bands);
    const int rows = per_row * grid.height <= kHeldSamples
                         ? grid.height
                         : std::max(64, static_cast<int>(kStripSamples / per_row));
    const PixelType type = image.sample_type() == SampleType::u8    ? PixelType::u8
                           : image.sample_type() == SampleType::u16 ? PixelType::u16
                                                                    : PixelType::f32;
    TiffMetadata metadata = scene_metadata(done.info);
    metadata.overview_resampling = "AVERAGE";
    metadata.held_bytes = 0.5 * 1048576 * common.max_memory_mib;
    metadata.deflate_level = 1;  // a few per cent larger, in half of the time
    files.add(path, [&](const std::string& part) {
        write_cog(part, grid, bands, rows, type, 0, metadata, [&](int first, int count) {
            return image.read({0, first, grid.width, count}).raster;
        });
    });
}

SavedTransform saved(const AlignOutcome& done, const RegistrationSummary& summary,
                     const SceneInfo& reference, const SceneInfo& target) {
    SavedTransform t;
    t.reference = reference.id, t.target = target.id;
    t.target_datetime = target.datetime;
    t.grid = done.grid;
    t.target_from_reference = done.alignment.target_from_reference;
    t.model = summary.model, t.status = summary.status, t.reason = done.alignment.reason;
    t.tie_points = summary.tie_points;
    t.dx_m = summary.dx_m, t.dy_m = summary.dy_m;
    t.rmse_m = summary.rmse_m, t.ce90_m = summary.ce90_m;
    return t;
}

CommandOutput apply_saved(const AlignArguments& arguments, const SceneInfo& reference,
                          const SceneInfo& target, const Common& common, Progress& progress) {
    const SavedTransform transform = read_transform(arguments.apply_transform);
    if (target.datetime && transform.target_datetime &&
        std::abs(target.datetime->days() - transform.target_datetime->days()) > 1)
        progress.warn(fmt::format("{} is of {}, the transform was found for {} of {}", target.id,
                                  format_time(*target.datetime), transform.target,
                                  format_time(*transform.target_datetime)));
    AlignOutcome done =
        apply_transform(reference, target, transform.grid, transform.target_from_reference,
                        arguments.options, progress);
    WholeFiles files;
    write_registered(files, arguments.out, done, common);
    files.commit();
    CommandOutput output;
    output.text = fmt::format(
        "applied: {} found between {} and {} ({}; expected RMSE {:.2f} m, CE90 {:.2f} m)\n",
        transform.model, transform.reference, transform.target, transform.status, transform.rmse_m,
        transform.ce90_m);
    output.json = one_line({{"status", transform.status},
                            {"model", transform.model},
                            {"tie_points", transform.tie_points},
                            {"dx_m", transform.dx_m},
                            {"dy_m", transform.dy_m},
                            {"rmse_m", transform.rmse_m},
                            {"ce90_m", transform.ce90_m},
                            {"reason", transform.reason},
                            {"transform", arguments.apply_transform},
                            {"out", arguments.out}});
    return output;
}

CommandOutput align_images(const AlignArguments& arguments, const Common& common,
                           Progress& progress) {
    auto faults = faults_of(arguments);
    check_exists(faults, "REFERENCE", arguments.reference);
    check_exists(faults, "TARGET", arguments.target);
    check_exists(faults, "--apply-transform", arguments.apply_transform);
    check_exists(faults, "--dem", arguments.options.georef.dem_path);
    if (!faults.empty()) throw UsageError(faults);
    const SceneInfo reference = single_image(arguments.reference, arguments.options.georef, false);
    const SceneInfo target = single_image(arguments.target, arguments.options.georef, false);
    if (common.dry_run) return would_use(read_by(arguments, common), written_by(arguments));
    if (!arguments.apply_transform.empty())
        return apply_saved(arguments, reference, target, common, progress);
    CommandOutput output;
    AlignOutcome done = align_pair(reference, target, arguments.options, progress);
    const Alignment& a = done.alignment;
    const RegistrationSummary summary = registration_summary(a);
    output.text = fmt::format(
        "{}: {} by {} tie points; mean shift {:+.2f} m east, {:+.2f} m north; expected RMSE {:.2f} "
        "m, CE90 {:.2f} m, held-out tie points {:.2f} m{}\n",
        summary.status, summary.model, summary.tie_points, a.dx_m, a.dy_m, a.rmse_m, a.ce90_m,
        a.held_out_m, a.reason.empty() ? "" : "; " + a.reason);
    output.json = one_line({{"status", summary.status},
                            {"model", summary.model},
                            {"tie_points", summary.tie_points},
                            {"dx_m", a.dx_m},
                            {"dy_m", a.dy_m},
                            {"rmse_m", a.rmse_m},
                            {"ce90_m", a.ce90_m},
                            {"held_out_m", a.held_out_m},
                            {"effective_gsd_m", a.effective_gsd_m},
                            {"reason", a.reason},
                            {"out", arguments.out}});
    if (a.status == RegistrationStatus::fail)
        throw DataError(arguments.target, "it could not be registered: " + a.reason,
                        "nothing was written");
    const auto ties = tie_point_records(target.id, a, done.grid);
    const SavedTransform transform = saved(done, summary, reference, target);
    WholeFiles files;
    write_registered(files, arguments.out, done, common);
    if (!arguments.ties.empty())
        files.add(arguments.ties, [&](const std::string& path) {
            if (ends_with(arguments.ties, ".csv"))
                write_tie_points_csv(path, ties);
            else
                write_geopackage(path, {}, ties);
        });
    if (!arguments.save_transform.empty())
        files.add(arguments.save_transform,
                  [&](const std::string& path) { write_file(path, transform_json(transform)); });
    files.commit();
    return output;
}

}  // namespace

Command align_command() {
    const auto arguments = std::make_shared<AlignArguments>();
    Command command;
    command.name = "align";
    command.usage = "fenceline align REFERENCE TARGET --out FILE.tif [OPTIONS]";
    command.summary = "co-register one image";
    command.notes =
        "FILE.tif is TARGET on REFERENCE's grid, sampled once (no data 0). The "
        "expected RMSE comes from\n"
        "the tie points' scatter and place; held-out ones are those that the model has not seen. "
        "When nothing fits, that is said (exit 1) and nothing\n"
        "is written. A saved transform brings other bands and products of the same scene onto "
        "REFERENCE's grid, sampled once:\n"
        "fenceline align REFERENCE BAND --apply-transform FILE.json --out BAND.tif";
    command.declare = [arguments](OptionTable& table) {
        AlignArguments& a = *arguments;
        table.argument(0, "reference", a.reference, "REFERENCE", "the image that stays");
        table.argument(1, "target", a.target, "TARGET", "the image that is moved");
        table.text("out", a.out, "FILE.tif", "the registered image").required = true;
        table.text("ties", a.ties, "FILE.gpkg|.csv", "write the tie points");
        table.text("save-transform", a.save_transform, "FILE.json", "keep the registration");
        table.text("apply-transform", a.apply_transform, "FILE.json",
                   "use a kept registration instead of matching");
        table("overwrite", a.overwrite, "replace files that exist");
        describe_heights(a.options.georef, table);
        describe(a.options, table);
    };
    command.run = [arguments](const Common& common, Progress& progress) {
        return align_images(*arguments, common, progress);
    };
    return command;
}

}  // namespace fenceline
