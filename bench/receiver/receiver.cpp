// What a SET costs the receiver, from the octets on TLS to durable state and acknowledgement:
//
//   poll.es256.ratio ...   CPU of OpenSSL alone per verification, against the CPU of the receiver's
//                          process per SET (wire.md section 7); the sender is a process of its own
//   restart_1m_ms          from the start of a receiver with a million missions in its state until
//                          each of them answers something other than `unknown`
//   sidecar.p99_ms         of requests to the sidecar over a Unix socket, at 2,000 a second
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "bench/harness.hpp"
#include "bench/receiver/fail.hpp"
#include "bench/receiver/measures.hpp"
#include "jose/digest.hpp"

namespace {

using namespace mission;

void add(bench::report& r, const std::string& name, const bench::delivery_costs& c) {
    r.metrics.push_back(
        {name + ".ratio", bench::median(c.ratios()), "", std::nullopt, std::nullopt});
    r.metrics.push_back({name + ".cpu_us_per_set", bench::median(c.receiver_us), "us",
                         bench::median(c.raw_us), bench::median(c.ratios())});
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "--child") return bench::run_child(argc, argv);
    std::string json_file, only;
    int runs = 5, missions = 1'000, restarted = 1'000'000, rate = 2'000, seconds = 5;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--json")
            json_file = argv[i + 1];
        else if (option == "--runs")
            runs = std::atoi(argv[i + 1]);
        else if (option == "--missions")
            missions = std::atoi(argv[i + 1]);
        else if (option == "--restarted")
            restarted = std::atoi(argv[i + 1]);
        else if (option == "--rate")
            rate = std::atoi(argv[i + 1]);
        else if (option == "--seconds")
            seconds = std::atoi(argv[i + 1]);
        else if (option == "--only")
            only = argv[i + 1];
        else
            bench::fail("unknown option " + std::string(option));
    }
    if (argc % 2 != 1 || runs < 1 || missions < 10 || restarted < 1 || rate < 1 || seconds < 1)
        bench::fail(
            "usage: bench_receiver [--json FILE] [--runs N] [--missions N] [--restarted N] "
            "[--rate N] [--seconds N] [--only es256|rs256|restart|sidecar]");
    const auto wanted = [&](std::string_view name) { return only.empty() || only == name; };
    const auto folder =
        std::filesystem::temp_directory_path() / ("bench-receiver-" + jose::random_id(9));
    std::filesystem::create_directories(folder);
    bench::report r;
    r.benchmark = "receiver";
    r.runs = runs;
    r.parameters = {{"missions_a_run", std::to_string(missions)},
                    {"sets_a_run", std::to_string(missions * 4)},
                    {"restarted_missions", std::to_string(restarted)},
                    {"sidecar_requests_a_second", std::to_string(rate)},
                    {"sidecar_seconds_a_run", std::to_string(seconds)}};
    for (const auto alg : {jose::alg::es256, jose::alg::rs256}) {
        const std::string name = alg == jose::alg::es256 ? "es256" : "rs256";
        if (!wanted(name)) continue;
        const auto d = bench::measure_deliveries((folder / name).string(), alg, runs, missions);
        add(r, "poll." + name, d.poll);
        add(r, "push." + name, d.push);
    }
    if (wanted("restart")) {
        const auto ms = bench::measure_restart((folder / "restart").string(), runs, restarted);
        r.metrics.push_back({"restart_1m_ms", bench::median(ms), "ms", std::nullopt, std::nullopt});
    }
    if (wanted("sidecar")) {
        const auto ms = bench::measure_sidecar((folder / "sidecar").string(), runs, seconds, rate);
        r.metrics.push_back(
            {"sidecar.p99_ms", bench::median(ms), "ms", std::nullopt, std::nullopt});
    }
    const int status = bench::finish(r, json_file);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return status;
}
