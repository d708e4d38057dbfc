// What every benchmark shares: the machine's facts, medians, and the JSON that `./dev bench`
// writes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mission::bench {

struct metric {
    std::string name;
    double value = 0;  // the median of the runs
    std::string unit;
    std::optional<double> limit;  // what raw OpenSSL, the disk ... allows at best
    std::optional<double> ratio;  // value against limit
};

struct report {
    std::string benchmark;
    std::vector<std::pair<std::string, std::string>> parameters;
    int runs = 0;
    std::vector<metric> metrics;

    // {"benchmark","machine":{..},"parameters","runs","metrics":[..]}
    std::string to_json() const;
    // One line a metric, for people.
    std::string to_text() const;
};

double median(std::vector<double> values);

// CPU seconds that this thread has used: what one operation costs, whoever else is on the machine.
double thread_cpu_seconds();

// Times several operations against one another: in slices of a few milliseconds, in turn, so that a
// change of the machine's speed meets all alike. Returns operations per CPU second for each.
std::vector<double> interleaved_rates(const std::vector<std::function<void()>>& operations,
                                      double seconds_each);

// Prints the text on stdout and writes the JSON to `json_file` unless that is empty. The exit
// status.
int finish(const report& r, std::string_view json_file);

}  // namespace mission::bench
