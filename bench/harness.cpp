#include "bench/harness.hpp"

#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/json.hpp"

namespace mission::bench {
namespace {

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name"))
            if (const auto colon = line.find(": "); colon != std::string::npos)
                return line.substr(colon + 2);
    return "unknown";
}

std::string kernel() {
    utsname u{};
    return uname(&u) == 0 ? std::string(u.sysname) + ' ' + u.release : "unknown";
}

void number(json::writer& w, std::string_view name, double value) {
    json::key(w, name);
    w.Double(value);
}

}  // namespace

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double thread_cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

std::vector<double> interleaved_rates(const std::vector<std::function<void()>>& operations,
                                      double seconds_each) {
    constexpr double slice = 0.004;
    struct tally {
        double used = 0;
        double done = 0;
        int batch = 1;
    };
    std::vector<tally> tallies(operations.size());
    // A slice is a fixed number of operations, found once, so that clock reads do not count.
    for (std::size_t i = 0; i < operations.size(); ++i) {
        for (;;) {
            const double start = thread_cpu_seconds();
            for (int k = 0; k < tallies[i].batch; ++k)
                operations[i]();
            if (thread_cpu_seconds() - start >= slice / 2) break;
            tallies[i].batch *= 2;
        }
    }
    // Each round starts with another one, forwards and backwards in turn: what an operation leaves
    // in caches, predictors and the clock's frequency then burdens all of its successors alike.
    const std::size_t n = operations.size();
    std::size_t round = 0;
    for (bool more = true; more; ++round) {
        more = false;
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t i = (round / 2 + (round % 2 == 0 ? k : n - 1 - k)) % n;
            tally& t = tallies[i];
            const double start = thread_cpu_seconds();
            for (int done = 0; done < t.batch; ++done)
                operations[i]();
            t.used += thread_cpu_seconds() - start;
            t.done += t.batch;
            more = more || t.used < seconds_each;
        }
    }
    std::vector<double> out;
    for (const tally& t : tallies)
        out.push_back(t.done / t.used);
    return out;
}

std::string report::to_json() const {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "benchmark", benchmark);
    w.Key("machine");
    w.StartObject();
    json::member(w, "cpu", cpu_model());
    w.Key("cores");
    w.Uint(std::thread::hardware_concurrency());
    json::member(w, "kernel", kernel());
    json::member(w, "compiler", "gcc-compatible " __VERSION__);
    json::member(w, "openssl", OpenSSL_version(OPENSSL_VERSION));
    w.EndObject();
    w.Key("parameters");
    w.StartObject();
    for (const auto& [name, value] : parameters)
        json::member(w, name, value);
    w.EndObject();
    w.Key("runs");
    w.Int(runs);
    w.Key("metrics");
    w.StartArray();
    for (const metric& m : metrics) {
        w.StartObject();
        json::member(w, "name", m.name);
        number(w, "value", m.value);
        json::member(w, "unit", m.unit);
        if (m.limit) number(w, "limit", *m.limit);
        if (m.ratio) number(w, "ratio", *m.ratio);
        w.EndObject();
    }
    w.EndArray();
    w.EndObject();
    return json::text(b);
}

std::string report::to_text() const {
    std::string out = benchmark + ", median of " + std::to_string(runs) + " runs\n";
    for (const metric& m : metrics) {
        char line[160];
        std::snprintf(line, sizeof line, "  %-28s %12.3f %s", m.name.c_str(), m.value,
                      m.unit.c_str());
        out += line;
        if (m.limit) {
            std::snprintf(line, sizeof line, "   of at best %.0f", *m.limit);
            out += line;
        }
        out += '\n';
    }
    return out;
}

int finish(const report& r, std::string_view json_file) {
    std::fputs(r.to_text().c_str(), stdout);
    if (json_file.empty()) return 0;
    std::ofstream file{std::string(json_file)};
    file << r.to_json() << '\n';
    file.close();
    if (file) return 0;
    std::fprintf(stderr, "cannot write %.*s\n", static_cast<int>(json_file.size()),
                 json_file.data());
    return 1;
}

}  // namespace mission::bench
