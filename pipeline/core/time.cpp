#include "core/time.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>

namespace fenceline {
namespace {

constexpr std::int64_t kMicrosPerDay = 86400LL * 1000000LL;

// Days from 1970-01-01; Hinnant, "chrono-compatible low-level date algorithms" (2013).
std::int64_t days_from_civil(std::int64_t year, int month, int day) {
    year -= month <= 2 ? 1 : 0;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_march_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const std::int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_march_year;
    return era * 146097 + day_of_era - 719468;
}

int days_in_month(int year, int month) {
    static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : kDays[month - 1];
}

bool digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// Reads exactly n digits at text[at]; -1 when they are not there.
int digits(std::string_view text, std::size_t at, std::size_t n) {
    if (at + n > text.size()) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + n; ++i) {
        if (!digit(text[i])) return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

}  // namespace

bool valid_date(int year, int month, int day) {
    return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days_in_month(year, month);
}

Time time_from_civil(int year, int month, int day, double seconds_of_day) {
    return {days_from_civil(year, month, day) * kMicrosPerDay +
            static_cast<std::int64_t>(std::llround(seconds_of_day * 1e6))};
}

CivilDate civil_from_time(Time time) {
    std::int64_t days = time.microseconds / kMicrosPerDay;
    if (time.microseconds % kMicrosPerDay < 0) --days;
    days += 719468;
    const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const std::int64_t day_of_era = days - era * 146097;
    const std::int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const std::int64_t day_of_year_march =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t month_march = (5 * day_of_year_march + 2) / 153;
    const int day = static_cast<int>(day_of_year_march - (153 * month_march + 2) / 5 + 1);
    const int month = static_cast<int>(month_march < 10 ? month_march + 3 : month_march - 9);
    return {static_cast<int>(year_of_era + era * 400 + (month <= 2 ? 1 : 0)), month, day};
}

double day_of_year(Time time) {
    const Time start = time_from_civil(civil_from_time(time).year, 1, 1);
    return static_cast<double>(time.microseconds - start.microseconds) / kMicrosPerDay + 1.0;
}

std::optional<Time> parse_time(std::string_view text) {
    while (!text.empty() &&
           (std::isspace(static_cast<unsigned char>(text.front())) || text.front() == '"'))
        text.remove_prefix(1);
    while (!text.empty() && (std::isspace(static_cast<unsigned char>(text.back())) ||
                             text.back() == '"' || text.back() == ';'))
        text.remove_suffix(1);
    if (text.size() < 10 || text[4] != text[7] || (text[4] != '-' && text[4] != ':')) return {};
    const int year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    if (year < 0 || month < 0 || day < 0 || !valid_date(year, month, day)) return {};
    if (text.size() == 10) return time_from_civil(year, month, day);
    if (text[10] != 'T' && text[10] != 't' && text[10] != ' ') return {};
    if (text.size() < 16 || text[13] != ':') return {};
    const int hour = digits(text, 11, 2), minute = digits(text, 14, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return {};
    double seconds = 0;
    std::size_t at = 16;
    if (at < text.size() && text[at] == ':') {
        const int whole = digits(text, at + 1, 2);
        if (whole < 0 || whole > 60) return {};
        seconds = whole;
        at += 3;
        if (at < text.size() && text[at] == '.') {
            double unit = 0.1;
            for (++at; at < text.size() && digit(text[at]); ++at, unit *= 0.1)
                seconds += (text[at] - '0') * unit;
        }
    }
    double offset_seconds = 0;
    if (at < text.size()) {
        const char zone = text[at];
        if (zone == 'Z' || zone == 'z') {
            if (at + 1 != text.size()) return {};
        } else if (zone == '+' || zone == '-') {
            const int offset_hour = digits(text, at + 1, 2);
            const std::size_t minute_at =
                at + 3 < text.size() && text[at + 3] == ':' ? at + 4 : at + 3;
            const int offset_minute = digits(text, minute_at, 2);
            if (offset_hour < 0 || offset_minute < 0 || minute_at + 2 != text.size()) return {};
            offset_seconds = (zone == '+' ? 1 : -1) * (offset_hour * 3600.0 + offset_minute * 60.0);
        } else {
            return {};
        }
    }
    return time_from_civil(year, month, day,
                           hour * 3600.0 + minute * 60.0 + seconds - offset_seconds);
}

std::optional<Time> time_in_file_name(std::string_view name) {
    for (std::size_t i = 0; i + 8 <= name.size(); ++i) {
        if (i > 0 && digit(name[i - 1])) continue;
        const int year = digits(name, i, 4);
        if (year < 1950 || year > 2100) continue;
        int month = -1, day = -1;
        std::size_t end = 0;
        const char mark = name[i + 4];
        if (mark == '-' || mark == '_') {
            if (i + 10 > name.size() || name[i + 7] != mark) continue;
            month = digits(name, i + 5, 2);
            day = digits(name, i + 8, 2);
            end = i + 10;
        } else {
            month = digits(name, i + 4, 2);
            day = digits(name, i + 6, 2);
            end = i + 8;
        }
        if (month < 0 || day < 0 || !valid_date(year, month, day)) continue;
        if (end < name.size() && digit(name[end])) continue;
        double seconds = 0;
        if (end < name.size() && (name[end] == 'T' || name[end] == '_')) {
            const int hour = digits(name, end + 1, 2), minute = digits(name, end + 3, 2),
                      second = digits(name, end + 5, 2);
            if (hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 61)
                seconds = hour * 3600.0 + minute * 60.0 + second;
        }
        return time_from_civil(year, month, day, seconds);
    }
    return {};
}

std::string format_time(Time time) {
    const CivilDate date = civil_from_time(time);
    const std::int64_t midnight = time_from_civil(date.year, date.month, date.day).microseconds;
    const std::int64_t micros = time.microseconds - midnight;
    const std::int64_t seconds = micros / 1000000;
    std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year, date.month,
                                   date.day, seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (const std::int64_t fraction = micros % 1000000; fraction != 0) {
        std::string digits_text = fmt::format("{:06}", fraction);
        while (digits_text.back() == '0') digits_text.pop_back();
        text += "." + digits_text;
    }
    return text + "Z";
}

std::string format_date(Time time) {
    const CivilDate date = civil_from_time(time);
    return fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day);
}

}  // namespace fenceline
