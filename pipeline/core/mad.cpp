#include "core/mad.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/parallel.h"
#include "kernels/bands.h"
#include "kernels/chi_square.h"
#include "kernels/moments.h"

namespace fenceline {
namespace {

constexpr std::size_t kChunk =
    4096;  // samples per partial sum: the order of addition never depends on threads
constexpr double kSmallestVariance = 1e-6;  // 2(1 - ρ) of identical images is 0

/// Σ over all samples, chunk by chunk, in fixed order.
std::vector<double> total_moments(const std::vector<std::vector<float>>& channels,
                                  const std::vector<float>& weights) {
    const std::size_t n = weights.size();
    const int count = static_cast<int>(channels.size());
    const std::size_t moments = kernels::moment_count(count);
    const int chunks = static_cast<int>((n + kChunk - 1) / kChunk);
    std::vector<double> partial(static_cast<std::size_t>(chunks) * moments), total(moments, 0.0);
    parallel_items(chunks, [&](int k) {
        const std::size_t begin = static_cast<std::size_t>(k) * kChunk;
        std::vector<const float*> rows;
        for (const auto& channel : channels) rows.push_back(channel.data() + begin);
        kernels::weighted_moments(rows.data(), count, weights.data() + begin,
                                  std::min(kChunk, n - begin),
                                  partial.data() + static_cast<std::size_t>(k) * moments);
    });
    for (int k = 0; k < chunks; ++k)
        for (std::size_t m = 0; m < moments; ++m)
            total[m] += partial[static_cast<std::size_t>(k) * moments + m];
    return total;
}

/// Ridge on a matrix whose smallest eigenvalue is too small against its largest.
void regularise(Eigen::MatrixXd& matrix, double ridge) {
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix, Eigen::EigenvaluesOnly);
    const double largest = solver.eigenvalues().maxCoeff();
    if (solver.eigenvalues().minCoeff() < ridge * largest)
        matrix.diagonal().array() += ridge * largest;
}

/// Canonical variates of two images' bands: columns of a and b; a·x and b·y have unit variance and
/// correlation rho, largest first.
struct Canonical {
    Eigen::MatrixXd a, b;
    Eigen::VectorXd mean, rho;
    std::string fault;
};

/// moments: as weighted_moments() gives them for the bands of the first image, then the second's.
Canonical canonical_variates(std::span<const double> moments, int bands, double ridge) {
    Canonical c;
    const double total = moments[0];
    c.mean.resize(2 * bands);
    Eigen::MatrixXd covariance(2 * bands, 2 * bands);
    for (int i = 0; i < 2 * bands; ++i)
        c.mean(i) = moments[static_cast<std::size_t>(1 + i)] / total;
    auto m = static_cast<std::size_t>(1 + 2 * bands);
    for (int i = 0; i < 2 * bands; ++i)
        for (int j = i; j < 2 * bands; ++j)
            covariance(i, j) = covariance(j, i) = moments[m++] / total - c.mean(i) * c.mean(j);
    Eigen::MatrixXd s11 = covariance.topLeftCorner(bands, bands);
    Eigen::MatrixXd s22 = covariance.bottomRightCorner(bands, bands);
    const Eigen::MatrixXd s12 = covariance.topRightCorner(bands, bands);
    regularise(s11, ridge);
    regularise(s22, ridge);
    const Eigen::LLT<Eigen::MatrixXd> l11(s11), l22(s22);
    if (l11.info() != Eigen::Success || l22.info() != Eigen::Success) {
        c.fault = "the bands are linearly dependent";
        return c;
    }
    // Canonical correlations: the singular values of the whitened cross-covariance L11⁻¹ Σ12 L22⁻ᵀ.
    Eigen::MatrixXd whitened = l11.matrixL().solve(s12);
    whitened = l22.matrixL().solve(whitened.transpose()).transpose().eval();
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(whitened,
                                                Eigen::ComputeFullU | Eigen::ComputeFullV);
    c.rho = svd.singularValues().cwiseMin(1.0).cwiseMax(0.0);
    c.a = l11.matrixU().solve(svd.matrixU());
    c.b = l22.matrixU().solve(svd.matrixV());
    if (!c.rho.allFinite() || !c.a.allFinite() || !c.b.allFinite())
        c.fault = "the canonical correlations are not finite";
    return c;
}

}  // namespace

MadTransform mad_of_moments(std::span<const double> moments, int bands, double ridge) {
    MadTransform transform;
    transform.bands = bands;
    const Canonical c = canonical_variates(moments, bands, ridge);
    transform.fault = c.fault;
    if (!c.fault.empty()) return transform;
    transform.rounds = 1;
    for (int i = 0; i < bands; ++i) {
        transform.mean_first.push_back(c.mean(i));
        transform.mean_second.push_back(c.mean(bands + i));
        transform.correlation.push_back(c.rho(i));
        transform.sigma.push_back(std::sqrt(std::max(kSmallestVariance, 2 * (1 - c.rho(i)))));
        transform.a.emplace_back(c.a.col(i).begin(), c.a.col(i).end());
        transform.b.emplace_back(c.b.col(i).begin(), c.b.col(i).end());
    }
    return transform;
}

std::vector<const Plane*> pointers(const std::vector<Plane>& planes) {
    std::vector<const Plane*> all;
    for (const auto& plane : planes) all.push_back(&plane);
    return all;
}

CommonBands common_bands(const Raster& first, const Raster& second) {
    CommonBands common;
    std::vector<bool> used(second.bands.size(), false);
    const auto role_of = [](const Raster& raster, std::size_t i) {
        return i < raster.roles.size() ? raster.roles[i] : BandRole::other;
    };
    for (std::size_t i = 0; i < first.bands.size(); ++i)
        for (std::size_t j = 0; j < second.bands.size(); ++j)
            if (!used[j] && role_of(first, i) == role_of(second, j)) {
                used[j] = true;
                common.first.push_back(&first.bands[i]);
                common.second.push_back(&second.bands[j]);
                common.roles.push_back(role_of(first, i));
                common.indices.emplace_back(static_cast<int>(i), static_cast<int>(j));
                break;
            }
    if (common.first.empty() && !first.bands.empty() && !second.bands.empty()) {
        common.luminance_first = std::make_shared<const Plane>(luminance(first));
        common.luminance_second = std::make_shared<const Plane>(luminance(second));
        common.first.push_back(common.luminance_first.get());
        common.second.push_back(common.luminance_second.get());
        common.roles.push_back(BandRole::pan);
        common.note = "the images share no band; their luminance was compared";
    } else if (common.first.size() < std::max(first.bands.size(), second.bands.size())) {
        std::string names;
        for (const BandRole role : common.roles)
            names += (names.empty() ? "" : ", ") + std::string(name_of(role));
        common.note = "only the bands that both images have were used: " + names;
    }
    return common;
}

BlockAverages block_averages(const CommonBands& bands, const Mask& seen, int side) {
    BlockAverages averages;
    averages.side = side;
    const int columns = seen.width() / side, rows = seen.height() / side;
    averages.seen = Mask(columns, rows);
    for (std::size_t b = 0; b < bands.first.size(); ++b) {
        averages.first.emplace_back(columns, rows);
        averages.second.emplace_back(columns, rows);
    }
    parallel_rows(rows, [&](int y0, int y1) {
        std::vector<const float*> lines(static_cast<std::size_t>(side));
        for (int y = y0; y < y1; ++y) {
            std::uint8_t* out = averages.seen.row(y);
            std::fill(out, out + columns, std::uint8_t{1});
            for (int k = 0; k < side; ++k) {
                const std::uint8_t* in = seen.row(y * side + k);
                for (int x = 0; x < columns; ++x)
                    for (int i = 0; i < side; ++i)
                        if (in[x * side + i] == 0) out[x] = 0;
            }
            for (std::size_t b = 0; b < bands.first.size(); ++b)
                for (const bool second : {false, true}) {
                    const Plane& source = second ? *bands.second[b] : *bands.first[b];
                    for (int k = 0; k < side; ++k)
                        lines[static_cast<std::size_t>(k)] = source.row(y * side + k);
                    kernels::block_average(lines.data(), side, static_cast<std::size_t>(columns),
                                           (second ? averages.second : averages.first)[b].row(y));
                }
        }
    });
    for (int y = 0; y < rows; ++y)
        averages.seen_count +=
            static_cast<int>(std::count(averages.seen.row(y), averages.seen.row(y) + columns, 1));
    return averages;
}

double chi_square_survival(double value, int degrees_of_freedom) {
    // Abramowitz & Stegun 1964, 26.4.4 and 26.4.5.
    if (!(value > 0)) return 1;
    double sum = 0, term = 0;
    if (degrees_of_freedom % 2 == 0) {
        term = std::exp(-value / 2);
        for (int k = 2; k <= degrees_of_freedom; k += 2) {
            sum += term;
            term *= value / k;
        }
    } else {
        const double root = std::sqrt(value);
        sum = std::erfc(root / std::numbers::sqrt2);
        term = 2 * std::exp(-value / 2) / std::sqrt(2 * std::numbers::pi) * root;
        for (int k = 3; k <= degrees_of_freedom; k += 2) {
            sum += term;
            term *= value / k;
        }
    }
    return std::clamp(sum, 0.0, 1.0);
}

MadTransform fit_mad(std::span<const Plane* const> first, std::span<const Plane* const> second,
                     const Mask& seen, const MadOptions& options) {
    MadTransform transform;
    const int bands = static_cast<int>(std::min(first.size(), second.size()));
    transform.bands = bands;
    if (bands == 0) {
        transform.fault = "there is no common band";
        return transform;
    }
    std::size_t available = 0;
    for (int y = 0; y < seen.height(); ++y)
        for (int x = 0; x < seen.width(); ++x) available += seen.at(x, y) != 0;
    const std::size_t step =
        std::max<std::size_t>(1, (available + static_cast<std::size_t>(options.max_samples) - 1) /
                                     static_cast<std::size_t>(options.max_samples));
    const std::size_t needed = 10 * static_cast<std::size_t>(bands) + 20;
    if (available / step < needed) {
        transform.fault = "too few common pixels";
        return transform;
    }
    const auto channel_count = static_cast<std::size_t>(2 * bands);
    std::vector<std::vector<float>> channels(channel_count);
    for (auto& channel : channels) channel.reserve(available / step + 1);
    std::size_t k = 0;
    for (int y = 0; y < seen.height(); ++y)
        for (int x = 0; x < seen.width(); ++x) {
            if (seen.at(x, y) == 0) continue;
            if (k++ % step != 0) continue;
            for (std::size_t b = 0; b < static_cast<std::size_t>(bands); ++b) {
                channels[b].push_back(first[b]->at(x, y));
                channels[b + static_cast<std::size_t>(bands)].push_back(second[b]->at(x, y));
            }
        }
    // Work in standard units: the ridge then means the same for 8-bit and 16-bit images.
    const std::size_t n = channels[0].size();
    std::vector<double> centre(channel_count), scale(channel_count);
    for (std::size_t c = 0; c < channel_count; ++c) {
        double sum = 0, squares = 0;
        for (const float v : channels[c]) sum += static_cast<double>(v);
        centre[c] = sum / static_cast<double>(n);
        for (const float v : channels[c])
            squares += std::pow(static_cast<double>(v) - centre[c], 2);
        scale[c] = std::sqrt(squares / static_cast<double>(n));
        if (!(scale[c] > 0) || !std::isfinite(scale[c])) {
            transform.fault = "a band is constant";
            return transform;
        }
        for (float& v : channels[c])
            v = static_cast<float>((static_cast<double>(v) - centre[c]) / scale[c]);
    }

    std::vector<float> weights(n, 1.0F);
    Eigen::VectorXd previous = Eigen::VectorXd::Constant(bands, 2.0);
    Eigen::MatrixXd a, b;
    Eigen::VectorXd mean, rho;
    for (int round = 1; round <= std::max(1, options.max_rounds); ++round) {
        const auto moments = total_moments(channels, weights);
        const double total = moments[0];
        if (!(total > static_cast<double>(needed))) {
            transform.fault = "the no-change pixels died out";
            return transform;
        }
        Canonical found = canonical_variates(moments, bands, options.ridge);
        if (!found.fault.empty()) {
            transform.fault = found.fault;
            return transform;
        }
        mean = std::move(found.mean);
        a = std::move(found.a);
        b = std::move(found.b);
        rho = std::move(found.rho);
        transform.rounds = round;
        const double change = (rho - previous).cwiseAbs().maxCoeff();
        previous = rho;
        if (change < options.convergence) {
            transform.converged = true;
            break;
        }
        if (round == std::max(1, options.max_rounds)) break;
        // Σ(MAD_i/σ_i)² as linear combinations of all channels, then their χ² probability.
        const auto width = static_cast<std::size_t>(2 * bands);
        std::vector<float> combination(static_cast<std::size_t>(bands) * width),
            constants(static_cast<std::size_t>(bands));
        for (int i = 0; i < bands; ++i) {
            const double inverse_sigma =
                1 / std::sqrt(std::max(kSmallestVariance, 2 * (1 - rho(i))));
            float* row = combination.data() + static_cast<std::size_t>(i) * width;
            double constant = 0;
            for (int j = 0; j < bands; ++j) {
                row[j] = static_cast<float>(a(j, i) * inverse_sigma);
                row[j + bands] = static_cast<float>(-b(j, i) * inverse_sigma);
                constant += (b(j, i) * mean(j + bands) - a(j, i) * mean(j)) * inverse_sigma;
            }
            constants[static_cast<std::size_t>(i)] = static_cast<float>(constant);
        }
        parallel_items(static_cast<int>((n + kChunk - 1) / kChunk), [&](int chunk) {
            const std::size_t begin = static_cast<std::size_t>(chunk) * kChunk,
                              count = std::min(kChunk, n - begin);
            std::vector<const float*> rows;
            for (const auto& channel : channels) rows.push_back(channel.data() + begin);
            kernels::squared_variates(rows.data(), 2 * bands, combination.data(), constants.data(),
                                      bands, count, weights.data() + begin);
            kernels::chi_square_survival(weights.data() + begin, count, bands,
                                         weights.data() + begin);
        });
    }
    for (int i = 0; i < bands; ++i) {
        const auto u = static_cast<std::size_t>(i);
        transform.mean_first.push_back(centre[u] + scale[u] * mean(i));
        transform.mean_second.push_back(centre[u + static_cast<std::size_t>(bands)] +
                                        scale[u + static_cast<std::size_t>(bands)] *
                                            mean(i + bands));
        transform.correlation.push_back(rho(i));
        transform.sigma.push_back(std::sqrt(std::max(kSmallestVariance, 2 * (1 - rho(i)))));
        std::vector<double> row_a, row_b;
        for (int j = 0; j < bands; ++j) {
            row_a.push_back(a(j, i) / scale[static_cast<std::size_t>(j)]);
            row_b.push_back(b(j, i) / scale[static_cast<std::size_t>(j + bands)]);
        }
        // A fixed sign: variates are otherwise free to flip.
        double sum = 0;
        for (int j = 0; j < bands; ++j) sum += a(j, i);
        if (sum < 0)
            for (int j = 0; j < bands; ++j) {
                row_a[static_cast<std::size_t>(j)] *= -1;
                row_b[static_cast<std::size_t>(j)] *= -1;
            }
        transform.a.push_back(row_a);
        transform.b.push_back(row_b);
    }
    return transform;
}

Plane mad_chi_square(std::span<const Plane* const> first, std::span<const Plane* const> second,
                     const Mask& seen, const MadTransform& transform) {
    Plane chi_square(seen.width(), seen.height());
    const auto n = static_cast<std::size_t>(transform.bands);
    if (!transform.fault.empty() || n == 0) return chi_square;
    std::vector<float> weights, constants;
    for (std::size_t i = 0; i < n; ++i) {
        double constant = 0;
        for (std::size_t j = 0; j < n; ++j) {
            weights.push_back(static_cast<float>(transform.a[i][j] / transform.sigma[i]));
            constant -= transform.a[i][j] / transform.sigma[i] * transform.mean_first[j];
        }
        for (std::size_t j = 0; j < n; ++j) {
            weights.push_back(static_cast<float>(-transform.b[i][j] / transform.sigma[i]));
            constant += transform.b[i][j] / transform.sigma[i] * transform.mean_second[j];
        }
        constants.push_back(static_cast<float>(constant));
    }
    const auto width = static_cast<std::size_t>(seen.width());
    parallel_rows(seen.height(), [&](int y0, int y1) {
        std::vector<const float*> rows(2 * n);
        for (int y = y0; y < y1; ++y) {
            float* out = chi_square.row(y);
            for (std::size_t j = 0; j < n; ++j) {
                rows[j] = first[j]->row(y);
                rows[n + j] = second[j]->row(y);
            }
            kernels::squared_variates(rows.data(), static_cast<int>(2 * n), weights.data(),
                                      constants.data(), static_cast<int>(n), width, out);
            const std::uint8_t* ok = seen.row(y);
            for (std::size_t x = 0; x < width; ++x)
                if (ok[x] == 0) out[x] = 0;
        }
    });
    return chi_square;
}

}  // namespace fenceline
