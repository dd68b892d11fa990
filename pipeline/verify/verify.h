#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/report.h"

namespace fenceline {

/// A stretch of time: from its first instant up to, not including, the end. "2009" is the whole
/// year.
struct Period {
    Time begin, end;
    std::string text;  ///< as written
    bool holds(Time t) const { return t >= begin && t < end; }
};

struct ClaimSource {
    std::string title, publisher, date, url, note;
};

/// What somebody published about a place, in a form that can be measured.
struct Claim {
    std::string id, statement;
    /// One of claim_kinds(). A measure (area, length, number of posts) has `at`; a change has
    /// `from` and `to`, the periods of the looks before and after it.
    std::string kind;
    double value = 0,
           tolerance =
               0;  ///< SI: m², m, shares (0.72 for 72 %), counts; tolerance: ± in the same unit
    std::string unit;                ///< as written, for people
    std::string relation = "about";  ///< about, at_least, at_most
    std::optional<Period> at, from, to;
    std::vector<ClaimSource> sources;
};

struct Claims {
    std::string title, site;  ///< the site's id in the catalogue
    std::vector<Claim> claims;
};

/// What a kind of claim is about.
struct ClaimKind {
    std::string name;
    bool is_change;                  ///< has from and to; else at
    std::vector<std::string> units;  ///< allowed, first one usual
};
const std::vector<ClaimKind>& claim_kinds();
/// Factor from a claim's unit to SI (km² → m², % → share); 0: no such unit.
double claim_unit_factor(const std::string& unit);

enum class Verdict { supported, contradicted, cannot_be_judged };
const char* name_of(Verdict verdict);

struct ClaimVerdict {
    Claim claim;
    Verdict verdict = Verdict::cannot_be_judged;
    std::string reason;  ///< a sentence: what was measured, or why nothing can be said
    std::optional<double> measured;
    std::optional<Interval> interval;   ///< 95 % for measures, 90 % for counts
    std::vector<std::string> evidence;  ///< ids of scenes, structures and changes
};

struct Verdicts {
    std::string title, site;
    bool simulated =
        false;  ///< the report is of a simulated series: it says nothing about the place
    std::vector<ClaimVerdict> claims;
    bool any_contradicted() const;
};

/// Holds each claim against the report. Supported: the measurement's interval meets the claim's
/// value ± tolerance (or bound) for a look in the period. Contradicted: it could have been seen and
/// no look of the period agrees. Cannot be judged: another site, no look in the period (a measure
/// is carried over between two looks without a perimeter change between them), not observable, seen
/// too little, or measured too coarsely.
Verdicts verify(const Claims& claims, const Report& report);

/// {"schema": "fenceline-verdicts/1", …}
std::string verdicts_json(const Verdicts& verdicts);
std::string verdicts_text(const Verdicts& verdicts);

}  // namespace fenceline
