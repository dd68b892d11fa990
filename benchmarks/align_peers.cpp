#include "align_peers.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <opencv2/calib3d.hpp>
#include <opencv2/core.hpp>
#include <opencv2/features2d.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/video/tracking.hpp>

namespace fenceline::bench {
namespace {

/// Luminance in 0–255 by its 1st and 99th percentile, 32-bit float.
cv::Mat grey(const Scene& scene) {
    Plane plane = luminance(scene.raster);
    std::vector<float> seen;
    for (int y = 0; y < plane.height(); y += 2)
        for (int x = 0; x < plane.width(); x += 2)
            if (scene.seen(x, y)) seen.push_back(plane.at(x, y));
    if (seen.empty()) seen = {0.0F, 1.0F};
    std::sort(seen.begin(), seen.end());
    const float low = seen[seen.size() / 100], high = seen[seen.size() - 1 - seen.size() / 100],
                middle = seen[seen.size() / 2];
    cv::Mat out(plane.height(), plane.width(), CV_32F);
    for (int y = 0; y < plane.height(); ++y)
        for (int x = 0; x < plane.width(); ++x)
            out.at<float>(y, x) =
                std::clamp(255 * ((scene.seen(x, y) ? plane.at(x, y) : middle) - low) /
                               std::max(1e-6F, high - low),
                           0.0F, 255.0F);
    return out;
}

/// OpenCV counts from pixel centres, we from corners; offset: where the cut begins.
Affine from_opencv(const cv::Mat& m, Point offset) {
    const auto at = [&](int r, int c) {
        return m.type() == CV_32F ? static_cast<double>(m.at<float>(r, c)) : m.at<double>(r, c);
    };
    const Point o = offset + Point{0.5, 0.5};
    Affine out;
    out.a = {at(0, 2) + o.x - at(0, 0) * o.x - at(0, 1) * o.y, at(0, 0), at(0, 1),
             at(1, 2) + o.y - at(1, 0) * o.x - at(1, 1) * o.y, at(1, 0), at(1, 1)};
    return out;
}

template <class Body>
PeerAnswer ask(const std::string& method, const Body& body) {
    PeerAnswer answer;
    answer.method = method;
    const std::clock_t start = std::clock();
    try {
        answer.answered = body(answer.target_from_reference);
    } catch (const cv::Exception&) {
        answer.answered = false;
    }
    answer.cpu_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    return answer;
}

}  // namespace

std::vector<PeerAnswer> ask_peers(const AlignCase& pair) {
    cv::Mat reference = grey(pair.reference), target = grey(pair.target);
    Point offset;
    if (static_cast<double>(reference.total()) > 4e6) {
        const int w = std::min(2000, reference.cols), h = std::min(2000, reference.rows);
        const cv::Rect middle((reference.cols - w) / 2, (reference.rows - h) / 2, w, h);
        reference = reference(middle).clone(), target = target(middle).clone();
        offset = {static_cast<double>(middle.x), static_cast<double>(middle.y)};
    }
    std::vector<PeerAnswer> answers;
    answers.push_back(ask("identity", [](Affine&) { return true; }));
    answers.push_back(ask("phase correlation", [&](Affine& out) {
        cv::Mat a, b, window;
        reference.convertTo(a, CV_64F);
        target.convertTo(b, CV_64F);
        cv::createHanningWindow(window, a.size(), CV_64F);
        const cv::Point2d d = cv::phaseCorrelate(a, b, window);
        out.a[0] = d.x, out.a[3] = d.y;
        return std::isfinite(d.x) && std::isfinite(d.y);
    }));
    answers.push_back(ask("ECC affine", [&](Affine& out) {
        cv::Mat m = cv::Mat::eye(2, 3, CV_32F);
        cv::findTransformECC(
            reference, target, m, cv::MOTION_AFFINE,
            cv::TermCriteria(cv::TermCriteria::COUNT | cv::TermCriteria::EPS, 100, 1e-6),
            cv::noArray(), 5);
        out = from_opencv(m, offset);
        return true;
    }));
    answers.push_back(ask("SIFT + RANSAC", [&](Affine& out) {
        cv::Mat a, b, da, db;
        reference.convertTo(a, CV_8U);
        target.convertTo(b, CV_8U);
        const auto sift = cv::SIFT::create(8000);
        std::vector<cv::KeyPoint> ka, kb;
        sift->detectAndCompute(a, cv::noArray(), ka, da);
        sift->detectAndCompute(b, cv::noArray(), kb, db);
        if (ka.size() < 4 || kb.size() < 4) return false;
        std::vector<std::vector<cv::DMatch>> matches;
        cv::BFMatcher(cv::NORM_L2).knnMatch(da, db, matches, 2);
        std::vector<cv::Point2f> pa, pb;
        for (const auto& m : matches)
            if (m.size() == 2 && m[0].distance < 0.75F * m[1].distance) {
                pa.push_back(ka[static_cast<std::size_t>(m[0].queryIdx)].pt);
                pb.push_back(kb[static_cast<std::size_t>(m[0].trainIdx)].pt);
            }
        if (pa.size() < 4) return false;
        const cv::Mat m = cv::estimateAffine2D(pa, pb, cv::noArray(), cv::RANSAC, 1.0, 5000, 0.999);
        if (m.empty()) return false;
        out = from_opencv(m, offset);
        return true;
    }));
    return answers;
}

}  // namespace fenceline::bench
