// What is measured, each in a transmitter of its own. Private to the benchmark.
#pragma once

#include <string>
#include <vector>

namespace mission::bench {

// Suspensions and resumptions of many missions, acknowledged a second: `runs` times `seconds`.
// status: signed answers a second, one in 100 verified; signatures: what raw EVP makes on all
// cores, measured in turn with them.
struct request_rates {
    std::vector<double> lifecycle, status, signatures;
    std::vector<double> status_ratio;  // of each run
    double status_cpu_us = 0;          // of client and server for one answer
};
request_rates measure_requests(const std::string& folder, int runs, double seconds,
                               bool operations_too);

// `runs` times a family of `descendants` in two generations is revoked: from the request to the
// commit of the last descendant, and the longest waits of operations on other missions meanwhile.
// With a poll stream that takes and acknowledges all of it.
struct cascade_times {
    std::vector<double> milliseconds, urgent_p99;
    int urgent = 0;  // operations, in all runs
};
cascade_times measure_cascade(const std::string& folder, int runs, int descendants);

// `missions` that end within `seconds`: how late their ends were committed, p99.
double measure_clock(const std::string& folder, int missions, int seconds);

}  // namespace mission::bench
