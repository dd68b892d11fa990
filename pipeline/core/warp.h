#pragma once

#include <array>
#include <vector>

#include "core/geometry.h"

namespace fenceline {

/// x' = a[0] + a[1] x + a[2] y ; y' = a[3] + a[4] x + a[5] y, in grid pixels.
struct Affine {
    std::array<double, 6> a{0, 1, 0, 0, 0, 1};
    Point operator()(Point p) const {
        return {a[0] + a[1] * p.x + a[2] * p.y, a[3] + a[4] * p.x + a[5] * p.y};
    }
    bool is_identity() const { return a == std::array<double, 6>{0, 1, 0, 0, 0, 1}; }
};
/// first, then second.
Affine compose(const Affine& second, const Affine& first);

/// Smooth local displacement (grid px) on a regular lattice, interpolated by
/// Catmull–Rom splines, clamped at the border. Node (i, j) sits at pixel (i·spacing_px,
/// j·spacing_px).
struct LocalField {
    double spacing_px = 64;
    int columns = 0, rows = 0;
    std::vector<float> dx, dy;  ///< columns × rows, row by row
    Point operator()(Point p) const;
};

/// Where in the target's first warp (same grid, before registration) the reference's pixel is
/// found: target_px = affine(ref_px) + local(ref_px). Identity by default.
struct Warp {
    Affine affine;
    LocalField local;  ///< empty (columns == 0): none
    Point operator()(Point reference_px) const {
        const Point p = affine(reference_px);
        return local.columns > 0 ? p + local(reference_px) : p;
    }
    bool is_identity() const { return affine.is_identity() && local.columns == 0; }
};

/// Where the reference shows what the target has at a pixel of the same grid, width × height px:
/// warp(inverse(p)) = p, within 0.02 px for fields as smooth as align finds them. The affine part
/// must be invertible.
Warp inverse(const Warp& warp, int width, int height);

}  // namespace fenceline
