#pragma once

#include <limits>
#include <span>
#include <vector>

#include "core/options.h"
#include "core/report.h"
#include "core/scene.h"
#include "stages/difference.h"
#include "stages/perimeter.h"
#include "stages/structures.h"

namespace fenceline {

struct TrackOptions {
    double confirm_llr = 6.8;  ///< Wald 1945: ln((1-β)/α), α 0.001, β 0.1
    /// The same for new structures and removed guard posts, α 0.01: the price of the unknown date
    /// (2 or more) and the limits on single looks come on top; on tune series nothing false is
    /// confirmed from here on. And what one look alone must say, beside its change map, to be
    /// provisional.
    double confirm_new_llr = 4.5;
    double reject_llr = -2.3;  ///< ln(β/(1-α))
    int min_independent_looks = 2;
    double independent_days = 20, independent_sun_deg = 10;  ///< looks differ in season or sun
    double max_look_llr = 5;  ///< no single look says more than this, whatever its detector claims
    /// The same for a look that does not show a structure which other looks show: of 1742 looks at
    /// standing ones that others show well, none scored as low as places without one do (camp25
    /// seeds 101–106).
    double max_absence_llr = 7;
    double change_log_prior =
        -2.3;  ///< ln of the share of objects that change within a series (about 1 in 10)
    double new_line_prior =
        4;  ///< log-odds that a post on a new stretch of line is as new as the line
    double list_from = 0.2;  ///< structures that exist with less probability are left out
    double min_ground_change_m2 = 150;
};
template <class Visitor>
void describe(TrackOptions& o, Visitor&& v) {
    v("track.confirm_llr", o.confirm_llr, Range{0, 100}, "",
      "log-likelihood ratio from which a change is confirmed");
    v("track.confirm_new_llr", o.confirm_new_llr, Range{0, 100}, "",
      "the same for new buildings, new and removed guard posts");
    v("track.reject_llr", o.reject_llr, Range{-100, 0}, "",
      "log-likelihood ratio below which it is rejected");
    v("track.min_independent_looks", o.min_independent_looks, Range{1, 100}, "",
      "independent looks that a confirmed change needs");
    v("track.independent_days", o.independent_days, Range{0, 366}, "days",
      "looks this far apart are independent");
    v("track.max_look_llr", o.max_look_llr, Range{0.5, 50}, "",
      "largest log-likelihood ratio that one look may contribute");
    v("track.max_absence_llr", o.max_absence_llr, Range{0.5, 50}, "",
      "the same for a look that does not show a structure which other looks show");
    v("track.change_log_prior", o.change_log_prior, Range{-20, 0}, "",
      "log of the share of objects expected to change in a series; enters the confidence, not the "
      "test");
    v("track.new_line_prior", o.new_line_prior, Range{0, 10}, "",
      "prior log-odds that a guard post on a confirmed new stretch of the line was built with it");
    v("track.list_from", o.list_from, Range{0, 1}, "",
      "structures with a lower probability of existing are not listed");
    v("track.min_ground_change_m2", o.min_ground_change_m2, Range{1, 1e7}, "m²",
      "smallest ground disturbance that is reported");
    v("track.independent_sun_deg", o.independent_sun_deg, Range{0, 90}, "°",
      "looks whose sun differs this much are independent");
}

/// Everything the looks said, by scene index.
struct SeriesEvidence {
    std::vector<SceneInfo> scenes;       ///< usable ones, time order
    std::vector<bool> may_start_change;  ///< per scene
    PerimeterResult perimeter;
    std::vector<Detection> objects;
    std::vector<std::vector<Look>> looks;  ///< [scene][object]
    std::vector<ChangeMap>
        intervals;  ///< between scene i and i+1; planes may be empty, objects matter
};

/// One look in which an object could be judged.
struct CourseLook {
    int scene = 0;
    double llr = 0;         ///< present against absent, natural log
    bool may_start = true;  ///< may this look start a change, or only support one
    double days = std::numeric_limits<double>::quiet_NaN();  ///< since any day; NaN: not known
    /// What the change maps between the look before and this one say of something having appeared,
    /// or gone, against no change: log-likelihood ratios; 0: no map.
    double appeared_llr = 0, gone_llr = 0;
};

/// How one object went through the series.
enum class Course { absent, present, appeared, disappeared, appeared_and_disappeared, unsteady };

struct CourseEstimate {
    Course course = Course::absent;
    /// Log of the best change model's likelihood (averaged over where its change points may lie)
    /// over the best no-change model's. Negative: no change explains the looks better.
    double change_llr = 0;
    double existence_log_odds = 0;
    /// Scene indices; -1: not known. An appearance lies between last_not_seen and first_seen, a
    /// disappearance between last_seen and first_not_seen: the ends of the 95 % credible set of
    /// change points.
    int last_not_seen = -1, first_seen = -1, last_seen = -1, first_not_seen = -1;
    std::vector<int> supporting;  ///< scenes that show the new state and agree with it, time order
    int looks_with = 0;           ///< looks that show the object while it is believed to stand
    bool was_provisional =
        false;  ///< an appearance was provisional at an earlier look (two looks agreed)
};

/// Change-point analysis of a sequence of looks (binary two-state model; change points by maximum
/// likelihood, dated by their posterior; a priori a change is as likely between any two looks as
/// half their number and half the time between them say). Compared are: always absent, always
/// present, appeared once, disappeared once, appeared and went away again. An object that comes and
/// goes (haystacks, ponds, parked vehicles) is a veto: when that explains the looks best, no change
/// is claimed. Looks in time order; non-finite ones and those of 0 are not observable and say
/// nothing. present_prior: log prior odds of "always present" against the others (negative: it is
/// unlikely to be old).
CourseEstimate estimate_course(std::span<const CourseLook> looks, double present_prior,
                               const TrackOptions& options);

/// How many of these scenes are independent looks: pairwise at least independent_days apart, or
/// with the sun at least independent_sun_deg elsewhere (greedy, in the order given).
int independent_looks(std::span<const SceneInfo> scenes, std::span<const int> which,
                      const TrackOptions& options);

struct Tracks {
    std::vector<ReportStructure> structures;
    std::vector<ReportChange> changes;
    std::vector<NotObservable> not_observable;
};

/// Sequential test of every object and change over its looks (Wald 1945), intervals, states. Ids
/// are stable (sorted by kind, then place). METHODS.md 7.
Tracks track(const SeriesEvidence& evidence, const Grid& grid,
             const StructureOptions& structure_options, const TrackOptions& options);

/// The change objects of one pair as candidate changes, for `compare`: no history, so no state
/// beyond candidate. Appeared and disappeared objects become new_building and removed_building,
/// elongated ones new_road.
std::vector<ReportChange> changes_of_pair(const ChangeMap& map, const SceneInfo& before,
                                          const SceneInfo& after, const Grid& grid);

}  // namespace fenceline
