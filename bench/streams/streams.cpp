// What a signal costs where very many listen to something else: 100,000 streams of a few subjects
// and one of 1,000,000, against the 100 streams that it concerns, alone. Both transmitters run in
// this process, on SQLite files, and are measured in turn.
//
//   signal.ratio     signals a second from the commit until they stand in the window of the stream
//                    they concern, against the transmitter that has nothing else
//   start_ms         from the file to listening
//   bytes_per_subject  resident memory, of everything that was added by the start
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/harness.hpp"
#include "events/catalog.hpp"
#include "events/mission_event.hpp"
#include "events/subject.hpp"
#include "jose/digest.hpp"
#include "net/dev_certificate.hpp"
#include "store/store.hpp"
#include "transmitter/program/app.hpp"
#include "transmitter/streams/config.hpp"

namespace {

using namespace mission;
using namespace mission::transmitter;
using clock_type = std::chrono::steady_clock;

constexpr int concerned = 100;  // streams that the measured signals are about
constexpr int streams_of_client = 100;
constexpr std::size_t under_way = 2'000;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "bench streams: %s\n", what.c_str());
    std::exit(1);
}

template <class T>
T must(result<T> r, const char* what) {
    if (!r) fail(std::string(what) + ": " + r.error().message());
    return std::move(*r);
}

std::string mission_id(int n) {
    const std::string digits = std::to_string(n);
    return std::string(24 - digits.size(), 'm') + digits;
}

double resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    long total = 0, resident = 0;
    statm >> total >> resident;
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

struct size {
    int streams = 0;          // beside the concerned ones
    int subjects_each = 0;    // of those
    int subjects_of_one = 0;  // of one more
};

// Decisions on a store, at most `under_way` of them at a time.
class writer {
  public:
    explicit writer(store::store& db) : db_(db) {}
    void submit(store::decision d, std::vector<store::stream_row>* rows = nullptr,
                std::size_t at = 0) {
        auto done = std::make_shared<std::promise<void>>();
        pending_.push_back(done->get_future());
        db_.submit(std::move(d), [done, rows, at](result<store::receipt> r) {
            if (!r) fail("writing: " + r.error().message());
            if (rows != nullptr) (*rows)[at] = r->streams.at(0);
            done->set_value();
        });
        if (pending_.size() >= under_way) drain();
    }
    void drain() {
        for (auto& p : pending_)
            p.wait();
        pending_.clear();
    }

  private:
    store::store& db_;
    std::vector<std::future<void>> pending_;
};

store::stream_subject subject_row(store::stream_row stream, const std::string& id) {
    const auto subject = events::subject::opaque(id);
    store::stream_subject out;
    out.stream = stream;
    out.key = events::canonical_key(subject);
    out.subject = events::to_json(subject);
    out.added_seq = 1;
    return out;
}

class world {
  public:
    world(const std::string& folder, const size& what) : folder_(folder) {
        std::filesystem::create_directories(folder_);
        make_settings(what);
        fill(what);
        const double before = resident_bytes();
        const auto begin = clock_type::now();
        app_options options;
        auto certificate = must(net::make_dev_certificate({}, std::chrono::days(2)), "certificate");
        options.certificate_pem = certificate.certificate_pem;
        options.private_key_pem = certificate.private_key_pem;
        app_ = must(start_app(settings_, options), "start");
        start_ms_ = std::chrono::duration<double, std::milli>(clock_type::now() - begin).count();
        bytes_ = resident_bytes() - before;
        issuer_ = must(app_->db().add_issuer(settings_.issuers.front().url), "issuer");
    }

    double start_ms() const { return start_ms_; }
    double bytes() const { return bytes_; }

    // Signals a second until the last one stands in a window.
    double run(int signals) {
        const auto wanted = matched() + static_cast<std::uint64_t>(signals);
        writer w(app_->db());
        const auto begin = clock_type::now();
        for (int n = 0; n < signals; ++n)
            w.submit(next_version(next_++));
        w.drain();
        while (matched() < wanted) {
            if (clock_type::now() - begin > std::chrono::minutes(2)) fail("signals are missing");
            std::this_thread::yield();
        }
        return signals / std::chrono::duration<double>(clock_type::now() - begin).count();
    }

  private:
    std::uint64_t matched() { return app_->delivery_of(0).counters().matched; }

    void make_settings(const size& what) {
        settings_.event_type_base = std::string(events::event_type_base);
        settings_.listen_port = 0;
        settings_.issuers.push_back({"https://localhost", "", false, false});
        settings_.store_url = "sqlite:" + folder_ + "/bench.db";
        settings_.signing_directory = folder_ + "/keys";
        settings_.secrets_key_file = folder_ + "/secret.key";
        settings_.ssf.default_subjects_all = false;
        const int all = what.streams + concerned + 1;
        for (int n = 0; n * streams_of_client < all; ++n) {
            client_config c;
            c.id = client_of(n * streams_of_client);
            c.issuer = settings_.issuers.front().url;
            c.audience = "https://" + c.id + ".example";
            c.scopes = {"ssf.read"};
            c.token = "token of " + c.id;
            c.missions.what = mission_visibility::kind::all;
            settings_.clients.push_back(std::move(c));
        }
    }
    static std::string client_of(int stream) {
        return "client-" + std::to_string(stream / streams_of_client);
    }

    void fill(const size& what) {
        auto db = must(store::open_store(settings_.store_url), "store");
        const auto issuer = must(db->add_issuer(settings_.issuers.front().url), "issuer");
        service common;
        common.settings = settings_;
        issuer_service of;
        of.common = &common;
        of.settings = settings_.issuers.front();
        of.id = issuer;
        create_request wanted;
        for (const auto name : events::mission_event_names)
            wanted.events_requested.push_back(std::string(events::event_type_base) +
                                              std::string(name));
        const int all = what.streams + concerned + 1;
        std::vector<store::stream_row> rows(static_cast<std::size_t>(all));
        writer w(*db);
        for (int n = 0; n < all; ++n) {
            const auto& client = settings_.clients[static_cast<std::size_t>(n / streams_of_client)];
            const auto s = make_stream(wanted, client, of, "stream-" + std::to_string(n), "",
                                       system_clock().now());
            w.submit([s](const store::rows& r, wall_time) { return create_decision(s, 1'000, r); },
                     &rows, static_cast<std::size_t>(n));
        }
        w.drain();
        std::vector<store::stream_subject> some;
        const auto flush = [&] {
            if (some.empty()) return;
            w.submit([some = std::exchange(some, {})](const store::rows&,
                                                      wall_time) -> result<store::changes> {
                store::changes c;
                c.subjects = some;
                return c;
            });
            if (++flushed_ % 20 == 0) w.drain();
        };
        const auto add = [&](store::stream_row row, const std::string& id) {
            some.push_back(subject_row(row, id));
            if (some.size() == 1'000) flush();
        };
        for (int n = 0; n < concerned; ++n)
            add(rows[static_cast<std::size_t>(n)], mission_id(n));
        for (int n = 0; n < what.streams; ++n) {
            for (int k = 0; k < what.subjects_each; ++k) {
                add(rows[static_cast<std::size_t>(concerned + n)],
                    "other-" + std::to_string(n) + "-" + std::to_string(k));
            }
        }
        for (int n = 0; n < what.subjects_of_one; ++n)
            add(rows.back(), "of-the-one-" + std::to_string(n));
        flush();
        w.drain();
    }

    // The next version of one of the missions that are followed, in turn.
    store::decision next_version(int n) {
        return [n, issuer = issuer_, url = settings_.issuers.front().url](
                   const store::rows& rows, wall_time now) -> result<store::changes> {
            const auto id = mission_id(n % concerned);
            const auto present = rows.find_mission(issuer, id);
            const auto version = present ? present->state.version + 1 : 1;
            events::mission_change change;
            change.mission_id = id;
            change.issuer = url;
            change.log_epoch = rows.log_epoch();
            change.version = version;
            change.committed_at = now;
            change.expires_at = now + std::chrono::hours(24);
            change.agent_client_id = "agent";
            change.state = version % 2 == 1 ? "active" : "suspended";
            if (version > 1) change.prior_state = version % 2 == 1 ? "suspended" : "active";
            store::mission_commit c;
            c.keys.mission_id = id;
            c.keys.agent_client_id = change.agent_client_id;
            if (!present) {
                store::mission_record record;
                record.issuer = issuer;
                record.mission_id = id;
                record.agent_client_id = change.agent_client_id;
                record.approved_at = now;
                c.approval = std::move(record);
                c.authorization_details = "[]";
                c.state.authority_revision = 1;
            } else {
                c.state = present->state;
            }
            c.state.state = *events::parse_state(change.state);
            c.state.version = version;
            c.state.expires_at = change.expires_at;
            c.txn = "txn";
            c.body = events::to_record(change);
            store::changes out;
            out.missions.push_back(std::move(c));
            return out;
        };
    }

    std::string folder_;
    config settings_;
    std::unique_ptr<app> app_;
    store::issuer_id issuer_{};
    double start_ms_ = 0, bytes_ = 0;
    int next_ = 0, flushed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    std::string json_file;
    int runs = 5, signals = 5'000, many = 100'000, big = 1'000'000;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--json")
            json_file = argv[i + 1];
        else if (option == "--runs")
            runs = std::atoi(argv[i + 1]);
        else if (option == "--signals")
            signals = std::atoi(argv[i + 1]);
        else if (option == "--streams")
            many = std::atoi(argv[i + 1]);
        else if (option == "--subjects")
            big = std::atoi(argv[i + 1]);
        else
            fail("unknown option " + std::string(option));
    }
    // The window of each concerned stream holds what is not acknowledged.
    if (argc % 2 != 1 || runs < 1 || signals < 1 || (runs + 1) * signals > 90'000)
        fail(
            "usage: bench_streams [--json FILE] [--runs N] [--signals N] [--streams N] [--subjects "
            "N]");
    const auto folder = std::filesystem::temp_directory_path() / ("bench-" + jose::random_id(9));
    int status = 0;
    {
        world few((folder / "few").string(), {});
        world all((folder / "all").string(), {many, 3, big});
        few.run(signals);  // warm
        all.run(signals);
        std::vector<double> alone, among;
        for (int i = 0; i < runs; ++i) {
            alone.push_back(few.run(signals));
            among.push_back(all.run(signals));
        }
        const double limit = bench::median(alone), rate = bench::median(among);
        bench::report r;
        r.benchmark = "streams";
        r.runs = runs;
        r.parameters = {{"streams", std::to_string(many)},
                        {"subjects_of_each", "3"},
                        {"subjects_of_one", std::to_string(big)},
                        {"signals_a_run", std::to_string(signals)}};
        r.metrics.push_back({"signal", rate, "1/s", limit, rate / limit});
        r.metrics.push_back({"start_ms", all.start_ms(), "ms", std::nullopt, std::nullopt});
        r.metrics.push_back({"bytes_per_subject", all.bytes() / (many * 3.0 + big), "B",
                             std::nullopt, std::nullopt});
        status = bench::finish(r, json_file);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return status;
}
