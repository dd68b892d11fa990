#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "each_target.h"
#include "kernels/band_system.h"
#include "kernels/window_spectrum.h"

namespace fenceline::kernels {
namespace {

std::vector<float> noise(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> value(0, 1);
    std::vector<float> out(n);
    for (float& v : out) v = value(random);
    return out;
}

TEST(WindowSpectrum, TransformAgreesWithTheDefinitionAndComesBack) {
    for (const std::size_t n : {16U, 32U, 64U, 128U}) {
        const std::vector<float> re = noise(n * n, 1), im = noise(n * n, 2);
        std::vector<float> want_re = re, want_im = im;
        reference::dft2(want_re.data(), want_im.data(), n);
        for_each_target([&] {
            std::vector<float> got_re = re, got_im = im, scratch(2 * n * n);
            dft2(got_re.data(), got_im.data(), n, scratch.data());
            const float tolerance = 2e-6F * static_cast<float>(n * n);
            for (std::size_t r = 0; r < n; ++r)
                for (std::size_t c = 0; c < n; ++c) {
                    const std::size_t at = bit_reversed(r, n) * n + bit_reversed(c, n);
                    ASSERT_NEAR(got_re[r * n + c], want_re[at], tolerance)
                        << n << ": first bad at row " << r << ", column " << c;
                    ASSERT_NEAR(got_im[r * n + c], want_im[at], tolerance) << n;
                }
            inverse_dft2(got_re.data(), got_im.data(), n, scratch.data());
            for (std::size_t i = 0; i < n * n; ++i) {
                ASSERT_NEAR(got_re[i] / static_cast<float>(n * n), re[i], 1e-5) << n << ", " << i;
                ASSERT_NEAR(got_im[i] / static_cast<float>(n * n), im[i], 1e-5) << n << ", " << i;
            }
        });
    }
}

TEST(WindowSpectrum, LargestWindowsComeBack) {
    for (const std::size_t n : {256U, 512U})
        for_each_target([&] {
            const std::vector<float> re = noise(n * n, 3), im = noise(n * n, 4);
            std::vector<float> a = re, b = im, scratch(2 * n * n);
            dft2(a.data(), b.data(), n, scratch.data());
            double sum = 0;
            for (const float v : re) sum += static_cast<double>(v);
            EXPECT_NEAR(a[0], sum, 0.02) << "the first frequency is the sum";
            inverse_dft2(a.data(), b.data(), n, scratch.data());
            for (std::size_t i = 0; i < n * n; ++i) {
                ASSERT_NEAR(a[i] / static_cast<float>(n * n), re[i], 2e-5);
                ASSERT_NEAR(b[i] / static_cast<float>(n * n), im[i], 2e-5);
            }
        });
}

TEST(WindowSpectrum, RowsAgreeWithReferenceOnEveryTarget) {
    for_each_target([] {
        for (const std::size_t n : {16U, 32U, 64U, 512U}) {
            std::vector<float> rr = noise(n, 5), ri = noise(n, 6), tr = noise(n, 7),
                               ti = noise(n, 8), w = noise(n, 9);
            for (float& v : w) v = std::abs(v);
            tr[3] = ti[3] = 0;  // an empty frequency
            auto want_re = tr, want_im = ti;
            const double want = reference::half_whitened_row(rr.data(), ri.data(), want_re.data(),
                                                             want_im.data(), w.data(), 0.7F, n);
            const double got =
                half_whitened_row(rr.data(), ri.data(), tr.data(), ti.data(), w.data(), 0.7F, n);
            EXPECT_NEAR(got, want, 1e-5 * want);
            for (std::size_t i = 0; i < n; ++i) {
                ASSERT_NEAR(tr[i], want_re[i], 1e-5) << i;
                ASSERT_NEAR(ti[i], want_im[i], 1e-5) << i;
            }
            double a[6], b[6];
            phased_row_sums(tr.data(), ti.data(), rr.data(), ri.data(), w.data(), n, a);
            reference::phased_row_sums(tr.data(), ti.data(), rr.data(), ri.data(), w.data(), n, b);
            for (int k = 0; k < 6; ++k) EXPECT_NEAR(a[k], b[k], 1e-5 * static_cast<double>(n)) << k;
        }
    });
}

TEST(WindowSpectrum, TaperAgreesWithReferenceOnEveryWidthOffsetAndTarget) {
    for_each_target([] {
        for (std::size_t offset = 0; offset < 5; ++offset)
            for (std::size_t n = 1; n <= 70; ++n) {
                std::vector<float> c = noise(n + offset + 1, 11), s = noise(n + offset + 1, 12),
                                   taper = noise(n + offset + 1, 13);
                std::vector<std::uint8_t> ok(n + offset + 1, 1);
                for (std::size_t i = 0; i < ok.size(); i += 3) ok[i] = 0;
                c[offset + n] = 77;
                auto want_c = c, want_s = s;
                double want[3] = {1, 2, 3}, got[3] = {1, 2, 3};
                masked_row_sums(c.data() + offset, s.data() + offset, ok.data() + offset,
                                taper.data() + offset, 0.4F, n, got);
                reference::masked_row_sums(want_c.data() + offset, want_s.data() + offset,
                                           ok.data() + offset, taper.data() + offset, 0.4F, n,
                                           want);
                for (int k = 0; k < 3; ++k) ASSERT_NEAR(got[k], want[k], 1e-4);
                tapered_row(c.data() + offset, s.data() + offset, ok.data() + offset,
                            taper.data() + offset, 0.4F, 0.3F, -0.2F, n);
                reference::tapered_row(want_c.data() + offset, want_s.data() + offset,
                                       ok.data() + offset, taper.data() + offset, 0.4F, 0.3F, -0.2F,
                                       n);
                for (std::size_t i = 0; i <= offset + n; ++i) {
                    ASSERT_NEAR(c[i], want_c[i], 1e-5) << "first bad at " << i << " of " << n;
                    ASSERT_NEAR(s[i], want_s[i], 1e-5) << "first bad at " << i << " of " << n;
                }
                EXPECT_EQ(c[offset + n], 77) << "nothing is written behind the row";
            }
    });
}

TEST(BandSystem, AgreesWithTheDenseInverseOnEverySizeBandAndTarget) {
    std::mt19937 random(31);
    std::uniform_real_distribution<double> value(-1, 1);
    for_each_target([&] {
        for (const std::size_t n : {1U, 2U, 5U, 23U, 40U})
            for (const std::size_t band : {0U, 1U, 3U, 8U, 17U, 22U}) {
                std::vector<double> a(n * (band + 1));
                for (std::size_t j = 0; j < n; ++j)
                    for (std::size_t d = 0; d <= band && j + d < n; ++d)
                        a[j * (band + 1) + d] =
                            d == 0 ? 2.5 * static_cast<double>(band + 1) : value(random);
                std::vector<double> want(n * n), x(n), b(n), z(a.size());
                ASSERT_TRUE(reference::dense_inverse(a.data(), n, band, want.data()));
                for (double& v : b) v = value(random);
                x = b;
                ASSERT_TRUE(band_factor(a.data(), n, band));
                band_solve(a.data(), n, band, x.data());
                band_inverse(a.data(), n, band, z.data());
                for (std::size_t i = 0; i < n; ++i) {
                    double sum = 0;
                    for (std::size_t k = 0; k < n; ++k) sum += want[i * n + k] * b[k];
                    ASSERT_NEAR(x[i], sum, 1e-10) << "row " << i << " of " << n;
                    for (std::size_t d = 0; d <= band && i + d < n; ++d)
                        ASSERT_NEAR(z[i * (band + 1) + d], want[(i + d) * n + i], 1e-10)
                            << n << ", " << band << ": (" << i + d << ", " << i << ")";
                }
            }
    });
}

TEST(BandSystem, SaysWhenItIsNotPositiveDefinite) {
    std::vector<double> a{1, 2, 1, 0};  // [1 2; 2 1]
    EXPECT_FALSE(band_factor(a.data(), 2, 1));
}

}  // namespace
}  // namespace fenceline::kernels
