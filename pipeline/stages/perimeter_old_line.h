#pragma once

#include <optional>
#include <span>
#include <vector>

#include "stages/perimeter_detour.h"
#include "stages/perimeter_looks.h"

namespace fenceline {

// What became of a line: whether it still stands, or went away at some time.

/// What a line looks like from side to side, in every look, in pieces of some 20 m: a wall that
/// was torn down leaves its cleared strip, which is as good a line as before, but the strip's
/// profile is no longer that of a wall.
class LineProfiles {
  public:
    /// line: closed or open, lying on what was traced.
    LineProfiles(const Series& series, const Centreline& line);

    int columns_per_piece() const { return columns_per_piece_; }
    int pieces() const { return pieces_; }

    /// How far a piece has changed between some looks and later ones: mean correlation of its
    /// profile among the earlier and among the later looks less that between them. Seasons and suns
    /// change every piece: the lower quartile over the pieces (their median where one side has a
    /// single look) is taken off, and 1 is three times the scatter of those that changed least.
    /// From 1 on the line is rather gone than not. Empty where no earlier or no later look sees the
    /// piece.
    std::vector<std::optional<double>> changed(std::span<const int> before,
                                               std::span<const int> after) const;

  private:
    /// Correlation of a piece's profiles in two looks, each at its best place within a unit.
    std::optional<double> alike(int piece, int look, int other) const;

    int columns_per_piece_ = 1, pieces_ = 0, looks_ = 0;
    std::vector<std::optional<double>> alike_;  ///< piece by piece, look by look
};

/// How clearly a piece is gone, -1 (it stands) … 1.
double gone_by(double changed);

/// A run of a closed line's pieces: from … to (excluded, modulo their number).
struct PieceRun {
    int from = 0, to = 0;
    double pieces_gone = 0;  ///< sum of gone_by over them
};

/// The run whose pieces are most clearly gone, taken together: pieces among them that stand count
/// against it, those that nobody saw count nothing. Empty when it is worth less than three pieces.
std::optional<PieceRun> gone_run(std::span<const std::optional<double>> changed);

/// The fate of a closed line over the looks that can show it.
class OldLine {
  public:
    /// first: position in `usable` of the first look that shows the ring.
    OldLine(const Series& series, const Centreline& ring, int first);

    /// Whether a stretch of it went away at some time; split: position in `usable` of the first
    /// look without it.
    bool gone() const { return gone_.has_value(); }
    int split() const { return split_; }

    /// Ring points at and beside the first and the last point of the stretch that went away; only
    /// if one did.
    std::vector<int> starts() const { return beside(gone_->from); }
    std::vector<int> stops() const { return beside(gone_->to); }

    /// Whether a detour replaces the stretch that went away, and at most half as much again; only
    /// if one did.
    bool is_replaced_by(const Detour& detour) const;

    /// Points of the stretch that a detour replaces that went away at a split, less those that
    /// stayed, each between 0 and 1 by how clearly.
    double went(const Detour& detour, int split) const;

  private:
    /// The ring point where a piece begins, and those a piece before and after it.
    std::vector<int> beside(int piece) const;
    /// Points from one to another, with wrap.
    int steps(int from, int to) const;

    LineProfiles profiles_;
    int points_ = 0, split_ = 0;
    std::vector<std::vector<std::optional<double>>> changed_;  ///< per split
    std::optional<PieceRun> gone_;
};

}  // namespace fenceline
