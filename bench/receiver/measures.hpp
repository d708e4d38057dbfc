// What is measured of a receiver, which runs in a process of its own. Private to the benchmark.
#pragma once

#include <string>
#include <vector>

#include "jose/key.hpp"

namespace mission::bench {

// CPU of OpenSSL alone per verification against CPU of the receiver's process (getrusage: user and
// system, all threads) per SET, from the octets on TLS to durable state and acknowledgement; one
// entry a run. The SETs are the four versions of `missions` missions, made and signed beforehand.
struct delivery_costs {
    std::vector<double> receiver_us, raw_us;
    std::vector<double> ratios() const;
};
enum class delivered_by { poll, push };
// Both, over the same SETs; `runs` each, and one of `warm_missions` before them.
struct deliveries {
    delivery_costs poll, push;
};
deliveries measure_deliveries(const std::string& folder, jose::alg alg, int runs, int missions);

// Milliseconds from the start of a receiver whose state has so many missions until each of them
// answers something other than `unknown`. With `runs` processes, one after the other.
std::vector<double> measure_restart(const std::string& folder, int runs, int missions);

// Milliseconds at the 99th of 100 requests to a sidecar on a Unix socket, one entry a run: so many
// requests a second, each counted from the moment at which it was to be sent, however late it went.
// Every answer has to be the right one, of active and of ended missions.
std::vector<double> measure_sidecar(const std::string& folder, int runs, int seconds,
                                    int requests_a_second);

// The receiver's process: a host of the library that does nothing but tell what it uses. Its
// arguments are those that child::child() gives it; the exit status.
int run_child(int argc, char** argv);

}  // namespace mission::bench
