#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fenceline {

/// An instant in UTC, microseconds since 1970-01-01T00:00:00Z (proleptic Gregorian, no leap
/// seconds).
struct Time {
    std::int64_t microseconds = 0;
    auto operator<=>(const Time&) const = default;
    double seconds() const { return static_cast<double>(microseconds) * 1e-6; }
    double days() const { return seconds() / 86400.0; }
};

struct CivilDate {
    int year = 1970, month = 1, day = 1;
};

/// Midnight UTC plus seconds. No range check: use valid_date first on foreign input.
Time time_from_civil(int year, int month, int day, double seconds_of_day = 0);
bool valid_date(int year, int month, int day);
CivilDate civil_from_time(Time time);
/// Day of the year, 1–366, as a real number (noon of 1 January is 1.5).
double day_of_year(Time time);

/// "2017-08-29", "2017-08-29T04:50:11Z", with fraction, with offset, with ' ' for 'T', without zone
/// (read as UTC), EXIF/TIFF "2017:08:29 04:50:11". Empty when the text is none of these or not a
/// real date.
std::optional<Time> parse_time(std::string_view text);

/// The first YYYYMMDD or YYYY-MM-DD (also YYYY_MM_DD) in a file name that is a real date from 1950
/// to 2100, not part of a longer run of digits; a following THHMMSS is read too. Empty when there
/// is none.
std::optional<Time> time_in_file_name(std::string_view file_name);

/// RFC 3339 UTC: "2017-08-29T04:50:11Z"; a fraction only when there is one.
std::string format_time(Time time);
/// "2017-08-29".
std::string format_date(Time time);

}  // namespace fenceline
