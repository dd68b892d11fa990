#include "kernels/window_spectrum.h"

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

namespace fenceline::kernels::reference {

void dft2(float* re, float* im, std::size_t n) {
    std::vector<std::complex<double>> rows(n * n), line(n);
    const auto turn = [n](std::size_t k) {
        const double angle =
            -2 * std::numbers::pi * static_cast<double>(k % n) / static_cast<double>(n);
        return std::complex<double>(std::cos(angle), std::sin(angle));
    };
    for (std::size_t j = 0; j < n; ++j)
        for (std::size_t k = 0; k < n; ++k)
            for (std::size_t i = 0; i < n; ++i)
                rows[j * n + k] += std::complex<double>(static_cast<double>(re[j * n + i]),
                                                        static_cast<double>(im[j * n + i])) *
                                   turn(k * i);
    for (std::size_t k = 0; k < n; ++k)
        for (std::size_t l = 0; l < n; ++l) {
            std::complex<double> sum = 0;
            for (std::size_t j = 0; j < n; ++j) sum += rows[j * n + k] * turn(l * j);
            re[l * n + k] = static_cast<float>(sum.real());
            im[l * n + k] = static_cast<float>(sum.imag());
        }
}

double half_whitened_row(const float* r_re, const float* r_im, float* t_re, float* t_im,
                         const float* weight, float row_weight, std::size_t n) {
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::complex<double> r(static_cast<double>(r_re[i]), static_cast<double>(r_im[i])),
            t(static_cast<double>(t_re[i]), static_cast<double>(t_im[i]));
        const std::complex<double> product = std::conj(r) * t;
        const double size = std::abs(product),
                     w = static_cast<double>(weight[i]) * static_cast<double>(row_weight);
        const std::complex<double> s = size > 0 ? w / std::sqrt(size) * product : 0.0;
        t_re[i] = static_cast<float>(s.real());
        t_im[i] = static_cast<float>(s.imag());
        total += std::abs(s);
    }
    return total;
}

void phased_row_sums(const float* re, const float* im, const float* c, const float* q,
                     const float* f, std::size_t n, double sums[6]) {
    for (int k = 0; k < 6; ++k) sums[k] = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::complex<double> s =
            std::complex<double>(static_cast<double>(re[i]), static_cast<double>(im[i])) *
            std::complex<double>(static_cast<double>(c[i]), static_cast<double>(q[i]));
        const auto frequency = static_cast<double>(f[i]);
        double power = 1;
        for (int k = 0; k < 3; ++k, power *= frequency) {
            sums[2 * k] += power * s.real();
            sums[2 * k + 1] += power * s.imag();
        }
    }
}

void masked_row_sums(float* c, float* s, const std::uint8_t* ok, const float* taper,
                     float row_taper, std::size_t n, double sums[3]) {
    for (std::size_t i = 0; i < n; ++i) {
        if (ok[i] == 0) {
            c[i] = s[i] = 0;
            continue;
        }
        const double w = static_cast<double>(taper[i]) * static_cast<double>(row_taper);
        sums[0] += w;
        sums[1] += w * static_cast<double>(c[i]);
        sums[2] += w * static_cast<double>(s[i]);
    }
}

void tapered_row(float* c, float* s, const std::uint8_t* ok, const float* taper, float row_taper,
                 float mean_c, float mean_s, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        const float w = ok[i] != 0 ? taper[i] * row_taper : 0.0F;
        c[i] = w * (c[i] - mean_c);
        s[i] = w * (s[i] - mean_s);
    }
}

}  // namespace fenceline::kernels::reference
