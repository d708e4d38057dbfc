// A mission's life under load.
//
//   lifecycle.rate_per_s       operations acknowledged, over kept-alive TLS with a client
//                              certificate, each answered with a signed status
//   status                     signed ES256 status answers likewise, one in 100 verified; the limit
//                              is raw ES256 on all cores, measured in the same run (status.ratio)
//   cascade_100k_ms            the end of a family of 100,000, from the request that revokes its
//                              root to the last descendant's commit, with a draining ES256 poll
//                              stream
//   cascade_100k.urgent_p99_ms operations on other missions, acknowledged meanwhile
//   clock_1m_late_ms           p99 of how late the ends of a million missions are committed that
//                              are due within ten minutes (one run: it takes as long)
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "bench/harness.hpp"
#include "bench/lifecycle/measures.hpp"
#include "bench/lifecycle/world.hpp"
#include "jose/digest.hpp"

int main(int argc, char** argv) {
    using namespace mission;
    std::string json_file, only;
    int runs = 5, missions = 1'000'000, seconds = 600, descendants = 100'000;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--json")
            json_file = argv[i + 1];
        else if (option == "--only")
            only = argv[i + 1];
        else if (option == "--runs")
            runs = std::atoi(argv[i + 1]);
        else if (option == "--missions")
            missions = std::atoi(argv[i + 1]);
        else if (option == "--seconds")
            seconds = std::atoi(argv[i + 1]);
        else if (option == "--descendants")
            descendants = std::atoi(argv[i + 1]);
        else
            bench::fail("unknown option " + std::string(option));
    }
    if (argc % 2 != 1 || runs < 1 || missions < 1 || seconds < 1 || descendants < 200)
        bench::fail(
            "usage: bench_lifecycle [--json FILE] [--runs N] [--descendants N] [--missions N] "
            "[--seconds N] [--only cascade|requests|status|clock]");
    const auto wanted = [&](std::string_view part) { return only.empty() || only == part; };
    const auto folder = std::filesystem::temp_directory_path() / ("bench-" + jose::random_id(9));
    bench::report r;
    r.benchmark = "lifecycle";
    r.runs = runs;
    r.parameters = {{"descendants", std::to_string(descendants)},
                    {"clock_missions", std::to_string(missions)},
                    {"clock_seconds", std::to_string(seconds)},
                    {"clock_runs", "1"},
                    {"cores", std::to_string(std::thread::hardware_concurrency())}};
    const auto add = [&](const char* name, double value, const char* unit) {
        r.metrics.push_back({name, value, unit, std::nullopt, std::nullopt});
    };
    if (wanted("cascade")) {
        auto cascade = bench::measure_cascade((folder / "cascade").string(), runs, descendants);
        std::string each;
        for (const double ms : cascade.milliseconds)
            each.append(each.empty() ? "" : ",").append(std::to_string(std::lround(ms)));
        r.parameters.emplace_back("cascade_each_ms", each);
        add("cascade_100k_ms", bench::median(cascade.milliseconds), "ms");
        add("cascade_100k.urgent_p99_ms", bench::median(cascade.urgent_p99), "ms");
        r.parameters.emplace_back("urgent_operations", std::to_string(cascade.urgent));
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder / "cascade", ignored);
    if (wanted("requests") || only == "status") {
        const bool operations = only != "status";
        const auto rates =
            bench::measure_requests((folder / "requests").string(), runs, 3, operations);
        if (operations) add("lifecycle.rate_per_s", bench::median(rates.lifecycle), "1/s");
        const double status = bench::median(rates.status);
        const double limit = bench::median(rates.signatures);
        r.metrics.push_back({"status", status, "1/s", limit, bench::median(rates.status_ratio)});
        add("status.cpu_us", rates.status_cpu_us, "us");
    }
    std::filesystem::remove_all(folder / "requests", ignored);
    if (wanted("clock"))
        add("clock_1m_late_ms",
            bench::measure_clock((folder / "clock").string(), missions, seconds), "ms");
    std::filesystem::remove_all(folder, ignored);
    return bench::finish(r, json_file);
}
