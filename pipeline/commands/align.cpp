#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "align_pair.h"
#include "commands/command.h"
#include "commands/heights.h"
#include "core/error.h"
#include "input/single_image.h"
#include "output/geopackage.h"
#include "output/raster_writer.h"
#include "output/single_file.h"
#include "report_parts.h"

namespace fenceline {
namespace {

struct AlignArguments {
    std::string reference, target, out, ties;
    bool overwrite = false;
    AlignPairOptions options;
};

CommandOutput align_images(const AlignArguments& arguments, const Common& common,
                           Progress& progress) {
    std::vector<std::string> faults;
    for (const std::string& path : {arguments.out, arguments.ties})
        if (!path.empty())
            if (std::string fault = output_file_fault(path, arguments.overwrite); !fault.empty())
                faults.push_back(fault);
    if (!faults.empty()) throw UsageError(faults);
    const SceneInfo reference = single_image(arguments.reference, arguments.options.georef);
    const SceneInfo target = single_image(arguments.target, arguments.options.georef);
    if (common.dry_run) return would_use({reference.path, target.path}, arguments.out);
    CommandOutput output;
    const AlignOutcome done = align_pair(reference, target, arguments.options, progress);
    const Alignment& a = done.alignment;
    const RegistrationSummary summary = registration_summary(a);
    output.text = fmt::format(
        "{}: {} by {} tie points; mean shift {:+.2f} m east, {:+.2f} m north; expected RMSE {:.2f} "
        "m, CE90 {:.2f} m, held-out tie points {:.2f} m{}\n",
        summary.status, summary.model, summary.tie_points, a.dx_m, a.dy_m, a.rmse_m, a.ce90_m,
        a.held_out_m, a.reason.empty() ? "" : "; " + a.reason);
    output.json = nlohmann::json{{"status", summary.status},
                                 {"model", summary.model},
                                 {"tie_points", summary.tie_points},
                                 {"dx_m", a.dx_m},
                                 {"dy_m", a.dy_m},
                                 {"rmse_m", a.rmse_m},
                                 {"ce90_m", a.ce90_m},
                                 {"held_out_m", a.held_out_m},
                                 {"effective_gsd_m", a.effective_gsd_m},
                                 {"reason", a.reason},
                                 {"out", arguments.out}}
                      .dump();
    if (a.status == RegistrationStatus::fail)
        throw DataError(arguments.target, "it could not be registered: " + a.reason,
                        "nothing was written");
    Raster registered = done.registered.raster;
    registered.grid = done.grid;
    write_file_whole(arguments.out, [&](const std::string& path) {
        write_cog(path, registered, PixelType::f32, 0, scene_metadata(done.registered.info));
    });
    if (!arguments.ties.empty())
        write_file_whole(arguments.ties, [&](const std::string& path) {
            write_geopackage(path, {}, tie_point_records(target.id, a, done.grid));
        });
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
        "FILE.tif is TARGET on REFERENCE's grid, sampled once (32-bit float, no data 0). The "
        "expected RMSE comes from\n"
        "the tie points' scatter and place; held-out ones are those that the model has not seen. "
        "When nothing fits, that is said (exit 1) and nothing "
        "is written.";
    command.declare = [arguments](OptionTable& table) {
        AlignArguments& a = *arguments;
        table.argument(0, "reference", a.reference, "REFERENCE", "the image that stays");
        table.argument(1, "target", a.target, "TARGET", "the image that is moved");
        table.text("out", a.out, "FILE.tif", "the registered image").required = true;
        table.text("ties", a.ties, "FILE.gpkg", "write the tie points");
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
