#include "core/warp.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace fenceline {

Affine compose(const Affine& s, const Affine& f) {
    const auto &a = s.a, &b = f.a;
    return {{a[0] + a[1] * b[0] + a[2] * b[3], a[1] * b[1] + a[2] * b[4], a[1] * b[2] + a[2] * b[5],
             a[3] + a[4] * b[0] + a[5] * b[3], a[4] * b[1] + a[5] * b[4],
             a[4] * b[2] + a[5] * b[5]}};
}

Point LocalField::operator()(Point p) const {
    if (columns <= 0 || rows <= 0) return {};
    const double u = std::clamp(p.x / spacing_px, 0.0, static_cast<double>(columns - 1));
    const double v = std::clamp(p.y / spacing_px, 0.0, static_cast<double>(rows - 1));
    const int i = std::min(static_cast<int>(u), std::max(0, columns - 2));
    const int j = std::min(static_cast<int>(v), std::max(0, rows - 2));
    const auto weights = [](double t) {
        return std::array<double, 4>{
            0.5 * (-t + 2 * t * t - t * t * t), 0.5 * (2 - 5 * t * t + 3 * t * t * t),
            0.5 * (t + 4 * t * t - 3 * t * t * t), 0.5 * (-t * t + t * t * t)};
    };
    const auto wu = weights(u - i), wv = weights(v - j);
    Point sum{};
    for (int b = 0; b < 4; ++b)
        for (int a = 0; a < 4; ++a) {
            const int ci = std::clamp(i + a - 1, 0, columns - 1),
                      cj = std::clamp(j + b - 1, 0, rows - 1);
            const std::size_t k = static_cast<std::size_t>(cj) * static_cast<std::size_t>(columns) +
                                  static_cast<std::size_t>(ci);
            const double w = wu[static_cast<std::size_t>(a)] * wv[static_cast<std::size_t>(b)];
            sum.x += w * static_cast<double>(dx[k]);
            sum.y += w * static_cast<double>(dy[k]);
        }
    return sum;
}

Warp inverse(const Warp& warp, int width, int height) {
    const auto& a = warp.affine.a;
    const double det = a[1] * a[5] - a[2] * a[4];
    Warp out;
    out.affine.a = {(a[2] * a[3] - a[0] * a[5]) / det, a[5] / det,  -a[2] / det,
                    (a[0] * a[4] - a[1] * a[3]) / det, -a[4] / det, a[1] / det};
    if (warp.is_identity()) return {};
    if (warp.local.columns <= 0) return out;
    LocalField& field = out.local;
    field.spacing_px = warp.local.spacing_px / 3;
    field.columns = static_cast<int>(std::ceil(width / field.spacing_px)) + 1;
    field.rows = static_cast<int>(std::ceil(height / field.spacing_px)) + 1;
    const auto nodes =
        static_cast<std::size_t>(field.columns) * static_cast<std::size_t>(field.rows);
    field.dx.reserve(nodes);
    field.dy.reserve(nodes);
    for (int j = 0; j < field.rows; ++j)
        for (int i = 0; i < field.columns; ++i) {
            const Point p{i * field.spacing_px, j * field.spacing_px}, start = out.affine(p);
            Point found = start;
            // The field bends little, so what is missing shrinks by a hundredth each time.
            for (int round = 0; round < 6; ++round) {
                const Point missing = p - warp(found);
                found = found + missing;
            }
            field.dx.push_back(static_cast<float>(found.x - start.x));
            field.dy.push_back(static_cast<float>(found.y - start.y));
        }
    return out;
}

}  // namespace fenceline
